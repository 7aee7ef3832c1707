"""From lines in to lines out, for ``lipschitz-rnn stream``."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import typer

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import temporary_name
from lipschitz_rnn.cli.answers import AnswerWriter
from lipschitz_rnn.cli.app import RunInterruptedError
from lipschitz_rnn.cli.calm import Calm
from lipschitz_rnn.cli.console import warn
from lipschitz_rnn.cli.lines import LineReader
from lipschitz_rnn.cli.rows import Columns, RowParser
from lipschitz_rnn.experiments import load_trained
from lipschitz_rnn.experiments.runs import TrainedRun
from lipschitz_rnn.experiments.stream import RowStream
from lipschitz_rnn.experiments.stream_rows import RowError, Scale, training_scale


@dataclass(frozen=True)
class StreamSettings:
    """What the command line says, see ``lipschitz_rnn.cli.stream``."""

    format: str
    output: str | None
    when: str | None
    time_unit: float | None
    scale: float | None
    probabilities: bool
    skip: bool
    state: Path | None
    max_streams: int
    chunk: int
    weights: str
    quiet: bool


class _Work:
    """One run of the verb.

    Attributes:
        answered: Rows answered so far.
        skipped: Rows left out so far.
    """

    def __init__(self, rows: RowStream, columns: Columns, settings: StreamSettings) -> None:
        self.answered = 0
        self.skipped = 0
        self._rows = rows
        self._columns = columns
        self._settings = settings
        self._parser = RowParser(columns, rows.input_size, settings.format)
        self._writer: AnswerWriter | None = None

    def run(self, source: BinaryIO, calm: Calm) -> None:
        """Answer every row.

        Raises:
            Exit: With code 1, after a bad row that is not to be skipped.
        """
        lines = LineReader(source)
        while not lines.ended:
            with calm.waiting():
                found = lines.read()
            for start in range(0, len(found), self._settings.chunk):
                self._work(found[start : start + self._settings.chunk])
                calm.check()

    def _work(self, lines: list[tuple[int, bytes | None]]) -> None:
        for number, line in lines:
            try:
                row = self._parser.parse(number, line)
                if row is not None:
                    self._rows.add(row)
            except RowError as error:
                if self._settings.skip:
                    warn(f"row {number}: {error}")
                    self.skipped += 1
                    continue
                self._write()
                warn(f"row {number}: {error}")
                raise typer.Exit(1) from None
        self._write()

    def _write(self) -> None:
        answered = self._rows.take()
        if not answered:
            return
        if self._writer is None:
            self._writer = self._make_writer()
        self.answered += len(answered)
        sys.stdout.write(self._writer.lines(answered))
        sys.stdout.flush()

    def _make_writer(self) -> AnswerWriter:
        count, settings = self._rows.answers, self._settings
        letter = "p" if settings.probabilities else "y"
        names = ["class"] if self._rows.is_class else [f"{letter}{k}" for k in range(count)]
        return AnswerWriter(
            settings.output or self._parser.format,
            names,
            is_class=self._rows.is_class,
            when=settings.when,
            streams=self._columns.stream is not None,
        )


def stream_rows(run: Path, file: Path, columns: Columns, settings: StreamSettings) -> None:
    """Answer the rows of a file.

    Args:
        run: Folder of the run.
        file: The file; ``-`` for standard input.
        columns: Which columns mean what.
        settings: The rest.

    Raises:
        Exit: With code 1, after a bad row that is not to be skipped.
        RunInterruptedError: After Ctrl-C.
    """
    trained = load_trained(run, settings.weights)
    scale = _scale(trained, settings)
    rows = RowStream(
        trained,
        scale,
        time_unit=settings.time_unit,
        probabilities=settings.probabilities,
        max_streams=settings.max_streams,
        report=warn,
    )
    if settings.state is not None:
        _prepare(rows, settings.state)
    work = _Work(rows, columns, settings)
    with _open(file) as source, Calm() as calm:
        if not settings.quiet:
            _explain(trained, scale, settings)
        try:
            work.run(source, calm)
        except KeyboardInterrupt:
            raise RunInterruptedError(_interrupted(work, settings, calm)) from None
        finally:
            if settings.state is not None and work.answered and not calm.forced:
                rows.save(settings.state)
    if not settings.quiet:
        warn(f"{work.answered:,} rows answered, {work.skipped:,} skipped")


def _scale(trained: TrainedRun, settings: StreamSettings) -> Scale:
    if settings.scale is not None:
        return Scale(settings.scale)
    return training_scale(trained.config.data, trained.input_dtype)


def _prepare(rows: RowStream, state: Path) -> None:
    """Load a state that is there; see that one can be written, before hours of rows."""
    if not state.parent.is_dir():
        raise InputError(f"{state}: expected a folder to write the state in, got none.")
    if state.exists():
        rows.load(state)
    trial = temporary_name(state)
    try:
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        raise InputError(
            f"{state}: expected a folder that the state can be written in, got one where it cannot "
            f"({error.strerror}). Choose another."
        ) from None


def _interrupted(work: _Work, settings: StreamSettings, calm: Calm) -> str:
    told = f"interrupted after {work.answered:,} rows"
    if settings.state is None:
        return told
    kept = "was not saved" if calm.forced else f"is in {settings.state}"
    return f"{told}; the state {kept}"


def _explain(trained: TrainedRun, scale: Scale, settings: StreamSettings) -> None:
    """What is done to rows that one might not expect."""
    if settings.scale is None and scale.factor != 1:
        warn(
            f"inputs are whole numbers from {scale.minimum} to {scale.maximum}, multiplied by "
            f"{scale.factor:.6g} as in training (--scale)"
        )
    if settings.when is None and trained.timed:
        warn("the model was trained with times; here every row is held for 1 step (--time, --dt)")


@contextlib.contextmanager
def _open(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        if sys.stdin is None:
            raise InputError("stream: expected rows on standard input, got a closed one.")
        yield sys.stdin.buffer
    else:
        with file.open("rb") as source:
            yield source
