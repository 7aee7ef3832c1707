"""``lipschitz-rnn sweep``: a preset at every point of a grid."""

from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.complete import complete_preset
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, Budget, DataDir, Quiet, Results


@app.command(
    short_help="A preset at every point of a grid.",
    epilog=epilog(
        "sweep digits --over model.beta=0.5,0.75,1 --seeds 1,2",
        "sweep digits --over model.method=euler,midpoint --set training.epochs=5",
    ),
)
def sweep(
    preset: Annotated[
        str,
        typer.Argument(
            help="Name of a preset, or a TOML file.",
            metavar="PRESET",
            autocompletion=complete_preset,
        ),
    ],
    over: Annotated[
        list[str],
        typer.Option(
            help="An axis, such as model.beta=0.5,0.75 or model.method=euler,midpoint.",
            metavar="KEY=VALUE,VALUE",
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Replace a setting at every point.", metavar="KEY=VALUE"),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of every point.", metavar="1,2")] = "1",
    budget: Budget = None,
    results: Results = Path("results"),
    json: AsJson = False,
    data_dir: DataDir = None,
    quiet: Quiet = False,
) -> None:
    """Train PRESET at every point of the grid of all axes, and print a table.

    Interrupt it at any time; the same command goes on.
    """
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.cli.launch_queue import (
        read_axis,
        read_budget,
        read_numbers,
        require_none,
        work,
    )
    from lipschitz_rnn.cli.results_table import print_table
    from lipschitz_rnn.experiments.queue import Entry
    from lipschitz_rnn.experiments.results import gather, metric_of
    from lipschitz_rnn.experiments.tables import Table, expand_sweep

    numbers = read_numbers("--seeds", seeds)
    seconds = None if budget is None else read_budget(budget)
    rows = tuple(expand_sweep(preset, dict(map(read_axis, over)), settings or (), tag=True))
    for row in rows:
        row.config(numbers[0])  # an error in any of them is told before the first one runs
    wanted = [Entry.of(row, seed) for row in rows for seed in numbers]
    problems = work(results, wanted, data_dir, seconds, quiet or json, warn if json else say)
    name = metric_of(rows, results)
    scale, digits = (100.0, 2) if name == "accuracy" else (1.0, 4)
    grid = Table("sweep", f"{preset}: test {name}", name, scale, digits, tuple(numbers), rows)
    print_table(grid, gather(grid, results), json=json)
    require_none(problems)
