"""Recurrent states: one tensor, or a tuple of tensors for cells like the LSTM's."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

State = Tensor | tuple[Tensor, ...]
"""A recurrent state: one tensor, or several, the output first."""


def map_state(function: Callable[[Tensor], Tensor], state: State) -> State:
    """Apply a function to the tensor, or to each tensor of the tuple."""
    if isinstance(state, Tensor):
        return function(state)
    return tuple(function(part) for part in state)


def output_of(state: State) -> Tensor:
    """The part of a state that is the layer's output."""
    return state if isinstance(state, Tensor) else state[0]


def stack_states(states: Sequence[State]) -> State:
    """Stack states along a new first axis."""
    if isinstance(states[0], Tensor):
        return torch.stack(states)  # type: ignore[arg-type]
    return tuple(torch.stack(parts) for parts in zip(*states, strict=True))


def where_state(condition: Tensor, yes: State, no: State) -> State:
    """``yes`` for the rows where the condition, (B, 1), holds; ``no`` for the others."""
    if isinstance(yes, Tensor):
        return torch.where(condition, yes, no)  # type: ignore[arg-type]
    return tuple(torch.where(condition, y, n) for y, n in zip(yes, no, strict=True))
