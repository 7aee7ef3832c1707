"""The state of streams as a dictionary, and back after everything in it was checked."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.nn.digest import weights_digest
from lipschitz_rnn.nn.stream_engine import StreamEngine, evaluation
from lipschitz_rnn.nn.stream_rows import NamedRows, Rows

TENSORS = "tensors"


def engine_state(engine: StreamEngine) -> dict[str, Any]:
    """Everything that the future answers of an engine's streams depend on, but the model.

    Args:
        engine: The engine.

    Returns:
        What JSON can hold, and ``"tensors"`` by name, copied to the CPU.
    """
    tensors: dict[str, Tensor] = {}
    names = list(engine.named.places)
    if engine.own is not None:
        tensors |= _as_tensors("own", engine.own[0])
    if names:
        tensors |= _as_tensors("named", engine.named.read(names))
    return {
        **_identity(engine),
        "batched": None if engine.own is None else engine.own[1],
        "names": names,
        TENSORS: {name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()},
    }


def load_engine_state(where: str, engine: StreamEngine, state: Mapping[str, Any]) -> None:
    """Put streams back as :func:`engine_state` found them.

    Args:
        where: Who asks, or which file, for messages.
        engine: The engine; unchanged if this fails.
        state: The dictionary.

    Raises:
        InputError: If it is of another model, or no such dictionary.
    """
    for name, own in _identity(engine).items():
        if name not in state:
            raise InputError(f"{where}: expected the state of a streamer, got other content.")
        if state[name] != own:
            what = f"{name} {own!r}" if name == "time_unit" else f"the model's {name}"
            raise InputError(f"{where}: expected streams of {what}, got those of another.")
    try:
        own, named = _read(engine, state)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError):
        raise InputError(
            f"{where}: expected tensors that fit each other and the model, got others."
        ) from None
    engine.own, engine.named = own, named


def _read(
    engine: StreamEngine, state: Mapping[str, Any]
) -> tuple[tuple[Rows, bool] | None, NamedRows]:
    """Streams without and with a name, in memory of their own."""
    names, batched = list(state["names"]), state["batched"]
    tensors, device = dict(state[TENSORS]), engine.model.factory()["device"]
    own = None if batched is None else _as_rows("own", tensors).copy(device)
    named = _as_rows("named", tensors).copy(device) if names else None
    _require_rows(engine, own, None)
    _require_rows(engine, named, len(names))
    if tensors or len(set(names)) < len(names) or not all(isinstance(n, str) for n in names):
        raise ValueError(names)
    return None if own is None else (own, bool(batched)), NamedRows(names, named)


def _identity(engine: StreamEngine) -> dict[str, Any]:
    """What the streams of two engines must agree in."""
    model = engine.model
    return {
        "weights": weights_digest(model.model),
        "layer": repr(model.rnn),
        "time_unit": engine.time_unit,
    }


def _as_tensors(prefix: str, rows: Rows) -> dict[str, Tensor]:
    if isinstance(rows.state, Tensor):
        found = {f"{prefix}/state": rows.state}
    else:
        found = {f"{prefix}/{number}": part for number, part in enumerate(rows.state)}
    found[f"{prefix}/held"] = rows.held
    if rows.clock is not None:
        found[f"{prefix}/clock"] = rows.clock
    return found


def _as_rows(prefix: str, tensors: dict[str, Tensor]) -> Rows:
    """Take the tensors of some rows out of a dictionary."""
    held, clock = tensors.pop(f"{prefix}/held"), tensors.pop(f"{prefix}/clock", None)
    single = tensors.pop(f"{prefix}/state", None)
    if single is not None:
        return Rows(single, held, clock)
    parts: list[Tensor] = []
    while f"{prefix}/{len(parts)}" in tensors:
        parts.append(tensors.pop(f"{prefix}/{len(parts)}"))
    return Rows(tuple(parts), held, clock)


def _require_rows(engine: StreamEngine, rows: Rows | None, count: int | None) -> None:
    """Raise unless the model can go on from rows: it takes a step, and nobody keeps it."""
    if rows is None:
        return
    if (rows.clock is None) != (engine.time_unit is None):
        raise ValueError(rows.clock)
    with evaluation(engine.model.model):
        _, state = engine.model.run(rows.held.unsqueeze(0), rows.state, None)
    clock = None if rows.clock is None else rows.clock.double()
    sizes = {x.shape[axis] for x, axis in rows.tensors}
    if Rows(state, rows.held, clock).kinds != rows.kinds or sizes != {count or len(rows.held)}:
        raise ValueError(sizes)
