"""The coupled oscillatory RNN."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lipschitz_rnn._base.checks import require_in_range
from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.init import uniform_fan_in_
from lipschitz_rnn.nn.units.looped import LoopCell, Weights

Pair = tuple[Tensor, Tensor]


class CoRNNCell(LoopCell):
    r"""One step of a coupled oscillatory RNN (coRNN).

    .. math::
        \ddot y = \tanh(W y + W_z \dot y + V u + b) - \gamma y - \epsilon \dot y

    with the velocity :math:`z = \dot y` advanced first, and y by the new velocity:

    .. math::
        z_{+} = z + \Delta \bigl(\tanh(W y + W_z z + V u + b) - \gamma y - \epsilon z\bigr), \qquad
        y_{+} = y + \Delta z_{+}

    Args:
        input_size: P, features of the input.
        hidden_size: H, number of oscillators.
        gamma: γ, at least 0: stiffness.
        epsilon: ϵ, at least 0: damping.
        step_size: Δ, above 0.
        bias: Whether there is a bias b.
        device: Of the parameters.
        dtype: Of the parameters.

    Shape:
        - input: (B, P) or (P,)
        - hx: (y, z), each (B, H) or (H,)
        - Output: (y, z), likewise; y is the output of the layer

    Attributes:
        weight_ih: V, (H, P).
        weight_hh: W, (H, H).
        weight_zh: W_z, (H, H).
        bias: b, (H,), or None.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a value is out of range.

    Note:
        All parameters start uniform in ±1/√H, as in :class:`torch.nn.RNN`.

    Examples:
        >>> cell = CoRNNCell(1, 128)
        >>> sum(p.numel() for p in cell.parameters())  # with 10 classes 34314, "34K"
        33024
        >>> y, z = cell(torch.randn(4, 1))
        >>> y.shape
        torch.Size([4, 128])

    References:
        Rusch, Mishra (2021), Coupled Oscillatory Recurrent Neural Network (coRNN): An Accurate and
        (Gradient) Stable Architecture for Learning Long Time Dependencies, ICLR.
    """

    state_parts = ("y", "z")
    weight_zh: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        gamma: float = 2.7,
        epsilon: float = 4.7,
        step_size: float = 0.042,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        options = {"gamma": gamma, "epsilon": epsilon, "step_size": step_size, "bias": bias}
        super().__init__(input_size, hidden_size, options)
        require_in_range(self._where, "gamma", gamma, 0)
        require_in_range(self._where, "epsilon", epsilon, 0)
        require_in_range(self._where, "step_size", step_size, 0, open_low=True)
        self._add("weight_ih", hidden_size, input_size, device=device, dtype=dtype)
        self._add("weight_hh", hidden_size, hidden_size, device=device, dtype=dtype)
        self._add("weight_zh", hidden_size, hidden_size, device=device, dtype=dtype)
        self._add("bias", hidden_size, device=device, dtype=dtype, wanted=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw initial values."""
        for parameter in self.parameters():
            uniform_fan_in_(parameter, self.hidden_size)

    def forward(
        self, input: Tensor, hx: Pair | None = None, dt: float | Tensor | None = None
    ) -> Pair:
        """Advance the state by one step.

        Args:
            input: Held over the step, (B, P) or (P,).
            hx: (y, z), each (B, H) or (H,); zero if None.
            dt: The step is ``step_size * dt``: a number, or (B,).

        Returns:
            The next (y, z), shapes and dtype of ``hx``.
        """
        new: Pair = self._batched(self.bind(), input, hx, dt)
        return new

    def vector_field(self, input: Tensor, hx: Pair) -> Pair:
        """Right-hand side (dy/dt, dz/dt) for a held input, per unit of time.

        Args:
            input: (B, P) or (P,).
            hx: (y, z), each (B, H) or (H,).

        Returns:
            Shapes of ``hx``.
        """
        slopes: Pair = self._batched(self._bound(self._field), input, hx)
        return slopes

    def _weights(self) -> Weights:
        return self.weight_ih, self.weight_hh, self.weight_zh, self.bias  # type: ignore[return-value]

    def _field(self, weights: Weights, input: Tensor, state: Any, dt: Tensor | None) -> Pair:
        v, w, w_z, b = weights
        y, z = state
        gamma, epsilon = self.options["gamma"], self.options["epsilon"]
        drive = functional.linear(y, w) + functional.linear(z, w_z) + functional.linear(input, v, b)
        return z, torch.tanh(drive) - gamma * y - epsilon * z

    def _step(self, weights: Weights, input: Tensor, state: Any, dt: Tensor | None) -> Pair:
        y, z = state
        step = self._length(dt, y)
        z = z + step * self._field(weights, input, state, dt)[1]
        return y + step * z, z
