"""Fields of a JSON file that a stranger may have written, each checked as it is read."""

import math
from typing import Any, NoReturn

from lipschitz_rnn._base.errors import InputError

MAX_ITEMS, MAX_TEXT = 64, 4000
"""Longest list, and most characters of a text."""


def fail(where: str, expected: str, got: object) -> NoReturn:
    """Raise ``InputError`` about a field, in one line however long the value is."""
    plain = got is None or isinstance(got, (bool, int, float, str))
    shown = repr(got[:40] if isinstance(got, str) else got)[:60] if plain else type(got).__name__
    raise InputError(f"{where}: expected {expected}, got {shown}.")


def read_object(where: str, value: object, keys: list[str]) -> dict[str, Any]:
    """Raise ``InputError`` unless a value is an object with just these keys."""
    if not isinstance(value, dict):
        fail(where, "an object", value)
    if set(value) != set(keys):
        key = min(set(value) ^ set(keys))
        fail(where, f"the keys {', '.join(keys)}", f"{'no' if key in keys else 'also'} {key}")
    return value


def read_text(where: str, value: object) -> str:
    """Raise ``InputError`` unless a value is a text that a terminal can be trusted with."""
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        fail(where, f"a line of at most {MAX_TEXT} printable characters", value)
    return value


def read_digest(where: str, value: object) -> str:
    """Raise ``InputError`` unless a value is a SHA-256 in hexadecimal digits."""
    digits = set("0123456789abcdef")
    if not isinstance(value, str) or len(value) != 64 or not digits.issuperset(value):
        fail(where, "64 hexadecimal digits", value)
    return value


def read_list(where: str, value: object, count: int | None = None) -> list[Any]:
    """Raise ``InputError`` unless a value is a list, of so many items if that is known."""
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        fail(where, f"a list of at most {MAX_ITEMS}", value)
    if count is not None and len(value) != count:
        fail(where, f"a list of {count}", f"{len(value)} of them")
    return value


def read_integer(where: str, value: object, high: int) -> int:
    """Raise ``InputError`` unless a value is an integer from 1 on."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
        fail(where, f"an integer from 1 to {high}", value)
    return value


def read_number(where: str, value: object, low: float = -math.inf) -> float:
    """Raise ``InputError`` unless a value is a number that a float can hold."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    # comparing, not converting: an integer of JSON may exceed what a float can hold
    if not known or not max(low, -1e308) <= value <= 1e308:  # type: ignore[operator]
        fail(where, f"a finite number{'' if low == -math.inf else f' of at least {low:g}'}", value)
    return float(value)  # type: ignore[arg-type]


def read_optional_number(where: str, value: object) -> float | None:
    """The same, or null."""
    return None if value is None else read_number(where, value)
