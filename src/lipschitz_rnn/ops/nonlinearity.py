"""The elementwise nonlinearities, with what a stability proof needs to know about each."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lipschitz_rnn._base.checks import require_choice


@dataclass(frozen=True)
class Nonlinearity:
    r"""An elementwise function :math:`\sigma` and the sector its slopes lie in.

    .. math:: s_{\min} (x - y) \le \sigma(x) - \sigma(y) \le s_{\max} (x - y) \quad\text{for all } x
    \ge y

    Both bounds are tight (infimum and supremum of the slopes).

    Attributes:
        name: The string that the ``nonlinearity`` arguments accept.
        function: The function itself, differentiable by torch.
        slope_min: :math:`s_{\min}`.
        slope_max: :math:`s_{\max}`.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    slope_min: float
    slope_max: float

    @property
    def lipschitz_constant(self) -> float:
        """The smallest L with ``|σ(x) - σ(y)| <= L |x - y|``."""
        return max(abs(self.slope_min), abs(self.slope_max))

    @property
    def monotone(self) -> bool:
        """Whether σ never decreases."""
        return self.slope_min >= 0


def _softplus(x: Tensor) -> Tensor:
    # torch's softplus turns into the identity above a threshold of 20, which costs float64 its last
    # 9 digits' accuracy (and gradcheck its exactness); logaddexp is accurate everywhere.
    return torch.logaddexp(x, torch.zeros_like(x))


def _identity(x: Tensor) -> Tensor:
    return x


NONLINEARITIES: dict[str, Nonlinearity] = {
    item.name: item
    for item in (
        Nonlinearity("tanh", torch.tanh, 0.0, 1.0),
        Nonlinearity("relu", functional.relu, 0.0, 1.0),
        Nonlinearity("sigmoid", torch.sigmoid, 0.0, 0.25),
        Nonlinearity("softplus", _softplus, 0.0, 1.0),
        Nonlinearity("sine", torch.sin, -1.0, 1.0),
        Nonlinearity("identity", _identity, 1.0, 1.0),
    )
}
"""Every nonlinearity that can be asked for by name."""


def as_nonlinearity(where: str, value: str | Nonlinearity) -> Nonlinearity:
    """Look a name up; a :class:`Nonlinearity` passes through."""
    if isinstance(value, Nonlinearity):
        return value
    require_choice(where, "nonlinearity", value, NONLINEARITIES)
    return NONLINEARITIES[value]
