"""A model as one ONNX graph: over whole sequences, or one step of a stream."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import onnx
import torch
from onnx import helper

import lipschitz_rnn
from lipschitz_rnn.export.interface import Interface
from lipschitz_rnn.export.onnx_graph import ELEMENT, Graph, Value, declare, initializers
from lipschitz_rnn.export.units import UnitStep
from lipschitz_rnn.nn import LanguageModel, SequenceRegressor

OPSET = 17
"""Of the operators: the first one with LayerNormalization."""

IR_VERSION = 8
"""Of the file: what came with that opset, so that runtimes of then can read it."""

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


def build_onnx(face: Interface) -> onnx.ModelProto:
    """The graph of a model.

    Args:
        face: The model, and what it takes.

    Returns:
        The model in ONNX.
    """
    graph, takes, gives = Graph(face.dtype), face.inputs(), face.outputs()
    given = {name: Value(graph, graph.fresh(name), dtype) for name, (dtype, _) in takes.items()}
    for name in gives:
        graph.fresh(name)  # taken
    x = given[next(iter(given))]
    x = _timed_first(face, x, len(takes[x.name][1]))
    extras = _extras(face, given, x)
    x, finals = _layers(face, face.encoder(x), _starts(graph, face, given), extras)
    results = [_answers(face, x, finals, extras.valid), *_joined(graph, finals)]
    for name, value in zip(gives, results, strict=True):
        graph.nodes.append(helper.make_node("Identity", [value.name], [name]))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "lipschitz_rnn",
            [declare(name, *kind) for name, kind in takes.items()],
            [declare(name, *kind) for name, kind in gives.items()],
            initializers(graph.constants),
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lipschitz-rnn",
        producer_version=lipschitz_rnn.__version__,
    )
    helper.set_model_props(model, _metadata(face))
    return model


def _metadata(face: Interface) -> dict[str, str]:
    """What a reader of the file may want to know, as JSON."""
    layer = face.layer
    found: dict[str, object] = {
        "model": type(face.model).__name__.removeprefix("Parametrized"),
        "layer": " ".join(repr(layer).split()),
        "input_size": layer.input_size,
        "hidden_size": layer.hidden_size,
        "num_layers": layer.num_layers,
        "bidirectional": layer.bidirectional,
        "batch_first": layer.batch_first,
        "step_size": [unit.step_size for unit in face.units],
        "inputs": {name: shape for name, (_, shape) in face.inputs().items()},
        "outputs": {name: shape for name, (_, shape) in face.outputs().items()},
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in found.items()}


def _timed_first(face: Interface, x: Value, axes: int) -> Value:
    """(T, B, ...) from the model's layout, or back."""
    if face.step or not face.layer.batch_first:
        return x
    made: Value = x.graph.node("Transpose", x, perm=(1, 0, 2)[:axes])
    return made


def _extras(face: Interface, given: dict[str, Value], x: Value) -> Extras:
    dt = _timed_first(face, given["dt"], 2) if face.dt else None
    if not face.lengths:
        return Extras(dt)
    graph = x.graph
    steps = graph.node("Shape", x, start=0, end=1, dtype=torch.int64)
    times = graph.node("Range", torch.tensor(0), graph.node("Squeeze", steps), torch.tensor(1))
    times = graph.node("Unsqueeze", times, torch.tensor([1]))
    valid = graph.node("Less", times, given["lengths"], dtype=torch.bool)
    dt = None if dt is None else torch.where(valid, dt, 0.0)  # type: ignore[call-overload]
    return Extras(dt, given["lengths"], valid)


def _starts(graph: Graph, face: Interface, given: dict[str, Value]) -> list[State]:
    """The initial state of each layer and direction."""

    def pick(name: str, index: int) -> Value:
        made: Value = graph.node("Gather", given[name], torch.tensor(index), axis=0)
        return made

    return [tuple(pick(name, index) for name in face.states) for index in range(len(face.units))]


def _layers(
    face: Interface, x: Value, starts: Sequence[State], extras: Extras
) -> tuple[Value, list[State]]:
    """Outputs of the last layer, if asked for, and the last state of each layer and direction."""
    finals: list[State] = []
    pairs = list(zip(face.units, starts, strict=True))
    for first in range(0, len(pairs), face.directions):
        last_layer = first + face.directions == len(pairs)
        outputs = []
        for unit, start in pairs[first : first + face.directions]:
            if face.step:
                final = unit.step(x, start, extras.dt)
                output: Value | None = final[0]
            else:
                wanted = face.answers_every_step or not last_layer
                output, final = _loop(unit, x, start, extras, wanted)
            finals.append(final)
            outputs.append(output)
        if outputs[0] is not None:
            x = _side_by_side(outputs)
    return x, finals


def _side_by_side(values: Sequence[Value | None]) -> Value:
    """What the directions made, as one."""
    first = values[0]
    assert first is not None  # for the type checker: all are wanted, or none
    made: Value = first if len(values) == 1 else torch.cat(values, -1)  # type: ignore
    return made


def _loop(
    unit: UnitStep, x: Value, start: State, extras: Extras, wanted: bool
) -> tuple[Value | None, State]:
    """One unit over whole sequences."""
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


def _answers(face: Interface, x: Value, finals: Sequence[State], valid: Value | None) -> Value:
    """What the model answers, in its layout."""
    model = face.model
    if isinstance(model, SequenceRegressor):
        if not model.every_step:
            x = _side_by_side([state[0] for state in finals[-face.directions :]])
        x = model._answer(x)  # type: ignore
    elif isinstance(model, LanguageModel):
        x = model.head(x)
    if not face.answers_every_step:
        return x
    if valid is not None:
        x = torch.where(torch.unsqueeze(valid, -1), x, 0.0)  # type: ignore
    return _timed_first(face, x, 3)


def _joined(graph: Graph, finals: Sequence[State]) -> list[Value]:
    """Each part of the last state, of all layers and directions."""
    axis = torch.tensor([0])
    return [
        graph.node("Concat", *(graph.node("Unsqueeze", one, axis) for one in part), axis=0)
        for part in zip(*finals, strict=True)
    ]
