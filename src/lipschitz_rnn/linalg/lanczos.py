"""Lanczos' tridiagonalisation of a symmetric operator that is known by its products alone."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh_tridiagonal

Product = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class RitzValues:
    r"""A discrete measure that has the first 2k moments of the operator's, seen from the start.

    .. math:: v^\top f(H) v \approx \|v\|^2 \sum_j w_j f(\theta_j)

    Attributes:
        nodes: Ritz values :math:`\theta_j`, ascending, (k,).
        weights: :math:`w_j`, at least 0, of sum 1.
        residuals: Bounds: an eigenvalue lies within so much of each node.
    """

    nodes: np.ndarray
    weights: np.ndarray
    residuals: np.ndarray


@dataclass(frozen=True, eq=False)
class Tridiagonal:
    """The operator in an orthonormal basis of a Krylov space.

    Attributes:
        diagonal: (k,).
        off_diagonal: Below it, (k,); its last entry leads out of the space.
    """

    diagonal: np.ndarray
    off_diagonal: np.ndarray

    def __len__(self) -> int:
        """Steps that were taken, k; fewer than asked for if the space has no more."""
        return len(self.diagonal)

    def ritz(self, steps: int | None = None) -> RitzValues:
        """Ritz values after some of the steps.

        Args:
            steps: The first so many; all if None, and never more than were taken.

        Returns:
            One value for each step.
        """
        k = len(self) if steps is None else min(steps, len(self))
        nodes, vectors = eigh_tridiagonal(self.diagonal[:k], self.off_diagonal[: k - 1])
        return RitzValues(nodes, vectors[0] ** 2, abs(self.off_diagonal[k - 1] * vectors[-1]))


def lanczos(product: Product, start: np.ndarray, steps: int) -> Tridiagonal:
    """Tridiagonalise a symmetric operator.

    Every vector is made orthogonal to all before it, twice: without that, copies of the outer
    eigenvalues would crowd among the Ritz values. SciPy's ARPACK keeps the tridiagonal matrix to
    itself.

    Args:
        product: The operator times a vector (n,).
        start: Where the Krylov space begins, (n,), not zero.
        steps: Products that are taken, at most n.

    Returns:
        The matrix.

    Examples:
        >>> h = np.diag([1.0, 2.0, 4.0])
        >>> lanczos(lambda v: h @ v, np.ones(3), 3).ritz().nodes.round(12)
        array([1., 2., 4.])

    References:
        Golub, Meurant (2010), Matrices, Moments and Quadrature with Applications, ch. 4 and 6.
        Parlett (1998), The Symmetric Eigenvalue Problem, sec. 13.8.
    """
    steps = min(steps, len(start))
    basis = np.zeros((steps, len(start)))
    diagonal, off_diagonal = np.zeros(steps), np.zeros(steps)
    vector = start / np.linalg.norm(start)
    for k in range(steps):
        basis[k] = vector
        image = product(vector)
        size = np.linalg.norm(image)
        diagonal[k] = vector @ image
        for _ in range(2):
            image = image - basis[: k + 1].T @ (basis[: k + 1] @ image)
        off_diagonal[k] = np.linalg.norm(image)
        # what is left is rounding alone: the space is the operator's own
        if off_diagonal[k] <= 64 * np.finfo(float).eps * size:
            off_diagonal[k] = 0.0
            return Tridiagonal(diagonal[: k + 1], off_diagonal[: k + 1])
        vector = image / off_diagonal[k]
    return Tridiagonal(diagonal, off_diagonal)
