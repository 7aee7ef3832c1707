"""Units whose sequences run by a loop over time."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lipschitz_rnn.nn.state import State, map_state, output_of
from lipschitz_rnn.nn.units.base import Step, UnitCell
from lipschitz_rnn.ops.call import LOW_PRECISION, autocast_is_on

Weights = tuple[Tensor, ...]
"""What a step reads; a bias may be None, which the type checker cannot know."""


class LoopCell(UnitCell):
    """A unit whose sequences run by a loop; subclasses give ``_weights`` and ``_step``."""

    def _weights(self) -> Weights:
        raise NotImplementedError

    def _step(self, weights: Weights, input: Tensor, state: Any, dt: Tensor | None) -> State:
        raise NotImplementedError

    def bind(self) -> Step:
        """The step for batches as a function, with every weight read once."""
        return self._bound(self._step)

    def _bound(self, function: Callable[..., State]) -> Step:
        """``function(weights, input, state, dt)`` with weights read once and dtypes seen to."""
        # Half precision computes in float32, which the state then keeps: an update of relative size
        # `step_size` would be lost in 8 bits.
        dtype = self.weight_ih.dtype
        compute = torch.float32 if dtype in LOW_PRECISION else dtype
        weights = tuple(None if w is None else w.to(compute) for w in self._weights())

        def step(input: Tensor, state: State | None = None, dt: Tensor | None = None) -> State:
            self._require_dtypes(input, state, dtype, compute)
            state = self._start(input, compute) if state is None else state
            kept = output_of(state).dtype
            raised = map_state(lambda part: part.to(compute), state)
            new = function(weights, input.to(compute), raised, dt)
            return map_state(lambda part: part.to(kept), new)

        return step

    def _require_dtypes(
        self, input: Tensor, state: State | None, dtype: torch.dtype, compute: torch.dtype
    ) -> None:
        if autocast_is_on(input.device):
            return
        if input.dtype != dtype:
            raise TypeError(
                f"{self._where}: expected `input` of the dtype of the weights, {dtype}, got "
                f"{input.dtype}. Convert one of them with .to(dtype)."
            )
        for part in self._parts(state):
            if part.dtype not in (dtype, compute):
                raise TypeError(
                    f"{self._where}: expected `hx` of the dtype of the weights, {dtype}, got "
                    f"{part.dtype}."
                )

    def _length(self, dt: Tensor | None, like: Tensor) -> float | Tensor:
        """``step_size * dt``, a number or (B, 1) or (1, 1)."""
        step_size: float = self.options["step_size"]
        return step_size if dt is None else step_size * dt.to(like.dtype).reshape(-1, 1)
