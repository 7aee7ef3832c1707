"""What the symmetric-skew scheme says about the spectrum of the matrix it builds."""

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import (
    require_floating,
    require_in_range,
    require_square,
    require_tensor,
)


def as_finite_double(where: str, name: str, matrix: Tensor) -> Tensor:
    """A square matrix of finite numbers, detached, on the CPU and in float64."""
    require_tensor(where, name, matrix)
    require_floating(where, name, matrix)
    require_square(where, name, matrix)
    exact = matrix.detach().cpu().double()  # every narrower number is also a float64
    if exact.numel() == 0:
        raise ValueError(f"{where}: expected `{name}` of size 1 at least, got an empty matrix.")
    count = int((~exact.isfinite()).sum())
    if count:
        raise ValueError(
            f"{where}: expected finite numbers in `{name}`, got {count} that are not. "
            "Look for the update at which training diverged."
        )
    return exact


def scheme_interval(m: Tensor, beta: float, gamma: float) -> tuple[float, float]:
    r"""Where the real parts lie of every eigenvalue that the symmetric-skew scheme can give.

    .. math::
        S = (1-\beta)(M + M^\top) + \beta(M - M^\top) - \gamma I, \qquad
        2(1-\beta)\lambda_{\min}(M^{sym}) - \gamma \;\le\; \operatorname{Re}\lambda(S)
        \;\le\; 2(1-\beta)\lambda_{\max}(M^{sym}) - \gamma

    with :math:`M^{sym} = (M + M^\top)/2`; mind the factor 2. The symmetric part of S is
    :math:`(1-\beta)(M + M^\top) - \gamma I`, and the real part of an eigenvalue is a Rayleigh
    quotient of it. So the ends are attained by the eigenvalues of that symmetric part; those of S
    itself need not come near them.

    Args:
        m: The free matrix M, shape ``(N, N)``. Computed with in float64.
        beta: β in [0, 1].
        gamma: γ, at least 0.

    Returns:
        The lower and the upper end, up to rounding. A negative upper end makes S contracting.

    Raises:
        TypeError: If ``m`` is not a floating-point tensor, or β or γ not a number.
        ValueError: If ``m`` is not square or not finite, or β or γ is out of range.

    Examples:
        >>> m = torch.tensor([[1.0, 5.0], [-5.0, 3.0]])
        >>> scheme_interval(m, beta=0.75, gamma=0.5)
        (0.0, 1.0)

    References:
        Bendixson (1902), Sur les racines d'une équation fondamentale, Acta Math. 25.
    """
    exact = as_finite_double("scheme_interval", "m", m)
    require_in_range("scheme_interval", "beta", beta, 0, 1)
    require_in_range("scheme_interval", "gamma", gamma, 0)
    doubled = torch.linalg.eigvalsh(exact + exact.mT)  # those of 2 M^sym, ascending
    low, high = float(doubled[0]), float(doubled[-1])
    return (1 - beta) * low - gamma, (1 - beta) * high - gamma


def imaginary_bound(m: Tensor, beta: float) -> float:
    r"""Bound on the imaginary parts of the eigenvalues that the symmetric-skew scheme can give.

    .. math:: |\operatorname{Im}\lambda(S)| \le \beta\,\|M - M^\top\|_2

    The imaginary part of an eigenvalue is a Rayleigh quotient of the skew part of S, which is
    :math:`\beta (M - M^\top)`. Attained where M is skew-symmetric.

    Args:
        m: The free matrix M, shape ``(N, N)``. Computed with in float64.
        beta: β in [0, 1].

    Returns:
        The bound, up to rounding.

    Raises:
        TypeError: If ``m`` is not a floating-point tensor, or β not a number.
        ValueError: If ``m`` is not square or not finite, or β is out of range.

    Examples:
        >>> m = torch.tensor([[1.0, 5.0], [-5.0, 3.0]])
        >>> round(imaginary_bound(m, beta=0.75), 4)
        7.5

    References:
        Bendixson (1902), Sur les racines d'une équation fondamentale, Acta Math. 25.
    """
    exact = as_finite_double("imaginary_bound", "m", m)
    require_in_range("imaginary_bound", "beta", beta, 0, 1)
    return beta * float(torch.linalg.matrix_norm(exact - exact.mT, 2))
