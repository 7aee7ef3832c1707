"""Long expressive memory."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lipschitz_rnn._base.checks import require_in_range
from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.init import uniform_fan_in_
from lipschitz_rnn.nn.units.looped import LoopCell, Weights

Pair = tuple[Tensor, Tensor]


class LEMCell(LoopCell):
    r"""One step of a long expressive memory (LEM) unit.

    .. math::
        \Delta_1 &= D\,\mathrm{sigmoid}(W_1 y + V_1 u + b_1), \qquad
        \Delta_2 = D\,\mathrm{sigmoid}(W_2 y + V_2 u + b_2) \\
        z_{+} &= (1 - \Delta_1) \circ z + \Delta_1 \circ \tanh(W_z y + V_z u + b_z) \\
        y_{+} &= (1 - \Delta_2) \circ y + \Delta_2 \circ \tanh(W_y z_{+} + V_y u + b_y)

    Args:
        input_size: P, features of the input.
        hidden_size: H, features of the state.
        step_size: D, above 0: the longest step.
        bias: Whether there are biases.
        device: Of the parameters.
        dtype: Of the parameters.

    Shape:
        - input: (B, P) or (P,)
        - hx: (y, z), each (B, H) or (H,)
        - Output: (y, z), likewise; y is the output of the layer

    Attributes:
        weight_ih: V_1, V_2, V_z, V_y on top of each other, (4H, P).
        weight_hh: W_1, W_2, W_z, which act on y, (3H, H).
        weight_zh: W_y, which acts on z, (H, H).
        bias: b_1, b_2, b_z, b_y, (4H,), or None.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a value is out of range.

    Note:
        All parameters start uniform in ±1/√H, as in :class:`torch.nn.LSTM`.

    Examples:
        >>> cell = LEMCell(1, 128)
        >>> sum(p.numel() for p in cell.parameters())  # with 10 classes 67850, "68K" in the paper
        66560

    References:
        Rusch, Mishra, Erichson, Mahoney (2022), Long Expressive Memory for Sequence Modeling, ICLR.
    """

    state_parts = ("y", "z")
    weight_zh: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        step_size: float = 1.0,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, {"step_size": step_size, "bias": bias})
        require_in_range(self._where, "step_size", step_size, 0, open_low=True)
        self._add("weight_ih", 4 * hidden_size, input_size, device=device, dtype=dtype)
        self._add("weight_hh", 3 * hidden_size, hidden_size, device=device, dtype=dtype)
        self._add("weight_zh", hidden_size, hidden_size, device=device, dtype=dtype)
        self._add("bias", 4 * hidden_size, device=device, dtype=dtype, wanted=bias)
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
            dt: The longest step is ``step_size * dt``: a number, or (B,).

        Returns:
            The next (y, z), shapes and dtype of ``hx``.
        """
        new: Pair = self._batched(self.bind(), input, hx, dt)
        return new

    def vector_field(self, input: Tensor, hx: Pair) -> Pair:
        r"""Right-hand side (dy/dt, dz/dt) of the system that the unit discretises.

        .. math::
            \dot y = \mathrm{sigmoid}(\cdot_2) \circ \bigl(\tanh(W_y z + V_y u + b_y) - y\bigr),
            \qquad
            \dot z = \mathrm{sigmoid}(\cdot_1) \circ \bigl(\tanh(W_z y + V_z u + b_z) - z\bigr)

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

    def _gates(self, weights: Weights, input: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Both sigmoids, what z is drawn to, and the input's share of what y is drawn to."""
        v, w, _, b = weights
        first, second, memory = functional.linear(y, w).chunk(3, -1)
        v_1, v_2, v_z, v_y = functional.linear(input, v, b).chunk(4, -1)
        gates = torch.sigmoid(first + v_1), torch.sigmoid(second + v_2)
        return (*gates, torch.tanh(memory + v_z), v_y)

    def _field(self, weights: Weights, input: Tensor, state: Any, dt: Tensor | None) -> Pair:
        y, z = state
        gate_z, gate_y, goal_z, v_y = self._gates(weights, input, y)
        goal_y = torch.tanh(functional.linear(z, weights[2]) + v_y)
        return gate_y * (goal_y - y), gate_z * (goal_z - z)

    def _step(self, weights: Weights, input: Tensor, state: Any, dt: Tensor | None) -> Pair:
        y, z = state
        step = self._length(dt, y)
        gate_z, gate_y, goal_z, v_y = self._gates(weights, input, y)
        step_z, step_y = step * gate_z, step * gate_y
        z = (1 - step_z) * z + step_z * goal_z
        goal_y = torch.tanh(functional.linear(z, weights[2]) + v_y)
        return (1 - step_y) * y + step_y * goal_y, z
