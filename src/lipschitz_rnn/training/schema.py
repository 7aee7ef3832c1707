"""Typed, range-checked fields of frozen dataclasses, and their way from and to tables."""

import dataclasses
import math
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from lipschitz_rnn._base.checks import nearest, require_choice, require_in_range
from lipschitz_rnn._base.errors import InputError

T = TypeVar("T")


def number(
    default: Any = dataclasses.MISSING,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> Any:
    """Declare a numeric field with its range; without ``default`` the field is required.

    Returns:
        A dataclass field.
    """
    limits = {"low": low, "high": high, "open_low": open_low, "open_high": open_high}
    return dataclasses.field(default=default, metadata={"limits": limits})


def choice(default: Any, choices: tuple[str, ...]) -> Any:
    """Declare a field that holds one of the names in ``choices``, or, for a tuple, several.

    Returns:
        A dataclass field.
    """
    return dataclasses.field(default=default, metadata={"choices": choices})


def check_fields(section: str, instance: Any) -> None:
    """Check every field of a frozen dataclass against its annotation and limits; call it first.

    Integers become floats and lists become tuples where the annotation says so.

    Raises:
        InputError: If a value has the wrong type or lies outside its range.
    """
    hints = typing.get_type_hints(type(instance))
    for field in dataclasses.fields(instance):
        where = f"{section}.{field.name}" if section else field.name
        value = _convert(where, field, hints[field.name], getattr(instance, field.name))
        object.__setattr__(instance, field.name, value)


def from_table(cls: type[T], table: object, where: str, section: str = "") -> T:
    """Build a dataclass, nested ones included, from a parsed TOML table.

    Args:
        cls: The dataclass.
        table: Values by field name.
        where: What error messages call the source, such as a file name.
        section: Dotted name of the table within the source.

    Returns:
        The instance, checked.

    Raises:
        InputError: If a key is unknown or missing, or a value does not fit.
    """
    name = section or "the configuration"
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: expected `{name}` to be a table, got {reprlib.repr(table)}.")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    dotted = f"{section}." if section else ""
    for key in table:
        if key not in fields:
            known = f"expected keys of {name} to be among {', '.join(fields)}"
            hint = nearest(key, fields)
            raise InputError(f"{where}: {known}, got {dotted + key!r}. {hint}".rstrip())
    values = {}
    for key, field in fields.items():
        nested = dataclasses.is_dataclass(hints[key])
        if key in table:
            value = table[key]
            values[key] = from_table(hints[key], value, where, dotted + key) if nested else value
        elif nested:
            values[key] = from_table(hints[key], {}, where, dotted + key)
        elif field.default is dataclasses.MISSING:
            raise InputError(f"{where}: expected a value for `{dotted}{key}`, got none.")
    try:
        return cls(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def to_table(instance: Any) -> dict[str, Any]:
    """The table that :func:`from_table` turns back into ``instance``; unset values are left out.

    Returns:
        Nested dictionaries of strings, numbers, booleans and lists.
    """
    table: dict[str, Any] = {}
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if dataclasses.is_dataclass(value):
            table[field.name] = to_table(value)
        elif value is not None:
            table[field.name] = list(value) if isinstance(value, tuple) else value
    return table


def is_optional(hint: Any) -> bool:
    """Whether an annotation admits None.

    Returns:
        True for ``X | None``.
    """
    return isinstance(hint, types.UnionType) and type(None) in typing.get_args(hint)


def _convert(where: str, field: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    if is_optional(hint):
        if value is None:
            return None
        (hint,) = (kind for kind in typing.get_args(hint) if kind is not type(None))
    if typing.get_origin(hint) is tuple:
        return _convert_tuple(where, field, typing.get_args(hint), value)
    if dataclasses.is_dataclass(hint):
        _require_type(where, hint, value)
        return value
    return _convert_scalar(where, field, hint, value)


def _convert_tuple(
    where: str, field: dataclasses.Field[Any], kinds: tuple[Any, ...], value: Any
) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{where}: expected a list, got {reprlib.repr(value)}.")
    if kinds[-1] is not Ellipsis and len(value) != len(kinds):
        raise InputError(f"{where}: expected a list of {len(kinds)} values, got {len(value)}.")
    return tuple(_convert_scalar(where, field, kinds[0], item) for item in value)


def _convert_scalar(where: str, field: dataclasses.Field[Any], kind: type, value: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**1000 else math.inf
    _require_type(where, kind, value)
    if kind is str and not value.isprintable():
        raise InputError(f"{where}: expected printable text, got {reprlib.repr(value)}.")
    limits = field.metadata.get("limits")
    if limits is None and kind is float:
        limits = {"low": -math.inf}
    try:
        if limits is not None:
            require_in_range(where, field.name, value, **limits)
        if "choices" in field.metadata:
            require_choice(where, field.name, value, field.metadata["choices"])
    except ValueError as error:
        raise InputError(str(error)) from None
    return value


def _require_type(where: str, kind: Any, value: object) -> None:
    wrong_bool = isinstance(value, bool) and kind is not bool
    if wrong_bool or not isinstance(value, kind):
        raise InputError(
            f"{where}: expected a value of type {kind.__name__}, "
            f"got {reprlib.repr(value)} of type {type(value).__name__}."
        )
