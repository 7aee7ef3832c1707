"""``lipschitz-rnn stream``: an answer to every row of numbers, as soon as it is read."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import RunDir, Weights, WeightsChoice


class InputFormat(StrEnum):
    """What lines of input are."""

    auto = "auto"
    csv = "csv"
    jsonl = "jsonl"


class OutputFormat(StrEnum):
    """What lines of output are."""

    csv = "csv"
    jsonl = "jsonl"


class OnError(StrEnum):
    """What a bad row leads to."""

    fail = "fail"
    skip = "skip"


@app.command(
    short_help="Answer rows of numbers as they come.",
    epilog=epilog(
        "stream runs/a readings.csv > answers.csv",
        "stream runs/a - --time seconds --stream sensor --state streams.safetensors",
        "stream runs/a readings.jsonl --on-error skip --probabilities",
        note="A row is one time step: P numbers, by commas or as a JSON array or object; empty "
        "fields, null and NaN are missing. Rows are numbered as the lines of the input, from 1. "
        "Exit codes: 1 after a bad row with --on-error fail, 130 after Ctrl-C; answers to the "
        "rows before are written, and the state is saved, in any case.",
    ),
)
def stream(
    run: RunDir,
    file: Annotated[
        Path, typer.Argument(help="Rows; - for standard input.", metavar="FILE")
    ] = Path("-"),
    format: Annotated[InputFormat, typer.Option(help="Of the rows.")] = InputFormat.auto,
    output: Annotated[
        OutputFormat | None, typer.Option(help="Format of the answers; that of the rows if unset.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Column of time stamps, numbers or ISO dates: an input is held until the next "
            "row of its stream, and answers are of a row's time, from the rows before.",
            metavar="COLUMN",
        ),
    ] = None,
    time_unit: Annotated[
        float | None,
        typer.Option(help="How much time one step of the model is, in time stamps; 1 if unset."),
    ] = None,
    dt: Annotated[
        str | None,
        typer.Option(help="Column that says for how many steps a row is held.", metavar="COLUMN"),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option("--stream", help="Column that names the row's stream.", metavar="COLUMN"),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Columns of inputs, in their order; all others if unset.", metavar="A,B"),
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option("--header/--no-header", help="Whether CSV begins with one; else it is seen."),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="Inputs are multiplied by this; as in training if unset."),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Those of all classes, not the class.")
    ] = False,
    on_error: Annotated[OnError, typer.Option(help="What a bad row leads to.")] = OnError.fail,
    state: Annotated[
        Path | None,
        typer.Option(help="Go on from this file if it is there; write it at the end."),
    ] = None,
    max_streams: Annotated[
        int, typer.Option(min=1, help="Streams to keep; the oldest one makes room.")
    ] = 10_000,
    chunk: Annotated[int, typer.Option(min=1, help="Rows at a time, if so many wait.")] = 4096,
    weights: WeightsChoice = Weights.best,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing but bad rows on stderr.")] = False,
) -> None:
    """Write the answer of RUN's model to every row, as soon as the row is there."""
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.cli.rows import Columns
    from lipschitz_rnn.cli.stream_work import StreamSettings, stream_rows

    if time is not None and dt is not None:
        raise InputError("stream: expected --time or --dt, got both.")
    if time is None and time_unit is not None:
        raise InputError(
            "stream: expected --time-unit with --time, got it without. Name the column of time "
            "stamps by --time; --dt is in steps of the model."
        )
    stream_rows(
        run,
        file,
        Columns(
            when=time if dt is None else dt,
            stream=stream,
            values=None if columns is None else tuple(c.strip() for c in columns.split(",")),
            header=header,
        ),
        StreamSettings(
            format=format.value,
            output=None if output is None else output.value,
            when=None if time is None and dt is None else "time" if dt is None else "dt",
            time_unit=None if time is None else 1.0 if time_unit is None else time_unit,
            scale=scale,
            probabilities=probabilities,
            skip=on_error is OnError.skip,
            state=state,
            max_streams=max_streams,
            chunk=chunk,
            weights=weights.value,
            quiet=quiet,
        ),
    )
