"""Constraints as maps from free parameters, for ``torch.nn.utils.parametrize``."""

import math
from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lipschitz_rnn._base.checks import (
    require_choice,
    require_in_range,
    require_square,
    values_exist,
)
from lipschitz_rnn._base.typing import Device


class UnreachableMatrixError(NotImplementedError, ValueError):
    """A matrix was assigned that the scheme cannot produce.

    A ``ValueError`` to whoever assigns; a ``NotImplementedError`` too, because that is the answer
    by which torch, while registering a parametrisation, learns that there is no inverse.
    """


def _as_matrix(scalar: float | Tensor, m: Tensor) -> float | Tensor:
    """A learned scalar as a (1, 1) matrix of the dtype of ``m``; a fixed one as it is."""
    return scalar.to(m.dtype).reshape(1, 1) if isinstance(scalar, Tensor) else scalar


class UnitInterval(nn.Module):
    r"""A number strictly between 0 and 1: :math:`x = \delta + (1 - 2\delta)\,\mathrm{sigmoid}(r)`.

    The machine epsilon :math:`\delta` of the dtype keeps the ends out of reach where the sigmoid
    itself saturates.
    """

    def forward(self, r: Tensor) -> Tensor:
        """Map the free parameter into (0, 1)."""
        margin = torch.full_like(r, torch.finfo(r.dtype).eps)
        return torch.lerp(margin, 1 - margin, torch.sigmoid(r))

    def right_inverse(self, x: Tensor) -> Tensor:
        """Find the free parameter of ``x``."""
        margin = torch.finfo(x.dtype).eps
        if values_exist(x):
            value = x.detach().item()
            require_in_range("UnitInterval", "value", value, 0, 1, open_low=True, open_high=True)
        return torch.logit((x - margin) / (1 - 2 * margin), eps=margin)


class Positive(nn.Module):
    r"""Numbers strictly above 0, each by itself: :math:`x = \delta + \mathrm{softplus}(r)`.

    :math:`\delta` is the smallest normal number of the dtype; it matters only where softplus
    underflows.
    """

    def forward(self, r: Tensor) -> Tensor:
        """Map free parameters to positive numbers."""
        # a tensor, not a number: see `_step_sizes` in ops/reference.py
        return nn.functional.softplus(r) + torch.full_like(r, torch.finfo(r.dtype).tiny)

    def right_inverse(self, x: Tensor) -> Tensor:
        """Find the free parameter of ``x``."""
        if values_exist(x):
            low = x.detach().min().item()
            require_in_range("Positive", "value", low, 0, open_low=True)
            require_in_range("Positive", "value", x.detach().max().item(), low)
        tiny = torch.finfo(x.dtype).tiny
        x = (x - tiny).clamp(min=tiny)
        return x + torch.log(-torch.expm1(-x))


