"""Fitted estimators as files: weights and JSON in safetensors, nothing that is ever executed."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.training.checkpoint import load_checkpoint, save_checkpoint

Records = Mapping[str, type[Any]]
"""Dataclasses that a file may hold, by name."""

_PLAIN = (type(None), bool, int, float, str)


def save_state(path: Path, name: str, params: dict[str, Any], state: dict[str, Any]) -> None:
    """Write the parameters and the fitted state of an estimator; the file is whole or absent.

    Args:
        path: Where to.
        name: What its class is called.
        params: Its parameters.
        state: Its fitted attributes; ``model_`` as weights by name.

    Raises:
        InputError: If something is of a kind that such a file cannot hold.
    """
    state = dict(state)
    tensors = {f"model/{key}": torch.as_tensor(value) for key, value in state.pop("model_").items()}
    meta = {
        "kind": "estimator",
        "class": name,
        "version": version("lipschitz-rnn"),
        "params": {key: _encode(f"{name}: {key}", value, tensors) for key, value in params.items()},
        "state": {key: _encode(f"{name}: {key}", value, tensors) for key, value in state.items()},
    }
    save_checkpoint(path, tensors, meta)


def load_state(
    path: Path, name: str, records: Records
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]:
    """Read what :func:`save_state` wrote.

    Args:
        path: The file.
        name: What the class must be called.
        records: Dataclasses that the state may hold.

    Returns:
        Parameters, fitted attributes but ``model_``, and the tensors of the file.

    Raises:
        InputError: If the file is damaged, or holds something else.
    """
    tensors, meta = load_checkpoint(path)
    if meta.get("kind") != "estimator":
        raise InputError(
            f"{path}: expected a saved estimator, got a {meta.get('kind')!r} checkpoint."
        )
    if meta.get("class") != name:
        raise InputError(
            f"{path}: expected a saved {name}, got a {meta.get('class')}. Load it with that class."
        )
    try:
        parts = [
            {key: _decode(value, tensors, records) for key, value in meta[part].items()}
            for part in ("params", "state")
        ]
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected a readable estimator, got {error!r}.") from None
    return parts[0], parts[1], tensors


def _encode(where: str, value: Any, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON; numbers of arrays go among the tensors."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_encode(where, item, tensors) for item in value]}
    if isinstance(value, dict):
        pairs = [[_encode(where, part, tensors) for part in item] for item in value.items()]
        return {"dict": pairs}
    if is_dataclass(value) and not isinstance(value, type):
        known = {f.name: getattr(value, f.name) for f in fields(value)}
        encoded = {key: _encode(where, item, tensors) for key, item in known.items()}
        return {"record": type(value).__name__, "fields": encoded}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        key = f"array/{len(tensors)}"
        tensors[key] = torch.from_numpy(np.ascontiguousarray(value))
        return {"array": key}
    if isinstance(value, np.ndarray) and value.dtype.kind in "UO" and value.ndim == 1:
        dtype = "object" if value.dtype.kind == "O" else f"U{value.dtype.itemsize // 4}"
        return {"texts": [_encode(where, item, tensors) for item in value], "dtype": dtype}
    raise InputError(
        f"{where}: expected something that a file can hold without code (numbers, texts, lists, "
        f"arrays of them), got {type(value).__name__}."
    )


def _decode(value: Any, tensors: Mapping[str, Tensor], records: Records) -> Any:
    """What :func:`_encode` was given; raises on anything else."""
    if isinstance(value, _PLAIN):
        return value
    if set(value) == {"list"}:
        return [_decode(item, tensors, records) for item in value["list"]]
    if set(value) == {"tuple"}:
        return tuple(_decode(item, tensors, records) for item in value["tuple"])
    if set(value) == {"dict"}:
        pairs = [[_decode(part, tensors, records) for part in item] for item in value["dict"]]
        return dict(pairs)
    if set(value) == {"array"}:
        return tensors[value["array"]].numpy()
    if set(value) == {"texts", "dtype"}:
        items = [_decode(item, tensors, records) for item in value["texts"]]
        wide = value["dtype"]
        if wide != "object" and not (wide[0] == "U" and wide[1:].isdecimal() and len(wide) < 6):
            raise ValueError(f"dtype {wide}")
        return np.array(items, dtype=wide)
    if set(value) == {"record", "fields"}:
        decoded = {key: _decode(item, tensors, records) for key, item in value["fields"].items()}
        return records[value["record"]](**decoded)
    raise ValueError(f"keys {sorted(value)}")
