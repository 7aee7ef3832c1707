"""``lipschitz-rnn bench-ucr``: the classifier beside others on the UCR archive."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, Quiet

if TYPE_CHECKING:
    from lipschitz_rnn.benchmarks.ucr import UCRSettings


@app.command(
    "bench-ucr",
    short_help="The classifier beside others on UCR data.",
    epilog=epilog(
        "bench-ucr GunPoint ItalyPowerDemand --only lipschitz,lstm",
        "bench-ucr --seeds 0,1,2 --output ucr.json",
        "bench-ucr --show benchmarks/results/ucr.json",
        note="The data are yours to bring: the archive's own folders, NAME/NAME_TRAIN.tsv, in "
        'DIR/ucr/. MiniRocket and DTW need: pip install "lipschitz-rnn[ucr]".',
    ),
)
def bench_ucr(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Data sets; twelve by default.", metavar="NAME", show_default=False),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(help="Some of lipschitz, lstm, minirocket, dtw.", metavar="NAME,NAME"),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Of what a method draws.", metavar="N,N")] = "0",
    threads: Annotated[int, typer.Option(min=1, help="Of every method.")] = 1,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with ucr/ in it; before $LIPSCHITZ_RNN_DATA.", metavar="DIR"),
    ] = None,
    cells: Annotated[
        Path,
        typer.Option(help="Keep each measurement here, and take over what is.", metavar="DIR"),
    ] = Path("runs/ucr"),
    output: Annotated[
        Path | None, typer.Option(help="Write all of them here, as JSON.", metavar="FILE")
    ] = None,
    show: Annotated[
        Path | None,
        typer.Option(help="Measure nothing: print the tables of such a file.", metavar="FILE"),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train and test on data sets of the UCR archive; print accuracy and seconds.

    What is interrupted goes on where it was: by the same command.
    """
    import json

    from lipschitz_rnn._base.files import write_atomically
    from lipschitz_rnn.benchmarks.ucr import run_ucr
    from lipschitz_rnn.benchmarks.ucr_table import read_ucr_results, ucr_tables
    from lipschitz_rnn.cli.console import say, warn

    if show is not None:
        results = read_ucr_results(show)
    else:
        settings = _settings(names, only, seeds, threads)
        results = run_ucr(settings, cells, data_dir=data_dir, report=None if quiet else warn)
    text = json.dumps(results, indent=1)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(output, text.encode() + b"\n")
    say(text if as_json else ucr_tables(results))
    if output is not None and not as_json:
        say(f"results: {output}")


def _settings(names: list[str] | None, only: str | None, seeds: str, threads: int) -> "UCRSettings":
    """Options as settings; nothing is measured before all of them are understood."""
    from lipschitz_rnn._base.checks import require_name
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.benchmarks.ucr import DATASETS, UCRSettings
    from lipschitz_rnn.benchmarks.ucr_methods import METHODS

    methods = tuple(METHODS) if only is None else tuple(only.split(","))
    for name in methods:
        require_name("--only", name, METHODS, "some of")
    try:
        numbers = tuple(dict.fromkeys(int(part) for part in seeds.split(",")))
    except ValueError:
        raise InputError(f"--seeds: expected integers with commas, got {seeds!r}.") from None
    if min(numbers) < 0 or max(numbers) >= 2**32:
        raise InputError(f"--seeds: expected integers from 0 to 2^32 - 1, got {seeds!r}.")
    return UCRSettings(tuple(dict.fromkeys(names or DATASETS)), methods, numbers, threads)
