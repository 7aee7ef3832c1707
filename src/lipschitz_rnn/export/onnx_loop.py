"""One unit over whole sequences as one loop of a graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from onnx import helper

from lipschitz_rnn.export.onnx_graph import ELEMENT, Graph, Value, declare
from lipschitz_rnn.export.units import UnitStep

State = tuple[Value, ...]


@dataclass(frozen=True)
class Extras:
    """What a loop reads besides its input.

    Attributes:
        dt: Times, (T, B), zero over padding, or None.
        lengths: Valid steps of each sequence, (B,), or None.
        valid: Which steps are no padding, (T, B), or None.
    """

    dt: Value | None = None
    lengths: Value | None = None
    valid: Value | None = None


def loop(
    unit: UnitStep, x: Value, start: State, extras: Extras, wanted: bool
) -> tuple[Value | None, State]:
    """Run a unit.

    Args:
        unit: It.
        x: Its input, (T, B, P).
        start: The state to begin from.
        extras: What else it reads.
        wanted: Whether the output of all times is.

    Returns:
        That output, (T, B, H), or None; and the last state.
    """
    graph, dt, valid = x.graph, extras.dt, extras.valid
    backward = unit.name.endswith("_reverse")
    if backward:
        x, dt = _turned(x, extras), None if dt is None else _turned(dt, extras)
    holds = unit.step_size is not None  # over a step of length zero
    if holds and valid is not None and dt is None:
        dt = graph.node("Cast", valid, to=ELEMENT[graph.dtype], dtype=graph.dtype)
    body = Graph(graph.dtype, graph)
    old = tuple(Value(body, graph.fresh(part), graph.dtype) for part in unit.parts)
    new = unit.step(x, old, dt)
    if valid is not None and not holds:
        keep: Value = torch.unsqueeze(valid, -1)  # type: ignore
        new = tuple(torch.where(keep, n, o) for n, o in zip(new, old, strict=True))  # type: ignore
    results: list[Value] = []
    for value in (*new, *new[:1]) if wanted else new:
        # a result is made in the body, and is one thing only
        is_made = value.graph is body and value not in (*old, *results)
        results.append(value if is_made else body.node("Identity", value))
    made = _scan(unit, body, x, (old, start), results)
    output = made[len(new)] if wanted else None
    if output is not None and backward:
        output = _turned(output, extras)
    return output, made[: len(new)]


def _turned(x: Value, extras: Extras) -> Value:
    """Backwards in time, each sequence within its own length."""
    if extras.lengths is None:
        back, end = torch.tensor([-1]), torch.tensor([torch.iinfo(torch.int64).min])
        made: Value = x.graph.node("Slice", x, back, end, torch.tensor([0]), back)
    else:
        made = x.graph.node("ReverseSequence", x, extras.lengths, batch_axis=1, time_axis=0)
    return made


def _scan(
    unit: UnitStep, body: Graph, x: Value, states: tuple[State, State], results: Sequence[Value]
) -> tuple[Value, ...]:
    """The loop's node: last states, and the output of all times if the body gives one."""
    old, start = states
    if not body.slices:
        body.take(x)  # a step that reads nothing is taken as often as there are inputs
    slices = body.slices
    made = helper.make_graph(
        body.nodes,
        unit.name,
        [declare(v.name, v.dtype) for v in (*old, *slices.values())],
        [declare(v.name, v.dtype) for v in results],
    )
    found = x.graph.node(
        "Scan",
        *start,
        *(Value(x.graph, name, v.dtype) for name, v in slices.items()),
        outputs=len(results),
        body=made,
        num_scan_inputs=len(slices),
    )
    return found if isinstance(found, tuple) else (found,)
