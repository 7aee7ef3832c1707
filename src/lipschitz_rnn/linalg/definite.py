"""Positive definiteness that is proved, in floating-point arithmetic with an error bound."""

import math

import numpy as np

from lipschitz_rnn.linalg.balls import BallMatrix, error_factor

_UNDERFLOW = 2.0**-960  # more than all underflows of a factorisation can lose together
_LARGEST = 2.0**990  # the sum of as many entries as memory holds is finite


def is_certainly_positive_definite(matrix: BallMatrix) -> bool:
    r"""Whether every symmetric matrix in the ball is proved to be positive definite.

    Rows and columns are scaled by powers of 2, which changes no digit, until the diagonal is near
    1. Let C be the center and R the radius then. Cholesky's factorisation of :math:`C - s I` is
    tried in float64, with

    .. math:: s \ge \frac{\gamma_{n+1}}{1 - \gamma_{n+1}} \operatorname{tr}(C) + \|R\|_\infty .

    If it runs to the end, the smallest eigenvalue of every matrix in the ball is above 0: the
    factor's backward error is below the first term, and what the radius hides below the second.
    The other way round nothing is said: False means "not proved".

    The factorisation is written out here, one rank-one update after the other, so that the theorem
    is about this very sequence of operations and not about a library's.

    Args:
        matrix: A square ball of a true matrix that is symmetric.

    Returns:
        True if it is proved; False otherwise, and for entries that are not finite.

    References:
        Rump (2006), Verification of positive definiteness, BIT 46, theorem 2.3; Demmel (1989), On
        floating point errors in Cholesky, LAPACK working note 14; Higham (2002), theorem 10.3.
    """
    ball = matrix.symmetrized()
    size = ball.center.shape[0]
    diagonal = ball.center.diagonal()
    if not (np.isfinite(ball.center).all() and np.isfinite(ball.radius).all()):
        return False
    if size == 0:
        return True
    if diagonal.min() <= 0 or diagonal.max() > _LARGEST:
        return False
    ball = _with_unit_diagonal(ball)
    diagonal = ball.center.diagonal()
    gamma = error_factor(size + 4)
    # the factor 2 covers 1/(1 - gamma) and the roundings of this very line
    shift = 2 * (gamma * math.fsum(diagonal) + float(ball.radius.sum(1).max())) + _UNDERFLOW
    shifted = ball.center.copy()
    # toward minus infinity: rounding this difference must not add to the matrix
    shifted.flat[:: size + 1] = np.nextafter(diagonal - shift, -np.inf)
    return _cholesky_succeeds(shifted)


def _with_unit_diagonal(ball: BallMatrix) -> BallMatrix:
    """Scale rows and columns by powers of 2, exactly, so that no entry drowns another's digits."""
    powers = -np.round(np.log2(ball.center.diagonal()) / 2)
    scale = np.ldexp(1.0, powers.astype(int))
    center = ball.center * scale[:, None] * scale
    return BallMatrix(center, ball.radius * scale[:, None] * scale)


def _cholesky_succeeds(work: np.ndarray) -> bool:
    """Whether all pivots are positive; ``work`` is overwritten."""
    size = work.shape[0]
    for k in range(size):
        pivot = work[k, k]
        if not pivot > 0 or not math.isfinite(pivot):
            return False
        column = work[k + 1 :, k] / math.sqrt(pivot)
        work[k + 1 :, k + 1 :] -= column[:, None] * column
    return True


def norm_upper_bound(matrix: np.ndarray) -> float:
    r"""A number that is proved to be at least :math:`\|X\|_2`, and close to it.

    It is the square root of a c for which :math:`c I - X^\top X` is certainly positive definite.

    Args:
        matrix: X, (M, N), of stored numbers.

    Returns:
        The bound; infinity if an entry is not finite.
    """
    wide = np.asarray(matrix, np.float64)
    if not wide.any():
        return 0.0
    if not np.isfinite(wide).all():
        return math.inf
    if wide.shape[0] < wide.shape[1]:
        wide = wide.T  # the smaller of the two Gram matrices
    ball = BallMatrix.exact(wide)
    gram = ball.T @ ball
    guess = float(np.linalg.norm(wide, 2)) ** 2
    for slack in (1e-12, 1e-10, 1e-8, 1e-6):
        square = guess * (1 + slack) + math.ulp(0.0)
        if is_certainly_positive_definite(_minus(square, gram)):
            return math.nextafter(math.sqrt(square) * (1 + 1e-15), math.inf)
    # never far off, and never wrong: the Frobenius norm of all that the ball may hold
    lost = 2.0**-510 * math.sqrt(wide.size)  # squares that were too small to be seen
    return (float(np.sqrt(np.sum(wide**2))) + lost) * (1 + 1e-9)


def eigenvalue_lower_bound(matrix: np.ndarray) -> float:
    """A number that is proved to be at most the smallest eigenvalue of a symmetric matrix.

    Args:
        matrix: (N, N), symmetric, of stored numbers.

    Returns:
        The bound; minus infinity if none is proved.
    """
    center = np.asarray(matrix, np.float64)
    if center.size == 0 or not np.isfinite(center).all():
        return -math.inf
    values = np.linalg.eigvalsh(center)
    scale = max(float(abs(values).max()), 2.0**-500)  # of zero, too, something is known
    for slack in (1e-13, 1e-11, 1e-9, 1e-7, 1e-5):
        bound = float(values[0]) - slack * scale
        shifted = BallMatrix.exact(center) + BallMatrix.exact(-bound * np.eye(len(center)))
        if is_certainly_positive_definite(shifted):
            return bound
    return -math.inf


def _minus(number: float, ball: BallMatrix) -> BallMatrix:
    return BallMatrix.exact(number * np.eye(ball.center.shape[0])) - ball
