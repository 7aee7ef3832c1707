"""``lipschitz-rnn bench-certificates``: what each strength certifies, and what it costs."""

from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, Quiet


@app.command(
    "bench-certificates",
    short_help="What each strength certifies, and its cost.",
    epilog=epilog(
        "bench-certificates --output certificates.json",
        "bench-certificates --show benchmarks/results/certificates.json",
    ),
)
def bench_certificates(
    output: Annotated[
        Path | None, typer.Option(help="Write the results here, as JSON.", metavar="FILE")
    ] = None,
    show: Annotated[
        Path | None,
        typer.Option(help="Measure nothing: print the tables of such a file.", metavar="FILE"),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Count the systems that each strength certifies where condition (a) fails, and time it.

    Half an hour on two cores.
    """
    import json

    from lipschitz_rnn._base.files import write_atomically
    from lipschitz_rnn.benchmarks.certificates import certificate_tables, run_certificates
    from lipschitz_rnn.cli.console import say, warn

    if show is not None:
        text, tables = _read(show)
        say(text if as_json else tables)
        return
    results = run_certificates(None if quiet else warn)
    text = json.dumps(results, indent=1)
    if output is not None:
        write_atomically(output, text.encode() + b"\n")
    say(text if as_json else certificate_tables(results))
    if output is not None and not as_json:
        say(f"results: {output}")


def _read(path: Path) -> tuple[str, str]:
    """A file of results as it is, and its tables."""
    import json

    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.benchmarks.certificates import certificate_tables

    try:
        text = path.read_text("utf-8").strip()
        return text, certificate_tables(json.loads(text))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        )
        raise InputError(f"{path}: expected results of this command, got {reason}.") from None
