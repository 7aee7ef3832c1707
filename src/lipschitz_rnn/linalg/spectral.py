"""Spectral quantities of a square matrix."""

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_square


def spectral_abscissa(a: Tensor) -> Tensor:
    r"""Largest real part of the eigenvalues of a square matrix.

    .. math:: \alpha(A) = \max_i \operatorname{Re} \lambda_i(A)

    Solutions of :math:`\dot h = A h` decay in the long run exactly when it is negative; they may
    grow first, see :func:`log_norm`.

    Args:
        a: The matrix, shape ``(N, N)``. Need not be normal.

    Returns:
        A scalar tensor.

    Raises:
        ValueError: If ``a`` is not square.

    Examples:
        >>> shear = torch.tensor([[-1.0, 4.0], [0.0, -1.0]])
        >>> round(float(spectral_abscissa(shear)), 4)
        -1.0
    """
    require_square("spectral_abscissa", "a", a)
    eigenvalues: Tensor = torch.linalg.eigvals(a)
    return eigenvalues.real.max()


def log_norm(a: Tensor) -> Tensor:
    r"""Logarithmic 2-norm (matrix measure) of a square matrix.

    .. math:: \mu_2(A) = \lambda_{\max}\bigl(\tfrac12 (A + A^\top)\bigr)

    Solutions of :math:`\dot h = A h` satisfy :math:`\|h(t)\| \le e^{\mu_2(A) t}\|h(0)\|`, so a
    negative value certifies contraction, which a negative spectral abscissa alone does not.

    Args:
        a: The matrix, shape ``(N, N)``. Need not be normal.

    Returns:
        A scalar tensor, differentiable where the largest eigenvalue is simple.

    Raises:
        ValueError: If ``a`` is not square.

    Examples:
        >>> shear = torch.tensor([[-1.0, 4.0], [0.0, -1.0]])  # Hurwitz, yet not contracting
        >>> round(float(log_norm(shear)), 4)
        1.0

    References:
        Söderlind (2006), The logarithmic norm. History and modern theory, BIT 46, sec. 2.
    """
    require_square("log_norm", "a", a)
    eigenvalues: Tensor = torch.linalg.eigvalsh((a + a.mT) / 2)  # ascending
    return eigenvalues[-1]
