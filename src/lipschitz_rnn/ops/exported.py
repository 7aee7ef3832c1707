"""The loop over time as one operator, for programs that ``torch.export`` makes.

Unrolled, a program would grow with its sequences and be good for one length only.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


def fold(
    step: Callable[[Any, tuple[Tensor | None, ...]], Any],
    state: Any,
    inputs: tuple[Tensor | None, ...],
) -> tuple[Any, Any]:
    """``state = step(state, inputs[t])`` for every t.

    Args:
        step: Keeps shapes, strides and dtypes of the state.
        state: One tensor or a tuple of them.
        inputs: (T, ...) each, T at least 1; a None is handed on.

    Returns:
        All states, (T, ...) each, and the last one.
    """
    from torch._higher_order_ops.scan import scan  # a prototype of torch's: needed here alone

    present = [x for x in inputs if x is not None]

    def advance(state: Any, slices: list[Tensor]) -> tuple[Any, Any]:
        found = iter(slices)
        # the operator wants nothing it is given among its results, and nothing twice
        new = pytree.tree_map(
            torch.clone, step(state, tuple(None if x is None else next(found) for x in inputs))
        )
        return new, pytree.tree_map(torch.clone, new)

    # a copy, for one of several states that lies within a larger tensor: torch takes the place
    # where it begins for a size, which must then be that of anything else of the same number
    last, states = scan(advance, pytree.tree_map(torch.clone, state), present)
    return states, last
