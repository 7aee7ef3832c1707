"""Rows of numbers from lines of CSV or JSON."""

import csv
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.cli.lines import LINE_BYTES
from lipschitz_rnn.experiments.stream_rows import Row, RowError

MISSING = frozenset({"", "nan", "null", "na", "n/a"})
"""Fields, in lower case, that stand for a missing value."""


@dataclass(frozen=True)
class Columns:
    """Which columns mean what; each by its name in the header, or by its number from 1.

    Attributes:
        when: Of time stamps or durations, if any.
        stream: Of the names of streams, if any.
        values: Of the inputs, in their order; None for all others as they come.
        header: Whether the first line of a CSV is a header; None to find out.
    """

    when: str | None = None
    stream: str | None = None
    values: tuple[str, ...] | None = None
    header: bool | None = None


Parser = Callable[[int, str], Row | None]
"""A row from the number and text of a line; None for one that is a header."""


class RowParser:
    """Rows from lines, in a format that the first line shows.

    Args:
        columns: Which columns mean what.
        input_size: P, numbers of a row.
        format: ``"csv"``, ``"jsonl"``, or ``"auto"``.

    Attributes:
        format: The format; ``"auto"`` until there is a line.
    """

    def __init__(self, columns: Columns, input_size: int, format: str) -> None:
        self._columns = columns
        self._input_size = input_size
        self.format = format
        self._parse: Parser | None = None

    def parse(self, number: int, line: bytes | None) -> Row | None:
        """Read one line.

        Args:
            number: Of the line.
            line: Its bytes; None if there were too many.

        Returns:
            The row, or None for a header or a blank line.

        Raises:
            RowError: If the line is no row.
        """
        if line is None:
            raise RowError(f"expected at most {LINE_BYTES:,} bytes, got more")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise RowError(
                f"expected UTF-8 text, got byte 0x{line[error.start]:02x} at position "
                f"{error.start + 1}"
            ) from None
        if not text:
            return None
        if self._parse is None:
            if self.format == "auto":
                self.format = "jsonl" if text[0] in "{[" else "csv"
            make = _JsonRows if self.format == "jsonl" else _CsvRows
            self._parse = make(self._columns, self._input_size)
        return self._parse(number, text)


class _CsvRows:
    """Rows of comma-separated fields, the first of which may be a header."""

    def __init__(self, columns: Columns, input_size: int) -> None:
        self._columns = columns
        self._size = input_size
        self._picked: list[int] | None = None  # where the values are
        self._when: int | None = None
        self._stream: int | None = None
        self._width = 0  # of a row, or at least so many fields
        self._exact = True

    def __call__(self, number: int, text: str) -> Row | None:
        fields = _split(text)
        if self._picked is None:
            header = self._columns.header
            if header is None:
                header = self._is_header(fields)
            self._arrange(fields if header else None)
            if header:
                return None
        return self._row(number, fields, plain="_" not in text)

    def _is_header(self, fields: Sequence[str]) -> bool:
        """Whether a line has the name of a column that was asked for, or no numbers."""
        columns = self._columns
        special = {columns.when, columns.stream}
        asked = {name for name in (*special, *(columns.values or ())) if name is not None}
        if any(field in asked and not _is_number(field) for field in fields):
            return True
        # beside columns asked for by number, and a table's index, whose name may be empty
        others = [f for i, f in enumerate(fields, 1) if f and str(i) not in special]
        return bool(others) and not any(_is_number(field) for field in others)

    def _arrange(self, names: Sequence[str] | None) -> None:
        columns = self._columns
        self._when = _place("time", columns.when, names)
        self._stream = _place("--stream", columns.stream, names)
        special = {i for i in (self._when, self._stream) if i is not None}
        if columns.values is None:
            self._width = self._size + len(special) if names is None else len(names)
            self._picked = [i for i in range(self._width) if i not in special]
        else:
            places = [_place("--columns", name, names) for name in columns.values]
            self._picked = [place for place in places if place is not None]
            self._exact = names is not None
            self._width = len(names) if names else 1 + max({*self._picked, *special})
        if len(self._picked) != self._size:
            shown = "" if names is None else f": {', '.join(names[i] for i in self._picked)}"
            raise InputError(
                f"stream: expected {self._size} columns of inputs, got {len(self._picked)}{shown}. "
                "Name them with --columns, or the others with --time, --dt or --stream."
            )

    def _row(self, number: int, fields: Sequence[str], plain: bool) -> Row:
        assert self._picked is not None  # for the type checker: it is arranged
        if len(fields) != self._width and (self._exact or len(fields) < self._width):
            what = "numbers" if self._width == self._size else "fields"
            raise RowError(f"expected {self._width} {what}, got {len(fields)}")
        try:
            if not plain:  # Python reads 1_000 as a number
                raise ValueError
            values = [float(fields[i]) for i in self._picked]
        except ValueError:  # perhaps something is missing
            values = [_number(fields[i], f"column {i + 1}") for i in self._picked]
        when = None if self._when is None else _time(fields[self._when])
        stream = None if self._stream is None else _name(fields[self._stream])
        return Row(number, values, stream, when)


