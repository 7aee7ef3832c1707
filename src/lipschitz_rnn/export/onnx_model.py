"""A model as one ONNX graph: over whole sequences, or one step of a stream."""

import json
from collections.abc import Sequence

import onnx
import torch
from onnx import helper

import lipschitz_rnn
from lipschitz_rnn.export.interface import Interface
from lipschitz_rnn.export.onnx_graph import Graph, Value, declare, initializers
from lipschitz_rnn.export.onnx_loop import Extras, State, loop
from lipschitz_rnn.export.onnx_series import filled, patched, pooled, zeros
from lipschitz_rnn.nn import LanguageModel, SequenceRegressor
from lipschitz_rnn.nn.pooled import PooledRegressor

OPSET = 17
"""Of the operators: the first one with LayerNormalization."""

IR_VERSION = 8
"""Of the file: what came with that opset, so that runtimes of then can read it."""


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
    x, extras = _read(face, given)
    x, finals = _layers(face, face.encoder(x), _starts(face, given, x), extras)
    results = [_answers(face, x, finals, extras)]
    if not face.whole:
        results += _joined(graph, finals)
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
    if face.patches is not None:
        found |= {"patch": face.patches.patch, "window": face.patches.window}
    return {name: json.dumps(value, ensure_ascii=False) for name, value in found.items()}


def _timed_first(face: Interface, x: Value, axes: int) -> Value:
    """(T, B, ...) from the model's layout, or back."""
    if face.step or not face.layer.batch_first:
        return x
    made: Value = x.graph.node("Transpose", x, perm=(1, 0, 2)[:axes])
    return made


def _read(face: Interface, given: dict[str, Value]) -> tuple[Value, Extras]:
    """The input of the first layer or its encoder, and what goes along with it."""
    name = next(iter(given))
    axes = len(face.inputs()[name][1])
    x = _timed_first(face, given[name], axes)
    dt = _timed_first(face, given["dt"], 2) if face.dt else None
    lengths = given.get("lengths")
    if face.mask:
        how = "hold" if face.patches is not None else getattr(face.layer, "missing", "hold")
        x = filled(x, _timed_first(face, given["mask"], axes), how)
    if face.patches is not None:
        x, dt, lengths = patched(face.patches, x, dt, lengths)
    if lengths is None:
        return x, Extras(dt)
    graph = x.graph
    steps = graph.node("Shape", x, start=0, end=1, dtype=torch.int64)
    times = graph.node("Range", torch.tensor(0), graph.node("Squeeze", steps), torch.tensor(1))
    times = graph.node("Unsqueeze", times, torch.tensor([1]))
    valid = graph.node("Less", times, lengths, dtype=torch.bool)
    dt = None if dt is None else torch.where(valid, dt, 0.0)  # type: ignore[call-overload]
    return x, Extras(dt, lengths, valid)


def _starts(face: Interface, given: dict[str, Value], x: Value) -> list[State]:
    """The initial state of each layer and direction."""
    if face.whole:
        nothing = zeros(x, face.layer.hidden_size)
        return [(nothing,) * len(unit.parts) for unit in face.units]

    def pick(name: str, index: int) -> Value:
        made: Value = x.graph.node("Gather", given[name], torch.tensor(index), axis=0)
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
                wanted = face.reads_every_state or not last_layer
                output, final = loop(unit, x, start, extras, wanted)
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


def _answers(face: Interface, x: Value, finals: Sequence[State], extras: Extras) -> Value:
    """What the model answers, in its layout."""
    model, valid = face.reader, extras.valid
    last = [state[0] for state in finals[-face.directions :]]
    if isinstance(model, PooledRegressor):
        x = model.head(pooled(x, _side_by_side(last), extras))
    elif isinstance(model, SequenceRegressor):
        x = model._answer(x if model.every_step else _side_by_side(last))  # type: ignore
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
