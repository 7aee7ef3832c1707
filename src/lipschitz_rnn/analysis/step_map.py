"""Every recurrent unit as one map from a state to the next: what the analyses look at."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_shape
from lipschitz_rnn.nn.layout import step_time

Advance = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Field = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class StepMap:
    r"""One step of a recurrent unit as a map of its state, with the weights of one moment.

    .. math:: h_{+} = \Phi(x, h), \qquad J = \partial \Phi / \partial h, \qquad \dot h = f(x, h)

    Made by :func:`layer_cells` and :func:`cell_of`. A state of several parts, such as (y, z) of
    coRNN, counts as one vector of N numbers, its parts behind one another. Noise is off. Nothing
    here is differentiable with respect to weights.

    Attributes:
        name: Where it sits: ``"l0"``, ``"l0_reverse"``, ``"l1"``, ...
        kind: Class that it came from.
        input_size: P.
        hidden_size: H, features of the output: the first H numbers of the state.
        state_size: N, numbers in a state; H unless the state has several parts.
        step_size: Time that a step takes; None for a unit that is no ODE.
        dtype: Of weights, states and results.
        device: Likewise.
        takes_dt: Whether steps can be stretched by ``dt``.
        advance: The step for batches, without checks: ``advance(input, h, dt)``.
        vector_field: f for batches (B, P) and (B, N); None for a unit that is no ODE.
    """

    name: str
    kind: str
    input_size: int
    hidden_size: int
    state_size: int
    step_size: float | None
    dtype: torch.dtype
    device: torch.device
    takes_dt: bool
    advance: Advance = field(repr=False)
    vector_field: Field | None = field(repr=False)

    def start(self, batch: int) -> Tensor:
        """The state zero, (B, N)."""
        return torch.zeros(batch, self.state_size, dtype=self.dtype, device=self.device)

    def step(self, input: Tensor, h: Tensor, dt: float | Tensor | None = None) -> Tensor:
        """The next state, (B, N), for an input (B, P); ``dt`` is a number or (B,)."""
        time = self._checked(input, h, dt)
        with torch.no_grad():
            return self.advance(input, h, time)

    def jacobian(self, input: Tensor, h: Tensor, dt: float | Tensor | None = None) -> Tensor:
        """Derivative of :meth:`step` by the state, (B, N, N): rows for outputs."""
        basis = torch.eye(self.state_size, dtype=self.dtype, device=self.device)
        return self.push(input, h, basis.expand(h.shape[0], -1, -1), dt)

    def push(
        self, input: Tensor, h: Tensor, directions: Tensor, dt: float | Tensor | None = None
    ) -> Tensor:
        """The Jacobian times columns: J V for V, (B, N, K), without forming J."""
        time = self._checked(input, h, dt)
        return _push(lambda state: self.advance(input, state, time), h, directions)

    def pull(
        self, input: Tensor, h: Tensor, covector: Tensor, dt: float | Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """A gradient by the next state, (B, N), as gradients by the input and by ``h``."""
        time = self._checked(input, h, dt)
        back = torch.func.vjp(lambda x, state: self.advance(x, state, time), input, h)[1]
        to_input, to_state = back(covector)
        return to_input, to_state

    def field_jacobian(self, input: Tensor, h: Tensor) -> Tensor:
        """Derivative of the right-hand side f by the state.

        Args:
            input: (B, P).
            h: (B, N).

        Returns:
            (B, N, N), rows for outputs.

        Raises:
            TypeError: If the unit is no ODE.
        """
        vector_field = self.vector_field
        if vector_field is None:
            raise TypeError(
                f"StepMap.field_jacobian: expected a unit that is an ODE, got {self.kind}. "
                "Use `jacobian`, that of its step."
            )
        self._checked(input, h, None)
        basis = torch.eye(self.state_size, dtype=self.dtype, device=self.device)
        columns = basis.expand(h.shape[0], -1, -1)
        return _push(lambda state: vector_field(input, state), h, columns)

    def run(
        self, input: Tensor, hx: Tensor | None = None, dt: float | Tensor | None = None
    ) -> Tensor:
        """The states of a sequence.

        Args:
            input: (T, B, P).
            hx: (B, N); zero if None.
            dt: A number, (T,) or (T, B).

        Returns:
            The initial state and those after each step, (T + 1, B, N).
        """
        require_shape("StepMap.run", "input", input, (None, None, self.input_size), "(T, B, P)")
        states = [self.start(input.shape[1]) if hx is None else hx]
        for x, time in zip(input, step_times(dt, input), strict=True):
            states.append(self.step(x, states[-1], time))
        return torch.stack(states)

    def _checked(self, input: Tensor, h: Tensor, dt: float | Tensor | None) -> Tensor | None:
        where = "StepMap"
        require_shape(where, "input", input, (None, self.input_size), "(B, P)")
        require_shape(where, "h", h, (input.shape[0], self.state_size), "(B, N)")
        for name, tensor in (("input", input), ("h", h)):
            if tensor.dtype != self.dtype:
                raise TypeError(
                    f"{where}: expected `{name}` of the dtype of the weights, {self.dtype}, got "
                    f"{tensor.dtype}. Convert it, or build the unit with layer_cells(.., dtype=..)."
                )
        if dt is not None and not self.takes_dt:
            raise TypeError(f"{where}: expected no `dt` for {self.kind}, got {type(dt).__name__}.")
        return None if dt is None else step_time(where, dt, input)


def step_times(dt: float | Tensor | None, input: Tensor) -> list[float | Tensor | None]:
    """``dt`` for each step of a sequence (T, B, P): from a number, (T,) or (T, B)."""
    steps, batch = input.shape[:2]
    if not isinstance(dt, Tensor) or dt.dim() == 0:
        return [dt] * steps
    shape, letters = ((steps,), "(T,)") if dt.dim() == 1 else ((steps, batch), "(T, B)")
    require_shape("dt", "dt", dt, shape, letters)
    return list(dt)


def _push(function: Callable[[Tensor], Tensor], h: Tensor, directions: Tensor) -> Tensor:
    """Derivative of a function of the state times columns (B, N, K)."""

    def column(direction: Tensor) -> Tensor:
        moved: Tensor = torch.func.jvp(function, (h,), (direction,))[1]
        return moved

    with torch.no_grad():
        columns: Tensor = torch.func.vmap(column, in_dims=-1, out_dims=-1)(directions)
    return columns
