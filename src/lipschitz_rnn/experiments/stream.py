"""A trained run fed one row after the other: checked, scaled as in training, answered."""

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments.runs import TrainedRun
from lipschitz_rnn.experiments.stream_rows import Row, RowError, Scale
from lipschitz_rnn.nn import LipschitzRNN, Streamer

Report = Callable[[str], None]

_LARGEST = float(np.finfo(np.float32).max)


class RowStream:
    """Rows go in, answers come out in the same order; what is kept is a state for each stream.

    Args:
        trained: The run.
        scale: From rows to inputs.
        time_unit: How much time one step is, for rows with time stamps; None for rows without.
        probabilities: Whether the probabilities of all classes are wanted instead of the class.
        max_streams: How many streams are kept; of more, the one whose last row is oldest is
            forgotten, and begins anew should it come back.
        report: Takes a line about the first stream that is forgotten.

    Attributes:
        is_class: Whether answers are classes.
        answers: Numbers of an answer.

    Raises:
        InputError: If the model cannot be streamed, or reads symbols.
    """

    def __init__(
        self,
        trained: TrainedRun,
        scale: Scale,
        *,
        time_unit: float | None = None,
        probabilities: bool = False,
        max_streams: int = 10_000,
        report: Report | None = None,
    ) -> None:
        kind, name = trained.data["kind"], trained.config.data.name
        if not math.isfinite(scale.factor):
            raise InputError(f"--scale: expected a finite number, got {scale.factor}.")
        if kind in {"characters", "words"}:
            raise InputError(
                f"stream: expected a model that reads numbers, got one of {name}, which reads "
                f"{kind}. In Python, lipschitz_rnn.Streamer takes symbols."
            )
        classes = kind in {"classes", "symbols"}
        if probabilities and not classes:
            raise InputError(f"--probabilities: expected a model of classes, got one of {name}.")
        try:
            self.streamer = Streamer(trained.model, time_unit=time_unit)
        except (TypeError, ValueError) as error:
            raise InputError(f"stream: {error}") from None
        self.input_size: int = trained.data["input_size"]
        self.is_class = classes and not probabilities
        self.answers = 1 if self.is_class else int(trained.data["output_size"])
        self._softmax = classes
        self._scale = scale
        self._largest = _LARGEST / max(1.0, abs(scale.factor))
        self._max_streams = max_streams
        self._report = report
        rnn = trained.model.rnn
        self._covers: Callable[[float], bool] | None = None
        if isinstance(rnn, LipschitzRNN) and rnn.options.constraint == "contractive":
            self._covers = rnn.options.target.covers
        self._last: dict[str | None, float | None] = {}  # stamps, the oldest row's stream first
        self._leaving: set[str] = set()
        self._pending: list[Row] = []
        self._done: list[tuple[Row, list[float]]] = []
        self._forgotten = 0
        self._lost = False

    def load(self, path: Path) -> None:
        """Go on where :meth:`save` left off.

        Args:
            path: The file.

        Raises:
            InputError: If it is not of these streams.
        """
        self.streamer.load(path)
        batched = self.streamer.state_dict()["batched"]
        if batched:
            raise InputError(f"{path}: expected streams of rows, got a batch of them.")
        names: list[str | None] = list(self.streamer.streams)
        if batched is not None:
            names.append(None)
        timed = self.streamer.time_unit is not None
        self._last = {n: self.streamer.clock(n).item() if timed else None for n in names}

    def save(self, path: Path) -> None:
        """Write where all streams are.

        Args:
            path: The file; replaced as a whole.
        """
        self.streamer.save(path)

    def add(self, row: Row) -> None:
        """Take in a row; its answer is among the next ones.

        Args:
            row: The row.

        Raises:
            RowError: If its values or its time are not allowed; it is then left out.
        """
        self._check_values(row.values)
        self._check_time(row)
        if row.stream in self._leaving:  # it begins anew, after what it said before
            self._flush()
        if row.stream is not None and row.stream not in self._last:
            excess = max(0, len(self._last) + 1 - self._max_streams)
            for name in list(itertools.islice(filter(None, self._last), excess)):
                self._leave(name)
        self._last.pop(row.stream, None)
        self._last[row.stream] = row.when
        self._pending.append(row)

    def take(self) -> list[tuple[Row, list[float]]]:
        """Every row since the last call, with its answer.

        Returns:
            In the order of the rows; a class is one whole number, and NaN where a stream left the
            finite numbers.
        """
        self._flush()
        done, self._done = self._done, []
        return done

    def _check_values(self, values: Sequence[float]) -> None:
        if len(values) != self.input_size:
            raise RowError(f"expected {self.input_size} numbers, got {len(values)}")
        for value in values:
            if not (abs(value) <= self._largest or math.isnan(value)):
                raise RowError(f"expected finite numbers in single precision, got {value!r}")
        low, high = self._scale.minimum, self._scale.maximum
        if high is None:
            return
        for value in values:
            if not (math.isnan(value) or (low <= value <= high and value == int(value))):
                raise RowError(
                    f"expected whole numbers from {low} to {high}, as in training, got {value!r}; "
                    "give --scale 1 for values on the model's own scale"
                )

    def _check_time(self, row: Row) -> None:
        if row.when is None:
            return
        if not math.isfinite(row.when):
            raise RowError(f"expected a finite time, got {row.when!r}")
        unit, dt = self.streamer.time_unit, row.when
        if unit is not None:
            last = self._last.get(row.stream)
            dt = 0.0 if last is None else (row.when - last) / unit
            if dt < 0:
                who = "" if row.stream is None else f" of stream {row.stream!r}"
                raise RowError(f"expected a time{who} not before {last!r}, got {row.when!r}")
        if not 0 <= dt <= _LARGEST:
            raise RowError(f"expected a time of at least 0 and finite in steps, got {dt!r}")
        if self._covers is not None and not self._covers(dt):
            raise RowError(f"expected a time that the model's constraint covers, got {dt:g} steps")

    def _leave(self, name: str) -> None:
        """Forget a stream once the rows before are answered."""
        if not self._forgotten and self._report is not None:
            self._report(
                f"more than {self._max_streams:,} streams: those whose last row is oldest are "
                f"forgotten, {name!r} first (--max-streams)"
            )
        self._forgotten += 1
        del self._last[name]
        self._leaving.add(name)

    def _flush(self) -> None:
        """Answer the rows that wait, as many streams at once as have the same number of rows."""
        groups: dict[str | None, list[int]] = {}
        for i, row in enumerate(self._pending):
            groups.setdefault(row.stream, []).append(i)
        by_length: dict[int, list[list[int]]] = {}
        for members in groups.values():
            by_length.setdefault(len(members), []).append(members)
        found: list[list[float]] = [[]] * len(self._pending)
        for alike in by_length.values():
            answers = self._answer([[self._pending[i] for i in members] for members in alike])
            for members, own in zip(alike, answers, strict=True):
                for i, answer in zip(members, own, strict=True):
                    found[i] = answer
        self._done.extend(zip(self._pending, found, strict=True))
        self._pending = []
        self.streamer.forget(list(self._leaving))
        self._leaving = set()

    def _answer(self, streams: list[list[Row]]) -> list[list[list[float]]]:
        """Answers to T rows of each of R streams."""
        first = streams[0][0]
        values = torch.tensor([[row.values for row in rows] for rows in streams])  # (R, T, P)
        options: dict[str, Any] = {}
        if first.when is not None:
            times = [[row.when for row in rows] for rows in streams]
            key = "dt" if self.streamer.time_unit is None else "time"
            options[key] = np.array(times)
        if first.stream is None:
            options = {key: value[0] for key, value in options.items()}
            found = self.streamer.push_chunk(values[0] * self._scale.factor, **options)[None]
        else:
            names = [str(rows[0].stream) for rows in streams]
            # models of runs read (B, T, P)
            found = self.streamer.push_chunk(values * self._scale.factor, stream=names, **options)
        lost = ~found.isfinite().all(-1, keepdim=True)
        if bool(lost.any()):
            self._tell_lost(streams, lost)
        if self.is_class:
            found = found.argmax(-1, keepdim=True).double()
            return torch.where(lost, torch.nan, found).tolist()
        return (found.softmax(-1) if self._softmax else found).tolist()

    def _tell_lost(self, streams: list[list[Row]], lost: Tensor) -> None:
        """Say once that a stream has left the finite numbers, from which it does not come back."""
        if self._lost or self._report is None:
            return
        self._lost = True
        numbers = [
            r.number
            for rows, own in zip(streams, lost, strict=True)
            for r, bad in zip(rows, own, strict=True)
            if bad
        ]
        self._report(
            f"row {min(numbers)}: the answer is no number, and will be none: the model's states "
            "grew without bound, as they may where times between rows are long"
        )
