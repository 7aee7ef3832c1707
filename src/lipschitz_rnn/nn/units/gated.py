"""The gated Lipschitz unit."""

from collections.abc import Iterable
from typing import Any

import torch

from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.unit import UnitOptions, register_unit, reset_unit
from lipschitz_rnn.nn.units.scanned import ScanCell
from lipschitz_rnn.ops import ButcherTableau, Nonlinearity


class GatedLipschitzRNNCell(ScanCell):
    r"""One step of a gated Lipschitz recurrent unit.

    .. math::
        \dot h = \bigl(\alpha A h + \sigma(W h + U x + b)\bigr) \circ
        \mathrm{sigmoid}(W h + U_g x + b_g)

    :class:`LipschitzRNNCell` with ``gated=True``, as a unit of its own. The gate shares W with the
    body and multiplies the linear term too.

    Args:
        input_size: P, features of the input.
        hidden_size: H, features of the state.
        beta: β of both matrices, in [0, 1].
        gamma: γ of both matrices, at least 0.
        beta_a: β of A alone; ``beta`` if None.
        gamma_a: γ of A alone; ``gamma`` if None.
        beta_w: β of W alone; ``beta`` if None.
        gamma_w: γ of W alone; ``gamma`` if None.
        step_size: ε, above 0.
        method: ``"euler"``, ``"midpoint"``, ``"heun"``, ``"rk4"`` or a :class:`ButcherTableau`.
        substeps: Integrator steps taken per input.
        nonlinearity: Name of σ, or a :class:`Nonlinearity`.
        alpha: α; 0 leaves out the linear term and its parameter.
        trainable: Scalars to learn, as in :class:`LipschitzRNNCell`.
        init_std: Free matrices start with standard deviation ``init_std / H``.
        bias: Whether there are biases b and b_g.
        device: Of the parameters.
        dtype: Of the parameters.

    Shape:
        - input: (B, P) or (P,)
        - hx: (B, H) or (H,)
        - Output: (B, H) or (H,)

    Attributes:
        weight_ih: U, (H, P); weight_hh, weight_a and bias as in :class:`LipschitzRNNCell`.
        weight_gate: U_g, (H, P).
        bias_gate: b_g, (H,), or None.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a value is out of range or a name unknown.

    Examples:
        >>> cell = GatedLipschitzRNNCell(1, 128)
        >>> sum(p.numel() for p in cell.parameters())  # with 10 classes 34570
        33280

    References:
        Erichson et al. (2021), Lipschitz Recurrent Neural Networks, ICLR.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        beta: float = 0.75,
        gamma: float = 0.001,
        beta_a: float | None = None,
        gamma_a: float | None = None,
        beta_w: float | None = None,
        gamma_w: float | None = None,
        step_size: float = 0.03,
        method: str | ButcherTableau = "euler",
        substeps: int = 1,
        nonlinearity: str | Nonlinearity = "tanh",
        alpha: float = 1.0,
        trainable: Iterable[str] = (),
        init_std: float = 0.1,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        options: dict[str, Any] = {
            "beta": beta,
            "gamma": gamma,
            "beta_a": beta_a,
            "gamma_a": gamma_a,
            "beta_w": beta_w,
            "gamma_w": gamma_w,
            "step_size": step_size,
            "method": method,
            "substeps": substeps,
            "nonlinearity": nonlinearity,
            "alpha": alpha,
            "trainable": trainable,
            "init_std": init_std,
            "bias": bias,
        }
        super().__init__(input_size, hidden_size, options)
        self._unit = UnitOptions.make(self._where, **options, gated=True)
        self.options["trainable"] = self._unit.trainable
        register_unit(self, "", input_size, hidden_size, self._unit, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the authors' initial values; learned scalars start again."""
        reset_unit(self, "", self.input_size, self._unit)
