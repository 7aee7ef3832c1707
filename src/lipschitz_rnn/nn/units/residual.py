"""The residual RNN: a neural ordinary differential equation in discrete time."""

import torch

from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.init import scaled_normal_
from lipschitz_rnn.nn.units.scanned import ScanCell, without_linear_term
from lipschitz_rnn.ops import ButcherTableau, Nonlinearity


class ResidualRNNCell(ScanCell):
    r"""One step of a residual RNN, or neural-ODE RNN.

    .. math::
        \dot h = \sigma(W h + U x + b), \qquad
        h_{+} = h + \varepsilon\,\sigma(W h + U x + b) \text{ (Euler)}

    It is the Lipschitz unit without its linear term and without constraint on W, and runs on the
    same kernels.

    Args:
        input_size: P, features of the input.
        hidden_size: H, features of the state.
        step_size: ε, above 0.
        method: ``"euler"``, ``"midpoint"``, ``"heun"``, ``"rk4"`` or a :class:`ButcherTableau`.
        substeps: Integrator steps taken per input.
        nonlinearity: Name of σ, or a :class:`Nonlinearity`.
        init_std: W starts normal with standard deviation ``init_std / H``; U and b as in
            ``nn.Linear``.
        bias: Whether there is a bias b.
        device: Of the parameters.
        dtype: Of the parameters.

    Shape:
        - input: (B, P) or (P,)
        - hx: (B, H) or (H,)
        - Output: (B, H) or (H,)

    Attributes:
        weight_ih: U, (H, P).
        weight_hh: W, (H, H).
        bias: b, (H,), or None.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a value is out of range or a name unknown.

    Examples:
        >>> cell = ResidualRNNCell(1, 128)
        >>> sum(p.numel() for p in cell.parameters())
        16640
        >>> cell(torch.randn(4, 1)).shape
        torch.Size([4, 128])

    References:
        Chen, Rubanova, Bettencourt, Duvenaud (2018), Neural Ordinary Differential Equations,
        NeurIPS.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        step_size: float = 0.03,
        method: str | ButcherTableau = "euler",
        substeps: int = 1,
        nonlinearity: str | Nonlinearity = "tanh",
        init_std: float = 0.1,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        options = {
            "step_size": step_size,
            "method": method,
            "substeps": substeps,
            "nonlinearity": nonlinearity,
            "init_std": init_std,
            "bias": bias,
        }
        super().__init__(input_size, hidden_size, options)
        self._unit = without_linear_term(self._where, **options)
        self._add("weight_ih", hidden_size, input_size, device=device, dtype=dtype)
        self._add("weight_hh", hidden_size, hidden_size, device=device, dtype=dtype)
        self.register_parameter("weight_a", None)
        self._add("bias", hidden_size, device=device, dtype=dtype, wanted=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw initial values: W small and normal, U and b as in ``nn.Linear``."""
        scaled_normal_(self.weight_hh, self.options["init_std"])
        self._reset_input()
