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
    quiet: Quiet = False,
) -> None:
    """Count the systems that each strength certifies where condition (a) fails, and time it.

    A quarter of an hour on two cores.
    """
    import json

    from lipschitz_rnn._base.files import write_atomically
    from lipschitz_rnn.benchmarks.certificates import run_certificates
    from lipschitz_rnn.cli.console import say

    results = run_certificates(None if quiet else say)
    text = json.dumps(results, indent=1) + "\n"
    if output is None:
        say(text)
    else:
        write_atomically(output, text.encode())
        say(f"results: {output}")
