"""The antisymmetric RNN, with and without its gate."""

from typing import Any

import torch
from torch import nn

from lipschitz_rnn._base.checks import require_in_range
from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.units.scanned import ScanCell, without_linear_term
from lipschitz_rnn.ops import ButcherTableau, Nonlinearity


class AntisymmetricRNNCell(ScanCell):
    r"""One step of an antisymmetric RNN.

    .. math::
        \dot h = \sigma\bigl((M - M^\top - \gamma I) h + U x + b\bigr), \qquad
        h_{+} = h + \varepsilon \dot h \text{ (Euler)}

    With ``gated=True`` the right-hand side is multiplied by
    :math:`\mathrm{sigmoid}\bigl((M - M^\top - \gamma I) h + U_g x + b_g\bigr)`, the same matrix in
    both. Only the N(N-1)/2 entries of M below its diagonal are parameters: the others add nothing.
    The unit without a gate runs on the native kernel.

    Args:
        input_size: P, features of the input.
        hidden_size: H, features of the state.
        gamma: γ, at least 0: damping.
        step_size: ε, above 0.
        method: ``"euler"``, ``"midpoint"``, ``"heun"``, ``"rk4"`` or a :class:`ButcherTableau`.
        substeps: Integrator steps taken per input.
        nonlinearity: Name of σ, or a :class:`Nonlinearity`.
        gated: Whether there is a gate.
        init_std: The free entries start normal with standard deviation ``init_std / H``; U and b as
            in ``nn.Linear``.
        bias: Whether there are biases b and b_g.
        device: Of the parameters.
        dtype: Of the parameters.

    Shape:
        - input: (B, P) or (P,)
        - hx: (B, H) or (H,)
        - Output: (B, H) or (H,)

    Attributes:
        weight_ih: U, (H, P).
        weight_hh: The whole matrix, (H, H); ``parametrizations.weight_hh.original`` holds its free
            entries, row by row.
        bias: b, (H,), or None.
        weight_gate: U_g, (H, P), if gated.
        bias_gate: b_g, (H,), if gated, or None.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a value is out of range or a name unknown.

    Examples:
        >>> cell = AntisymmetricRNNCell(1, 128)
        >>> sum(p.numel() for p in cell.parameters())  # with 10 classes 9674, "10K" in the paper
        8384
        >>> w = cell.weight_hh
        >>> bool(torch.equal(w + w.T, -2 * 0.001 * torch.eye(128)))
        True

    References:
        Chang, Chen, Haber, Chi (2019), AntisymmetricRNN: A Dynamical System View on Recurrent
        Neural Networks, ICLR.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        gamma: float = 0.001,
        step_size: float = 0.03,
        method: str | ButcherTableau = "euler",
        substeps: int = 1,
        nonlinearity: str | Nonlinearity = "tanh",
        gated: bool = False,
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
            "gated": gated,
            "init_std": init_std,
            "bias": bias,
        }
        super().__init__(input_size, hidden_size, {"gamma": gamma, **options})
        require_in_range(self._where, "gamma", gamma, 0)
        self._unit = without_linear_term(self._where, **options)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self._add("weight_ih", hidden_size, input_size, **place)
        self._add_skew("weight_hh", gamma, **place)
        self.register_parameter("weight_a", None)
        self._add("bias", hidden_size, wanted=bias, **place)
        if gated:
            self._add("weight_gate", hidden_size, input_size, **place)
            self._add("bias_gate", hidden_size, wanted=bias, **place)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw initial values."""
        nn.init.normal_(self._free("weight_hh"), std=self.options["init_std"] / self.hidden_size)
        self._reset_input()
