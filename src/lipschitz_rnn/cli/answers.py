"""Answers to rows, as lines of CSV or JSON."""

import csv
import io
import json
import math
from collections.abc import Iterable
from typing import Any

from lipschitz_rnn.experiments.stream_rows import Row


class AnswerWriter:
    """Lines that say which row they answer.

    Args:
        format: ``"csv"``, which begins with a header, or ``"jsonl"``.
        names: Of the numbers of an answer.
        is_class: Whether they are one whole number.
        when: What times are called; None for rows without.
        streams: Whether rows name their stream.
    """

    def __init__(
        self, format: str, names: list[str], *, is_class: bool, when: str | None, streams: bool
    ) -> None:
        self._format = format
        self._names = names
        self._is_class = is_class
        self._when = when
        self._streams = streams
        self._begun = False

    def lines(self, answered: Iterable[tuple[Row, list[float]]]) -> str:
        """The lines of some rows, and before the first ones the header.

        Args:
            answered: Each row and the numbers of its answer.

        Returns:
            Text that ends with a line end.
        """
        if self._format == "jsonl":
            return "".join(f"{json.dumps(self._object(*one))}\n" for one in answered)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self._begun:
            optional = [("stream", self._streams), (self._when, self._when is not None)]
            writer.writerow(["row", *(name for name, wanted in optional if wanted), *self._names])
            self._begun = True
        writer.writerows(self._fields(*one) for one in answered)
        return text.getvalue()

    def _fields(self, row: Row, answer: list[float]) -> list[Any]:
        fields: list[Any] = [row.number]
        if self._streams:
            fields.append(row.stream)
        if self._when is not None:
            fields.append(row.when)
        if self._is_class and math.isfinite(answer[0]):
            return [*fields, int(answer[0])]
        return [*fields, *(f"{value:.6g}" for value in answer)]

    def _object(self, row: Row, answer: list[float]) -> dict[str, Any]:
        found: dict[str, Any] = {"row": row.number}
        if self._streams:
            found["stream"] = row.stream
        if self._when is not None:
            found[self._when] = row.when
        # JSON has no word for what is no number
        numbers = [float(f"{value:.6g}") if math.isfinite(value) else None for value in answer]
        if self._is_class and numbers[0] is not None:
            return found | {"class": int(numbers[0])}
        return found | dict(zip(self._names, numbers, strict=True))
