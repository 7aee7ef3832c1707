"""``lipschitz-rnn bench-long``: seconds and memory of training on long sequences."""

from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, Quiet


@app.command(
    "bench-long",
    short_help="What training on long sequences costs.",
    epilog=epilog(
        "bench-long --output long-sequences.json",
        "bench-long --show benchmarks/results/long-sequences.json",
    ),
)
def bench_long(
    output: Annotated[
        Path | None, typer.Option(help="Write the results here, as JSON.", metavar="FILE")
    ] = None,
    show: Annotated[
        Path | None,
        typer.Option(help="Measure nothing: print the table of such a file.", metavar="FILE"),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Time training, whole, cut and recomputed, and count the memory that it holds.

    A few minutes on two cores; on Linux alone.
    """
    import json

    from lipschitz_rnn._base.files import write_atomically
    from lipschitz_rnn.benchmarks.long_sequences import long_table, run_long
    from lipschitz_rnn.cli.console import say, warn

    if show is not None:
        text, table = _read(show)
        say(text if as_json else table)
        return
    results = run_long(None if quiet else warn)
    text = json.dumps(results, indent=1)
    if output is not None:
        write_atomically(output, text.encode() + b"\n")
    say(text if as_json else long_table(results))


def _read(path: Path) -> tuple[str, str]:
    """A file of results as it is, and its table."""
    import json

    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.benchmarks.long_sequences import long_table

    text = path.read_text("utf-8")
    try:
        return text.rstrip("\n"), long_table(json.loads(text))
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: expected results of bench-long, got another file.") from None
