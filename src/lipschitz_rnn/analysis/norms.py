"""Norms that gains are made of, each proved to be no smaller than the true one."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from lipschitz_rnn.analysis.layers import UnitMatrices
from lipschitz_rnn.linalg.balls import UNIT, BallMatrix
from lipschitz_rnn.linalg.definite import (
    eigenvalue_lower_bound,
    is_certainly_positive_definite,
    norm_upper_bound,
)

_TINY = 2.0**-1000  # more than underflows lose, even if multiplied by large numbers later
_SLACKS = (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)


def up(value: float, roundings: int = 16) -> float:
    """At least the exact value of an expression all of whose parts are at least 0.

    Args:
        value: What it came to in float64. Parts that are divided by were rounded down before.
        roundings: Not less than the operations it took.

    Returns:
        The value, a little larger.
    """
    return value * (1 + 2 * (roundings + 4) * UNIT) + _TINY


def product(first: float, second: float) -> float:
    """Of two bounds, one of which may be infinite: nothing times anything is nothing."""
    return 0.0 if first == 0 or second == 0 else first * second


def together(bounds: list[float]) -> float:
    """Bound on the norm of several vectors side by side."""
    if len(bounds) == 1:
        return bounds[0]
    return up(math.hypot(*bounds))


def geometric_sum(ratio: float, count: int | None) -> float:
    """An upper bound on 1 + r + r² + ..., so many terms, or all where there is no count."""
    if count is None:
        left = math.nextafter(1 - ratio, -math.inf)
        return up(1 / left) if left > 0 else math.inf
    total = 0.0
    for _ in range(count):
        before, total = total, 1 + ratio * total
        if total == before:  # and so it will stay
            break
    return up(total, 2 * count)


@dataclass(frozen=True, eq=False)
class UnitNorms:
    """Spectral norms of the matrices of a unit, and of those of their absolute values.

    Attributes:
        a: Of A; 0 without a linear term.
        w: Of W.
        u: Of U.
        b: Euclidean, of b.
        abs_a: Of |A|, and so are the next two.
        abs_w: Of |W|.
        abs_u: Of |U|.
    """

    a: float
    w: float
    u: float
    b: float
    abs_a: float
    abs_w: float
    abs_u: float

    @classmethod
    def of(cls, unit: UnitMatrices) -> Self:
        """The norms of one unit.

        Args:
            unit: The unit.

        Returns:
            Them.
        """
        a = np.zeros((1, 1)) if unit.a is None else unit.a
        b = np.zeros((1, 1)) if unit.b is None else unit.b[:, None]
        plain = [norm_upper_bound(matrix) for matrix in (a, unit.w, unit.u, b)]
        return cls(*plain, *(norm_upper_bound(abs(matrix)) for matrix in (a, unit.w, unit.u)))


@dataclass(frozen=True, eq=False)
class Metric:
    r"""A metric P, and what is proved about it.

    Attributes:
        matrix: P, (N,) if diagonal, else (N, N).
        ceiling: At least the square root of its largest eigenvalue.
        floor: At most the square root of its smallest; 0 if none above 0 is proved.
        covers: Diagonals Q, (N,) each, for which Q - P is positive semidefinite.
    """

    matrix: np.ndarray
    ceiling: float
    floor: float
    covers: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, matrix: np.ndarray) -> Self:
        """Prove what is needed about a metric that a certificate holds in.

        Args:
            matrix: P, positive definite.

        Returns:
            The metric.
        """
        matrix = np.asarray(matrix, np.float64)
        if matrix.ndim == 1:
            largest, smallest = float(matrix.max()), float(matrix.min())
            covers: tuple[np.ndarray, ...] = (matrix,)
        else:
            largest, smallest = norm_upper_bound(matrix), eigenvalue_lower_bound(matrix)
            covers = (np.full(len(matrix), largest), *_proved_covers(matrix))
        floor = max(math.nextafter(math.sqrt(max(smallest, 0.0)), -math.inf), 0.0)
        return cls(matrix, up(math.sqrt(largest)), floor, covers)

    def size(self, matrix: np.ndarray) -> float:
        r"""Bound on the P-norm of :math:`D M x` for all diagonal :math:`|D| \le 1`, unit x.

        It is :math:`\|Q^{1/2} M\|_2`, since D commutes with Q, for the best cover Q.

        Args:
            matrix: M, (N, K).

        Returns:
            The bound.
        """
        found = math.inf
        for cover in self.covers:
            scaled = np.sqrt(cover)[:, None] * np.asarray(matrix, np.float64)
            # both roundings of an entry are relative, so their matrix is below 2u in this norm
            lost = 4 * UNIT * float(np.sqrt(np.sum(scaled**2)))
            found = min(found, up(norm_upper_bound(scaled) + lost))
        return found

    def dual(self, row: BallMatrix) -> float:
        r"""Bound on :math:`|w^\top \delta|` for :math:`\|\delta\|_P \le 1`.

        Its square is the smallest s for which :math:`s P - w w^\top` is positive semidefinite.

        Args:
            row: w as a column, (N, 1).

        Returns:
            The bound.
        """
        high = abs(row.center[:, 0]) + row.radius[:, 0]
        if not high.any():
            return 0.0
        if self.matrix.ndim == 1:
            square = float(np.sum(high**2 / self.matrix))
            return up(math.sqrt(up(square, 2 * len(high))))
        outer = row @ row.T
        center = row.center[:, 0]
        guess = float(center @ np.linalg.solve(self.matrix, center))
        for slack in _SLACKS:
            square = guess * (1 + slack)
            if is_certainly_positive_definite(BallMatrix.exact(self.matrix).scaled(square) - outer):
                return up(math.sqrt(square))
        length = norm_upper_bound(high[:, None] * (1 + 4 * UNIT))
        return up(length / self.floor) if self.floor > 0 else math.inf

    def in_euclid(self, bound: float) -> float:
        """Bound on the Euclidean norm of what has a P-norm below the bound.

        Args:
            bound: In the P-norm.

        Returns:
            The bound in the Euclidean one.
        """
        return up(bound / self.floor) if self.floor > 0 else math.inf


def _proved_covers(matrix: np.ndarray) -> list[np.ndarray]:
    """Gershgorin's diagonal, and that of P times one number; those that are proved."""
    root = np.sqrt(matrix.diagonal())
    ratio = float(np.linalg.eigvalsh(matrix / np.outer(root, root))[-1])
    found = []
    for candidate in (abs(matrix).sum(1), ratio * matrix.diagonal()):
        for slack in _SLACKS:
            cover = candidate * (1 + slack)
            gap = BallMatrix.exact(np.diag(cover)) - BallMatrix.exact(matrix)
            if is_certainly_positive_definite(gap):
                found.append(cover)
                break
    return found
