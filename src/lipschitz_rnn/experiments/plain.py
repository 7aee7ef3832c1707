"""Results of an analysis as what JSON can hold, and back."""

import collections.abc
import dataclasses
import json
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from lipschitz_rnn.analysis import UnitCertificate
from lipschitz_rnn.training.record import finite

_Result = TypeVar("_Result")


def plain(value: Any) -> Any:
    """Dataclasses as tables by field, tensors as lists, complex numbers as [re, im], paths as text.

    Args:
        value: A result.

    Returns:
        Dictionaries, lists and scalars. Of a certificate what it claims is kept, not its matrices.
    """
    if isinstance(value, UnitCertificate):
        names = ("holds", "reason", "strength", "growth", "rate", "contraction", "seconds")
        return {name: plain(getattr(value, name)) for name in names}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def as_json(value: Any) -> str:
    """Results as JSON text; numbers that are not finite become null.

    Args:
        value: As :func:`plain` takes it.

    Returns:
        One object, indented.
    """
    return json.dumps(finite(plain(value)), indent=1, allow_nan=False)


def restore(kind: type[_Result], value: dict[str, Any]) -> _Result:
    """What :func:`plain` made of a dataclass, as that dataclass again.

    Args:
        kind: The dataclass. Its fields are numbers, strings, arrays, dataclasses, and tuples and
            tables of these.
        value: As JSON gave it back. A number that JSON could not hold is NaN.

    Returns:
        The result.

    Raises:
        KeyError: If a field is missing that has no default.
    """
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    optional = {one.name for one in fields if one.default is not dataclasses.MISSING}
    names = [one.name for one in fields if one.name in value or one.name not in optional]
    return kind(**{name: _restored(hints[name], value[name]) for name in names})


def _restored(hint: Any, value: Any) -> Any:
    options = typing.get_args(hint)
    if typing.get_origin(hint) in {types.UnionType, typing.Union}:
        if value is None and type(None) in options:
            return None
        return _restored(next(one for one in options if one is not type(None)), value)
    if hint is float:
        return math.nan if value is None else float(value)
    if hint is np.ndarray:
        return np.array(value, dtype=float)
    if dataclasses.is_dataclass(hint):
        return restore(hint, value)  # type: ignore[arg-type]
    if typing.get_origin(hint) is tuple:
        inner = [options[0]] * len(value) if options[-1] is ... else options
        return tuple(_restored(one, item) for one, item in zip(inner, value, strict=True))
    if typing.get_origin(hint) in {dict, collections.abc.Mapping}:
        return {key: _restored(options[1], item) for key, item in value.items()}
    return value
