"""Recurrent layers as steps: what they compute of one input, in torch's code."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis.layers import cell_options
from lipschitz_rnn.nn import LipschitzRNN, RecurrentLayer
from lipschitz_rnn.nn.unit import UnitOptions, unit_weights
from lipschitz_rnn.nn.units.looped import LoopCell
from lipschitz_rnn.nn.unroll import takes_dt
from lipschitz_rnn.ops import reference
from lipschitz_rnn.ops.call import ScanCall
from lipschitz_rnn.ops.nonlinearity import as_nonlinearity
from lipschitz_rnn.ops.tableau import as_tableau

Step = Callable[[Any, tuple[Any, ...], Any], tuple[Any, ...]]
"""``(input (B, P), state, dt (B,) or None) -> state``, of tensors or what stands for them."""


@dataclass(frozen=True)
class UnitStep:
    """One layer and direction.

    Attributes:
        name: ``"l0"``, ``"l0_reverse"``, ``"l1"``, ...
        parts: Names of the tensors of its state, the output first.
        step: What it computes of one input.
        timed: Whether it takes times.
        step_size: ε of a Lipschitz unit, which a time of zero leaves as it is; None of others.
    """

    name: str
    parts: tuple[str, ...]
    step: Step
    timed: bool = False
    step_size: float | None = None


def unit_steps(where: str, layer: nn.Module) -> list[UnitStep]:
    """The units of a layer, in torch's order.

    Args:
        where: Who asks, in error messages.
        layer: A :class:`LipschitzRNN`, a :class:`RecurrentLayer`, or torch's RNN, GRU or LSTM.

    Returns:
        One entry for each layer and direction.

    Raises:
        InputError: If the layer is of another kind, or an LSTM with projections.
    """
    if isinstance(layer, LipschitzRNN):
        return [_lipschitz(s[1:], layer, s, layer.options) for s in layer._suffixes]
    if isinstance(layer, RecurrentLayer):
        count = layer.num_directions
        names = (f"l{i // count}{'_reverse' if i % count else ''}" for i in itertools.count())
        return [_of_cell(name, cell) for name, cell in zip(names, layer.cells, strict=False)]
    kind = _GATES.get(type(layer).__name__.removeprefix("Parametrized"))
    if kind is None or not isinstance(layer, nn.RNNBase) or layer.proj_size:
        raise InputError(
            f"{where}: expected a LipschitzRNN, a RecurrentLayer, or torch's RNN, GRU or LSTM "
            f"without projections, alone or in a model, got {type(layer).__name__}."
        )
    ends = ("", "_reverse") if layer.bidirectional else ("",)
    suffixes = [f"_l{i}{end}" for i in range(layer.num_layers) for end in ends]
    return [UnitStep(suffix[1:], kind[0], kind[1](layer, suffix)) for suffix in suffixes]


def _lipschitz(name: str, module: nn.Module, suffix: str, options: UnitOptions) -> UnitStep:
    a, w, u, b, *gate = unit_weights(module, suffix, options)
    size: float = options.step_size
    if "step_size" in options.trainable:
        size = float(getattr(module, "step_size" + suffix))
    tableau = as_tableau("LipschitzRNN", options.method)
    sigma = as_nonlinearity("LipschitzRNN", options.nonlinearity)
    u_gate, b_gate = gate or (None, None)
    call = ScanCall(u, u, a, w, u, b, size, tableau, sigma, options.substeps, u_gate, b_gate)
    matrices = reference.stack_matrices(a, w)

    def step(input: Tensor, state: tuple[Tensor, ...], dt: Tensor | None) -> tuple[Tensor, ...]:
        z, z_gate = reference.project(call, input, u, b), None
        if u_gate is not None:
            z_gate = reference.project(call, input, u_gate, b_gate)
        length = size / options.substeps
        steps = length if dt is None else dt.unsqueeze(-1) * length
        return (reference.advance(call, matrices, state[0], z, z_gate, steps),)

    return UnitStep(name, ("h",), step, True, size)


def _of_cell(name: str, cell: nn.Module) -> UnitStep:
    options = cell_options(cell)
    if isinstance(cell, LoopCell):
        return UnitStep(name, cell.state_parts, _looped(cell), takes_dt(cell))
    if options is not None:
        return _lipschitz(name, cell, "", options)
    kind = _GATES.get(type(cell).__name__.removesuffix("Cell").removeprefix("Parametrized"))
    if isinstance(cell, nn.RNNCellBase) and kind is not None:
        return UnitStep(name, kind[0], kind[1](cell, ""))
    return UnitStep(name, _parts_of(cell), _as_it_is(cell), takes_dt(cell))


def _looped(cell: LoopCell) -> Step:
    weights = cell._weights()

    def step(input: Tensor, state: tuple[Tensor, ...], dt: Tensor | None) -> tuple[Tensor, ...]:
        return _as_tuple(cell._step(weights, input, _as_state(state), dt))

    return step


def _as_it_is(cell: nn.Module) -> Step:
    def step(input: Tensor, state: tuple[Tensor, ...], dt: Tensor | None) -> tuple[Tensor, ...]:
        times: dict[str, Any] = {} if dt is None else {"dt": dt}
        return _as_tuple(cell(input, _as_state(state), **times))

    return step


def _parts_of(cell: nn.Module) -> tuple[str, ...]:
    """Names for the state of a cell of a user's own, by what it answers once."""
    parameter = next(cell.parameters(), torch.zeros(()))
    size: Any = cell.input_size
    answer = cell(parameter.new_zeros(1, size))
    return ("h",) if isinstance(answer, Tensor) else tuple(f"h{i}" for i in range(len(answer)))