class _JsonRows:
    """Rows that are JSON arrays, or objects whose names are those of the first one."""

    def __init__(self, columns: Columns, input_size: int) -> None:
        self._columns = columns
        self._names = columns.values
        self._size = input_size

    def __call__(self, number: int, text: str) -> Row:
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            raise RowError("expected a JSON array or object, got something else") from None
        columns = self._columns
        if isinstance(content, dict):
            return self._of_object(number, dict(content))
        for name in (columns.when, columns.stream, *(columns.values or ())):
            if name is not None:
                raise RowError(f"expected a JSON object with {name!r}, got something else")
        items = content if isinstance(content, list) else [content]
        return Row(number, [_json_number(item, "the array") for item in items])

    def _of_object(self, number: int, content: dict[str, Any]) -> Row:
        columns, when, stream = self._columns, None, None
        for name in (columns.when, columns.stream):
            if name is not None and content.get(name) is None:
                raise RowError(f"expected a JSON object with {name!r}, got one without")
        if columns.when is not None:
            when = _json_time(content.pop(columns.when))
        if columns.stream is not None:
            stream = _name(str(content.pop(columns.stream)))
        names = self._names or tuple(content)
        unknown = [name for name in content if name not in names]
        if unknown and columns.values is None:
            raise RowError(f"expected {', '.join(names)}, got {unknown[0]!r} too")
        values: list[float] = []
        for name in names:
            item = content.get(name)
            items = item if isinstance(item, list) else [item]
            values.extend(_json_number(one, repr(name)) for one in items)
        if len(values) == self._size:  # the names of a bad row are not those of the others
            self._names = names
        return Row(number, values, stream, when)


def _split(text: str) -> list[str]:
    if '"' not in text:
        return [field.strip() for field in text.split(",")]
    try:
        return [field.strip() for field in next(csv.reader([text], strict=True))]
    except csv.Error as error:
        raise RowError(f"expected comma-separated fields, got {error}") from None


def _place(what: str, name: str | None, names: Sequence[str] | None) -> int | None:
    """Index of a column."""
    if name is None:
        return None
    if names is not None and name in names:
        return names.index(name)
    if name.isdecimal() and 1 <= int(name) <= (len(names) if names else 10_000):
        return int(name) - 1
    unseen = "a number from 1, as the first line is no header (if it is one: --header)"
    known = unseen if names is None else ", ".join(names)
    raise InputError(f"{what}: expected a column among {known}, got {name!r}.")


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return field.lower() in MISSING
    return True


def _number(field: str, where: str) -> float:
    if field.lower() in MISSING:
        return math.nan
    try:
        return float(field if "_" not in field else "")
    except ValueError:
        raise RowError(f"expected a number in {where}, got {_shown(field)}") from None


def _json_number(item: Any, where: str) -> float:
    if item is None:
        return math.nan
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        raise RowError(f"expected numbers in {where}, got {_shown(json.dumps(item))}")
    try:
        return float(item)
    except OverflowError:
        raise RowError(f"expected a smaller number in {where}") from None


def _time(field: str) -> float:
    """A number, or the seconds since 1970 of an ISO date, in UTC where it names no zone."""
    try:
        return float(field)
    except ValueError:
        pass
    try:
        date = datetime.fromisoformat(field)
    except ValueError:
        raise RowError(f"expected a number or an ISO date as time, got {_shown(field)}") from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _json_time(item: Any) -> float:
    return _time(item) if isinstance(item, str) else _json_number(item, "the time")


def _name(field: str) -> str:
    if not field:
        raise RowError("expected the name of a stream, got nothing")
    return field


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