def register_scalar(
    module: nn.Module,
    name: str,
    value: float,
    constraint: nn.Module | None,
    *,
    device: Device = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Give ``module`` a learned scalar ``name`` that starts at ``value`` and keeps a constraint."""
    if dtype in (torch.float16, torch.bfloat16):
        dtype = torch.float32  # a small number, or a small update of it, would be lost
    parameter = nn.Parameter(torch.tensor(value, device=device, dtype=dtype))
    module.register_parameter(name, parameter)
    if constraint is not None:
        parametrize.register_parametrization(module, name, constraint)


def _largest(x: Tensor) -> float:
    return x.detach().abs().max().item() if x.numel() else 0.0


def _require_rounding(where: str, expected: str, lost: Tensor, scale: float, remedy: str) -> None:
    """Refuse to lose more than rounding: a few units in the last place of the largest entry."""
    distance = _largest(lost)
    if not distance <= 4 * torch.finfo(lost.dtype).eps * scale:
        raise UnreachableMatrixError(
            f"{where}: expected {expected}, got one that is {distance:.3g} off. {remedy} the free "
            "parameter `parametrizations.<name>.original` directly."
        )


class SymmetricSkew(nn.Module):
    r"""The symmetric-skew scheme: a matrix from a free one, β and γ.

    .. math:: S_{\beta,\gamma}(M) = (1-\beta)(M + M^\top) + \beta (M - M^\top) - \gamma I

    ``beta=1`` leaves a skew-symmetric matrix with damping, ``beta=0.5`` gives :math:`M - \gamma I`,
    ``beta=0`` a symmetric matrix. All real parts of the eigenvalues lie in
    :math:`[2(1-\beta)\lambda_{\min}(M^{sym}) - \gamma,\; 2(1-\beta)\lambda_{\max}(M^{sym}) -
    \gamma]` with :math:`M^{sym} = (M + M^\top)/2`.

    Args:
        beta: Mixing of symmetric and skew part, anywhere in [0, 1]; inside (0, 1) if learned.
        gamma: Damping, at least 0; above 0 if learned.
        trainable: Any of ``"beta"`` and ``"gamma"``: learned from the given value on, kept inside
            (0, 1) by a sigmoid and above 0 by a softplus.
        device: Of the learned scalars.
        dtype: Of the learned scalars; float32 where it is half precision.

    Shape:
        - forward and right_inverse: (N, N) to (N, N).

    Attributes:
        beta: β, a float, or a scalar tensor if learned.
        gamma: γ, likewise.

    Raises:
        ValueError: If β or γ is out of range or a name in ``trainable`` is unknown.

    Examples:
        >>> layer = nn.Linear(3, 3)
        >>> _ = parametrize.register_parametrization(layer, "weight", SymmetricSkew(1.0, 0.5))
        >>> symmetric_part = (layer.weight + layer.weight.T) / 2
        >>> bool(torch.equal(symmetric_part, -0.5 * torch.eye(3)))
        True

    References:
        Erichson et al. (2021), Lipschitz Recurrent Neural Networks, eq. (2). The interval follows
        from Bendixson's theorem.
    """

    beta: float | Tensor
    gamma: float | Tensor

    def __init__(
        self,
        beta: float = 0.75,
        gamma: float = 0.001,
        *,
        trainable: Collection[str] = (),
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name in trainable:
            require_choice("SymmetricSkew", "trainable", name, ("beta", "gamma"))
        ends = "beta" in trainable
        require_in_range("SymmetricSkew", "beta", beta, 0, 1, open_low=ends, open_high=ends)
        require_in_range("SymmetricSkew", "gamma", gamma, 0, open_low="gamma" in trainable)
        for name, value, constraint in (
            ("beta", beta, UnitInterval()),
            ("gamma", gamma, Positive()),
        ):
            if name in trainable:
                register_scalar(self, name, value, constraint, device=device, dtype=dtype)
            else:
                setattr(self, name, float(value))

    def forward(self, m: Tensor) -> Tensor:
        """Map the free matrix M to S."""
        require_square("SymmetricSkew", "m", m)
        # (1-β)(M + Mᵀ) + β(M - Mᵀ) = M + (1-2β)Mᵀ; exactly skew at β=1, symmetric at β=0
        beta, gamma = _as_matrix(self.beta, m), _as_matrix(self.gamma, m)
        eye = torch.eye(m.shape[0], dtype=m.dtype, device=m.device)
        return m + (1 - 2 * beta) * m.mT - gamma * eye

    def right_inverse(self, a: Tensor) -> Tensor:
        """Find the free matrix M that ``forward`` maps to ``a``.

        With β at an end only one part of M is determined; the other is set to zero.

        Args:
            a: The matrix to be produced, shape (N, N).

        Returns:
            M, shape (N, N).

        Raises:
            UnreachableMatrixError: If β = 0 or 1 and ``a`` is not of the form the scheme produces.
        """
        require_square("SymmetricSkew", "a", a)
        beta, gamma = _as_matrix(self.beta, a), _as_matrix(self.gamma, a)
        shifted = a + gamma * torch.eye(a.shape[0], dtype=a.dtype, device=a.device)
        symmetric, skew = (shifted + shifted.mT) / 2, (shifted - shifted.mT) / 2
        if isinstance(beta, Tensor) or 0 < beta < 1:
            return symmetric / (2 * (1 - beta)) + skew / (2 * beta)
        return self._one_part(symmetric, skew, shifted)

    def _one_part(self, symmetric: Tensor, skew: Tensor, shifted: Tensor) -> Tensor:
        """The free matrix for β at an end, where one of the two parts must vanish."""
        beta = self.beta
        if not values_exist(shifted):
            raise UnreachableMatrixError(
                "SymmetricSkew: expected a matrix whose values can be read to assign a weight "
                f"with beta={beta}, got one on {shifted.device}."
            )
        kept, lost, form = (
            (skew, symmetric, "skew-symmetric") if beta == 1 else (symmetric, skew, "symmetric")
        )
        _require_rounding(
            "SymmetricSkew",
            f"a {form} matrix minus gamma*I to assign a weight with beta={beta}",
            lost,
            scale=_largest(shifted) + float(self.gamma),
            remedy="Construct with 0 < beta < 1, or set",
        )
        return kept / 2

    def extra_repr(self) -> str:
        """The scalars, as the constructor takes them."""
        parts = []
        for name in ("beta", "gamma"):
            scalar = getattr(self, name)
            learned = isinstance(scalar, Tensor)
            shown = "learned" if learned else f"{scalar:g}"
            if learned and values_exist(scalar.detach()):
                shown = f"{scalar.detach().item():g} (learned)"
            parts.append(f"{name}={shown}")
        return ", ".join(parts)


class SkewEntries(nn.Module):
    r"""A skew-symmetric matrix with damping, from its N(N-1)/2 free entries alone.

    .. math:: S(v) = c\,(L - L^\top) - \gamma I

    where v fills the strictly lower triangle L row by row. :class:`SymmetricSkew` with β = 1
    reaches the same matrices from N² parameters.

    Args:
        gamma: Damping γ, at least 0.
        scale: The number c, not 0.

    Shape:
        - forward: (N(N-1)/2,) to (N, N); right_inverse: back.

    Raises:
        ValueError: If γ or c is out of range.

    Examples:
        >>> SkewEntries()(torch.tensor([1.0, 2.0, 3.0])).tolist()
        [[0.0, -1.0, -2.0], [1.0, 0.0, -3.0], [2.0, 3.0, 0.0]]
    """

    def __init__(self, gamma: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        require_in_range("SkewEntries", "gamma", gamma, 0)
        require_in_range("SkewEntries", "abs(scale)", abs(scale), 0, open_low=True)
        self.gamma = float(gamma)
        self.scale = float(scale)

    def forward(self, v: Tensor) -> Tensor:
        """Map the free entries to S."""
        size = (1 + math.isqrt(1 + 8 * v.shape[0])) // 2  # the N with N(N-1)/2 entries
        lower = self.scale * v.new_zeros(size, size).index_put(_below(size, v.device), v)
        eye = torch.eye(size, dtype=v.dtype, device=v.device)
        return lower - lower.mT - self.gamma * eye

    def right_inverse(self, a: Tensor) -> Tensor:
        """Read the free entries off a matrix of that form."""
        require_square("SkewEntries", "a", a)
        if values_exist(a):
            shifted = a + self.gamma * torch.eye(a.shape[0], dtype=a.dtype, device=a.device)
            expected = "a skew-symmetric matrix minus gamma*I to assign a weight"
            scale = _largest(a) + self.gamma
            _require_rounding("SkewEntries", expected, shifted + shifted.mT, scale, "Set")
        return a[_below(a.shape[0], a.device)] / self.scale


def _below(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and column of every place below the diagonal, row by row."""
    rows, columns = torch.tril_indices(size, size, -1, device=device)
    return rows, columns
