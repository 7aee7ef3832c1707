"""Run one cell over a sequence."""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lipschitz_rnn.nn.state import State, map_state, stack_states, where_state
from lipschitz_rnn.ops.exported import fold


def takes_dt(cell: nn.Module | type[nn.Module]) -> bool:
    """Whether a cell's forward has a keyword ``dt``."""
    parameters = inspect.signature(cell.forward).parameters
    # a wrapper such as torch.compile's takes anything and hands it on
    return "dt" in parameters or any(p.kind == p.VAR_KEYWORD for p in parameters.values())


def run_cell(
    where: str,
    cell: nn.Module,
    takes_dt: bool,
    input: Tensor,
    state: State | None,
    dt: Tensor | None,
    valid: Tensor | None,
    output: str,
) -> tuple[State | None, State]:
    """A cell over a time-major batch, by its own ``scan`` if it has one that can."""
    if dt is not None and not takes_dt:
        expected = "a cell whose forward takes `dt` for irregular time"
        raise TypeError(f"{where}: expected {expected}, got {type(cell).__name__}.")
    # asked of the class: a wrapper such as torch.compile's would hand on that of the cell inside
    scan = getattr(type(cell), "scan", None)
    if scan is None or not (takes_dt or valid is None):
        return unroll(cell, input, state, dt, valid)
    if valid is not None and dt is None:  # a step of length zero keeps the state
        dt = valid.to(input.dtype)
    found: tuple[State | None, State] = scan(cell, input, state, dt, output=output)
    return found


def unroll(
    cell: nn.Module, input: Tensor, state: State | None, dt: Tensor | None, valid: Tensor | None
) -> tuple[State, State]:
    """All states of a cell, (T, B, H) each, for a time-major input, and the last one.

    Args:
        cell: Maps (B, P) and a state to the next state.
        input: (T, B, P), T at least 1.
        state: Initial state, or None for the cell's own.
        dt: (T,) or (T, B), or None for a cell without.
        valid: (T, B), what is no padding, or None if nothing is. Over padding the state stays as it
            is: integrated on, it could overflow and spoil gradients.

    Returns:
        The states, and the last one apart: taken from the others, it would cost them a gradient.
    """
    # Not torch's `parametrize.cached()`: its cache is shared by all threads, so that another one
    # would train on weights of before its update; and it cannot be traced.
    step = cell.bind() if hasattr(type(cell), "bind") else cell  # type: ignore[operator]
    if torch.compiler.is_exporting():
        return _fold(cell, step, input, state, dt, valid)
    times = None if dt is None else dt.view(len(dt), -1).expand(input.shape[:2]).unbind(0)
    keep = None if valid is None else valid.unsqueeze(-1).unbind(0)  # T x (B, 1)
    states: list[State] = []
    # unbind, never an index: see `_loop` in ops/reference.py
    for t, x in enumerate(input.unbind(0)):
        new = step(x, state) if times is None else step(x, state, dt=times[t])
        # the first step of a sequence is never padding, so there is an old state to keep
        state = new if keep is None or state is None else where_state(keep[t], new, state)
        states.append(state)
    return stack_states(states), states[-1]


def _fold(
    cell: nn.Module,
    step: Callable[..., State],
    input: Tensor,
    state: State | None,
    dt: Tensor | None,
    valid: Tensor | None,
) -> tuple[State, State]:
    """The loop as one operator, for a program that is exported."""
    if state is None:
        if not (isinstance(cell, nn.RNNCellBase) or hasattr(cell, "state_parts")):
            raise ValueError(
                f"{type(cell).__name__}: expected `hx` under torch.export, got None. Hand it in: "
                "how this cell begins is not known."
            )
        state = map_state(torch.zeros_like, step(input.select(0, 0), None))
    times = None if dt is None else dt.reshape(dt.shape[0], -1).expand(input.shape[:2])
    keep = None if valid is None else valid.unsqueeze(-1)

    def advance(state: State, inputs: tuple[Tensor | None, ...]) -> State:
        x, length, keep = inputs
        new: State = step(x, state) if length is None else step(x, state, dt=length)
        return new if keep is None else where_state(keep, new, state)

    found: tuple[State, State] = fold(advance, state, (input, times, keep))
    return found
