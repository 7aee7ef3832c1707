"""The QR factorisation made unique."""

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_floating


def positive_qr(matrix: Tensor) -> tuple[Tensor, Tensor]:
    r"""QR factorisation whose triangular factor has no negative number on its diagonal.

    .. math:: M = Q R, \qquad Q^\top Q = I, \qquad R \text{ upper triangular}, \qquad r_{ii} \ge 0

    Library routines leave the signs open. With this choice the factors of a matrix of full rank are
    unique, and the diagonal of R holds the lengths by which M stretches, one after the other, the
    directions that Q adds.

    Args:
        matrix: M, shape ``(..., N, K)``.

    Returns:
        Q, ``(..., N, min(N, K))``, and R, ``(..., min(N, K), K)``.

    Raises:
        TypeError: If ``matrix`` is not real and floating-point.
        ValueError: If it has less than two axes.

    Examples:
        >>> q, r = positive_qr(torch.tensor([[-3.0, 1.0], [0.0, -2.0]]))
        >>> r.diagonal()
        tensor([3., 2.])

    References:
        Golub, Van Loan (2013), Matrix Computations, 4th ed., Theorem 5.2.3.
    """
    require_floating("positive_qr", "matrix", matrix)
    if matrix.dim() < 2:
        raise ValueError(
            f"positive_qr: expected `matrix` of shape (..., N, K), got {tuple(matrix.shape)}."
        )
    q, r = torch.linalg.qr(matrix)
    diagonal = r.diagonal(dim1=-2, dim2=-1)
    # not torch.sign, which would wipe out the direction of a column that adds nothing
    sign = torch.ones_like(diagonal).copysign(diagonal)
    return q * sign.unsqueeze(-2), sign.unsqueeze(-1) * r
