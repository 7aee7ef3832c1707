"""``lipschitz-rnn bench``: the speed of the recurrence on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, Quiet

if TYPE_CHECKING:
    from lipschitz_rnn.benchmarks import Settings

_CHECKOUT = Path("benchmarks/results")
_FILE = "recurrence.json"


@app.command(
    short_help="Time the kernel on this machine.",
    epilog=epilog(
        "bench --shape 128x784x128x1 --only native,loop,gru",
        "bench --from benchmarks/results/recurrence.json --markdown",
    ),
)
def bench(
    shape: Annotated[
        list[str] | None,
        typer.Option(help="Measure this one only; may be repeated.", metavar="BxTxNxP"),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Some of native,loop,rnn,gru,lstm,jax.", metavar="NAMES")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every candidate.")] = 2,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds.")] = 9,
    seconds: Annotated[
        float,
        typer.Option(min=0, help="Budget of each pass of each candidate; slow ones repeat less."),
    ] = 7.0,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write the results here, as JSON; a full run in a checkout writes "
            f"{_CHECKOUT / _FILE} by default.",
            metavar="FILE",
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Measure nothing: show these results.", metavar="FILE"),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Time the kernel against a plain loop, torch's layers, jax and the machine's peak."""
    import json

    from lipschitz_rnn._base.files import write_atomically
    from lipschitz_rnn.benchmarks import as_markdown, read_results, run_benchmark
    from lipschitz_rnn.cli.bench_table import print_results
    from lipschitz_rnn.cli.console import say, warn

    settings = _settings(shape, only, threads, repeats, seconds)
    if output is None and source is None and not (shape or only) and _CHECKOUT.is_dir():
        output = _CHECKOUT / _FILE
    if source is not None:
        results = read_results(source)
    else:
        results = run_benchmark(settings, report=None if quiet else warn)
    text = json.dumps(results, indent=2, allow_nan=False)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(output, text.encode() + b"\n")
    if as_json:
        say(text)
    elif markdown:
        say(as_markdown(results))
    else:
        print_results(results)
        if output is not None:
            say(f"written to {output}")


def _settings(
    shapes: list[str] | None, only: str | None, threads: int, repeats: int, seconds: float
) -> "Settings":
    """Options as settings; nothing is measured before all of them are understood."""
    from lipschitz_rnn._base.checks import require_name
    from lipschitz_rnn.benchmarks import SHAPES, Settings, find_shape
    from lipschitz_rnn.benchmarks.candidates import LABELS

    wanted = tuple(LABELS) if only is None else tuple(only.split(","))
    for name in wanted:
        require_name("--only", name, LABELS, "some of")
    return Settings(
        shapes=tuple(find_shape(name) for name in shapes) if shapes else SHAPES,
        candidates=tuple(name for name in LABELS if name in wanted),
        threads=threads,
        repeats=repeats,
        seconds=seconds,
    )
