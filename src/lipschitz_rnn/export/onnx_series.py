"""What a model of whole series does before and after its loops, as nodes.

These lines are written here a second time: unlike the steps of units they have an axis of time.
"""

import torch

from lipschitz_rnn.export.onnx_graph import ELEMENT, Value
from lipschitz_rnn.export.onnx_loop import Extras, loop
from lipschitz_rnn.export.units import UnitStep
from lipschitz_rnn.nn.patches import Patches
from lipschitz_rnn.nn.pooled import LEAST_SQUARE


def zeros(x: Value, size: int) -> Value:
    """A state of zeros for a sequence (T, B, ...): (B, size)."""
    shape = x.graph.node("Concat", _size(x, 1), torch.tensor([size]), axis=0)
    made: Value = x.graph.node("Expand", 0.0, shape)
    return made


def filled(x: Value, mask: Value, how: str) -> Value:
    """A sequence (T, B, P) without its missing values, as ``fill_missing`` has it."""
    if how == "zero":
        made: Value = torch.where(mask, x, 0.0)  # type: ignore[call-overload]
        return made

    def hold(input: Value, last: tuple[Value, ...], dt: None) -> tuple[Value, ...]:
        return (torch.where(mask, input, last[0]),)  # type: ignore

    shape = x.graph.node("Shape", x, start=1, dtype=torch.int64)
    start = x.graph.node("Expand", 0.0, shape)
    output, _ = loop(UnitStep("held", ("held",), hold), x, (start,), Extras(), True)
    assert output is not None  # for the type checker: it was wanted
    return output


def patched(
    patches: Patches, x: Value, dt: Value | None, lengths: Value | None
) -> tuple[Value, Value | None, Value | None]:
    """What :meth:`Patches.forward` makes of sequences (T, B, ...), likewise time-major."""
    node = x.graph.node
    x = node("Transpose", x, perm=(1, 0, 2))  # (B, T, P)
    if lengths is None:
        each = node("Concat", _size(x, 0), torch.tensor([1]), axis=0)
        counts: Value = node("Expand", _size(x, 1), each)
    else:
        counts = node("Unsqueeze", lengths, torch.tensor([1]))
    short = (counts + (patches.patch - 1)) / patches.patch  # of integers: rounded down
    longest = node("ReduceMax", short, keepdims=0)
    places = node("Range", torch.tensor(0), longest, torch.tensor(1))
    ends = patches.ends(counts, short, places).unsqueeze(-1)  # (B, S, 1)

    def rows(width: int) -> Value:
        made: Value = ends - torch.arange(width - 1, -1, -1)
        return made

    def take(source: Value, index: Value) -> Value:
        inside = torch.minimum(torch.maximum(index, torch.tensor(0)), counts.unsqueeze(-1) - 1)  # type: ignore
        made: Value = node("GatherND", source, inside.unsqueeze(-1), batch_dims=1)
        return made

    windows = node("Reshape", take(x, rows(patches.window)), torch.tensor([0, 0, -1]))
    if dt is not None:
        held = rows(patches.patch)
        early = node("Less", held, torch.tensor(0), dtype=torch.bool)
        dt = torch.where(early, 1.0, take(node("Transpose", dt, perm=(1, 0)), held))  # type: ignore
        dt = node("Transpose", node("ReduceMean", dt, axes=[-1], keepdims=0), perm=(1, 0))
    if lengths is not None:
        lengths = node("Squeeze", short, torch.tensor([1]))
    return node("Transpose", windows, perm=(1, 0, 2)), dt, lengths


def pooled(states: Value, last: Value, extras: Extras) -> Value:
    """What the head of a :class:`PooledRegressor` sees, from states (S, B, F): (B, 4·F)."""
    graph, keep = states.graph, None
    if extras.valid is None:
        count = graph.node("Cast", _size(states, 0), to=ELEMENT[graph.dtype], dtype=graph.dtype)
    else:
        keep = extras.valid.unsqueeze(-1)
        count = graph.node("Cast", extras.lengths, to=ELEMENT[graph.dtype], dtype=graph.dtype)
        count = count.unsqueeze(-1)

    def without_padding(x: Value, instead: float) -> Value:
        made: Value = x if keep is None else torch.where(keep, x, instead)  # type: ignore
        return made

    def mean(x: Value) -> Value:
        total = graph.node("ReduceSum", without_padding(x, 0.0), torch.tensor([0]), keepdims=0)
        made: Value = total / count
        return made

    lowest = torch.finfo(graph.dtype).min
    highest = graph.node("ReduceMax", without_padding(states, lowest), axes=[0], keepdims=0)
    middle = mean(states)
    centred = states - middle
    deviation = torch.sqrt(mean(centred * centred) + LEAST_SQUARE)
    made: Value = torch.cat((last, middle, highest, deviation), -1)  # type: ignore
    return made


def _size(x: Value, axis: int) -> Value:
    """How long an axis is, (1,)."""
    made: Value = x.graph.node("Shape", x, start=axis, end=axis + 1, dtype=torch.int64)
    return made