def _as_tuple(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def _as_state(state: tuple[Any, ...]) -> Any:
    return state[0] if len(state) == 1 else state


def _gates(module: nn.Module, suffix: str) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """What torch's own units make of the input and of the state."""
    weights = [getattr(module, f"weight_{name}{suffix}") for name in ("ih", "hh")]
    biases = [getattr(module, f"bias_{name}{suffix}", None) for name in ("ih", "hh")]

    def gates(input: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        first, second = zip(weights, biases, strict=True)
        return functional.linear(input, *first), functional.linear(h, *second)

    return gates


def _rnn(module: nn.Module, suffix: str) -> Step:
    gates, sigma = _gates(module, suffix), getattr(torch, str(module.nonlinearity))

    def step(input: Tensor, state: tuple[Tensor, ...], dt: None) -> tuple[Tensor, ...]:
        ours, theirs = gates(input, state[0])
        return (sigma(ours + theirs),)

    return step


def _gru(module: nn.Module, suffix: str) -> Step:
    gates = _gates(module, suffix)

    def step(input: Tensor, state: tuple[Tensor, ...], dt: None) -> tuple[Tensor, ...]:
        (h,) = state
        (i_r, i_z, i_n), (h_r, h_z, h_n) = (x.chunk(3, -1) for x in gates(input, h))
        n = torch.tanh(i_n + torch.sigmoid(i_r + h_r) * h_n)
        return (n + torch.sigmoid(i_z + h_z) * (h - n),)

    return step


def _lstm(module: nn.Module, suffix: str) -> Step:
    gates = _gates(module, suffix)

    def step(input: Tensor, state: tuple[Tensor, ...], dt: None) -> tuple[Tensor, ...]:
        h, c = state
        ours, theirs = gates(input, h)
        i, f, g, o = (ours + theirs).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    return step


_GATES: dict[str, tuple[tuple[str, ...], Callable[[nn.Module, str], Step]]] = {
    "RNN": (("h",), _rnn),
    "GRU": (("h",), _gru),
    "LSTM": (("h", "c"), _lstm),
}
"""torch's own units, whose steps torch does not write in Python."""
