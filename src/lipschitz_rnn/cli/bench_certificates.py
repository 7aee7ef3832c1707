"""``lipschitz-rnn bench-certificates``: what each strength certifies, and what it costs."""

from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.options import Quiet


@app.command("bench-certificates")
def bench_certificates(
    output: Annotated[
        Path | None, typer.Option(help="Write the results here, as JSON.", metavar="FILE")
    ] = None,
    show: Annotated[
        Path | None,
        typer.Option(help="Measure nothing: print the tables of such a file.", metavar="FILE"),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Count the systems that each strength certifies where condition (a) fails, and time it.

    Half an hour on two cores.
    """
    import json

    from lipschitz_rnn._base.files import write_atomically
    from lipschitz_rnn.benchmarks.certificates import markdown_tables, run_certificates
    from lipschitz_rnn.cli.console import say, warn

    if show is not None:
        say(_tables_of(show))
        return
    results = run_certificates(None if quiet else warn)
    if output is not None:
        write_atomically(output, (json.dumps(results, indent=1) + "\n").encode())
    say(markdown_tables(results))
    if output is not None:
        say(f"results: {output}")


def _tables_of(path: Path) -> str:
    import json

    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.benchmarks.certificates import markdown_tables

    try:
        return markdown_tables(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        )
        raise InputError(f"{path}: expected results of this command, got {reason}.") from None
