"""Matrices of real numbers known up to a radius, in arithmetic whose error is bounded."""

from dataclasses import dataclass
from typing import Self

import numpy as np

UNIT = 2.0**-53
"""Largest relative error of one rounding to float64."""

_TINY = 2.0**-1020  # more than an underflow can lose, even where it is flushed to zero


def error_factor(count: int) -> float:
    r"""An upper bound on Higham's :math:`\gamma_n = n u / (1 - n u)`, rounded up generously."""
    return 1.01 * (count + 1) * UNIT


def _up(radius: np.ndarray, count: int) -> np.ndarray:
    """At least the exact value of a sum of products that are not negative."""
    # count + 4 roundings at most shrank it; the factor makes good for them and for itself
    grown: np.ndarray = radius * (1 + 4 * (count + 4) * UNIT) + _TINY * (count + 1)
    return grown


@dataclass(frozen=True, eq=False)
class BallMatrix:
    r"""A matrix of intervals: every entry of the true one lies within a radius of a float64.

    .. math:: |X_{ij} - C_{ij}| \le R_{ij}

    Sums and products enclose those of all matrices inside. The bounds are the standard ones of
    rounding-error analysis. They hold for any order of summation, with and without fused
    multiply-add, so whatever the BLAS does short of Strassen's method, which none in use does for
    float64.

    Attributes:
        center: C, float64, (M, N).
        radius: R, float64, (M, N), at least 0.

    Examples:
        >>> third = BallMatrix.exact(np.array([[1.0]])).scaled(1 / 3)  # of the float64 next to 1/3
        >>> bool(third.radius[0, 0] < 1e-16)
        True

    References:
        Higham (2002), Accuracy and Stability of Numerical Algorithms, sec. 3.1 and 3.5;
        Rump (1999), Fast and parallel interval arithmetic, BIT 39.
    """

    center: np.ndarray
    radius: np.ndarray

    @classmethod
    def exact(cls, matrix: np.ndarray) -> Self:
        """The matrix of stored numbers, with radius 0.

        Args:
            matrix: float64 or float32.

        Returns:
            The ball.
        """
        center = np.asarray(matrix, np.float64)
        return cls(center, np.zeros_like(center))

    @property
    def T(self) -> Self:
        """The transpose."""
        return type(self)(self.center.T, self.radius.T)

    def __add__(self, other: Self) -> Self:
        center = self.center + other.center
        return type(self)(center, _up(self.radius + other.radius + UNIT * abs(center), 2))

    def __sub__(self, other: Self) -> Self:
        return self + other.scaled(-1.0)

    def __matmul__(self, other: Self) -> Self:
        inner = self.center.shape[1]
        left, right = abs(self.center), abs(other.center)
        error = left @ (error_factor(inner) * right + other.radius)
        error += self.radius @ (right + other.radius)
        return type(self)(self.center @ other.center, _up(error, 2 * inner))

    def scaled(self, factor: float | np.ndarray) -> Self:
        """Multiply every entry by an exact number of its own, or all by one.

        Args:
            factor: A float64, or an array that broadcasts against the matrix.

        Returns:
            The product.
        """
        center = factor * self.center
        return type(self)(center, _up(abs(factor) * self.radius + UNIT * abs(center), 2))

    def symmetrized(self) -> Self:
        """The lower triangle on both sides, for a true matrix that is known to be symmetric.

        Returns:
            A ball of the same true matrix, with symmetric center and radius.
        """
        return type(self)(_mirrored(self.center), _mirrored(self.radius))


def _mirrored(matrix: np.ndarray) -> np.ndarray:
    return np.asarray(np.tril(matrix) + np.tril(matrix, -1).T)
