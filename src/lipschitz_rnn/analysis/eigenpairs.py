"""The largest eigenvalues of a symmetric operator, whatever becomes of the iteration."""

import numpy as np
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh

_SMALL = 48  # rows up to which the matrix itself is made


def largest_eigenpairs(
    operator: LinearOperator, count: int, tolerance: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The largest eigenvalues, by ARPACK, or from the matrix itself where that is small.

    Of an operator that maps a random vector to zero, zeros are returned with random orthonormal
    vectors: it is zero with probability 1, and the residuals tell where it is not. If only some of
    the eigenvalues converge, these are returned.

    Args:
        operator: Symmetric, (n, n).
        count: How many; n at most are returned.
        tolerance: Relative to each.
        generator: Of the start.

    Returns:
        Eigenvalues in descending order, (k,), unit vectors (n, k), and norms of H v - λ v, (k,).

    Raises:
        ValueError: If no eigenvalue converges.

    Examples:
        >>> h = LinearOperator((60, 60), matvec=lambda v: 0.0 * v, dtype=float)
        >>> values, vectors, residuals = largest_eigenpairs(h, 2, 1e-6, np.random.default_rng(0))
        >>> values, residuals
        (array([0., 0.]), array([0., 0.]))
    """
    size = operator.shape[0]
    wanted = min(count, size)
    if size <= max(_SMALL, 2 * wanted + 1):
        dense = operator.matmat(np.eye(size))
        values, vectors = np.linalg.eigh((dense + dense.T) / 2)
    else:
        values, vectors = _iterate(operator, wanted, tolerance, generator)
    order = np.argsort(values)[::-1][:wanted]
    values, vectors = values[order], vectors[:, order]
    residuals = np.linalg.norm(operator.matmat(vectors) - vectors * values, axis=0)
    return values, vectors, residuals


def _iterate(
    operator: LinearOperator, wanted: int, tolerance: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    start = generator.standard_normal(operator.shape[0])
    try:
        values, vectors = eigsh(operator, wanted, which="LA", v0=start, tol=tolerance)
    except ArpackNoConvergence as error:
        values, vectors = error.eigenvalues, error.eigenvectors
        if not len(values):
            raise ValueError(_failure(wanted, tolerance, "none")) from error
    except ArpackError as error:
        if operator.matvec(start).any():
            raise ValueError(_failure(wanted, tolerance, str(error))) from error
        others = generator.standard_normal((len(start), wanted - 1))
        vectors, _ = np.linalg.qr(np.column_stack((start, others)))
        values = np.zeros(wanted)
    return values, vectors


def _failure(wanted: int, tolerance: float, got: str) -> str:
    return (
        f"hessian: expected eigenvalues that converge, got {got.rstrip('.')} of eigenvalues="
        f"{wanted} at tolerance={tolerance:g}. Use a larger tolerance, or fewer eigenvalues."
    )
