"""``lipschitz-rnn reproduce``: run what a table lacks, then print it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.complete import complete_table
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, Budget, DataDir, Quiet, Results

if TYPE_CHECKING:
    from lipschitz_rnn.experiments.queue import Entry
    from lipschitz_rnn.experiments.tables import Table


@app.command(
    short_help="Run what a table of results lacks.",
    epilog=epilog(
        "reproduce pixel-mnist --show",
        "reproduce units --rows lipschitz,lstm --seeds 1 --budget 2h",
        "reproduce   # goes on with the queue",
    ),
)
def reproduce(
    table: Annotated[
        str | None,
        typer.Argument(
            help="Name of a table; none to go on with the queue.",
            metavar="TABLE",
            autocompletion=complete_table,
        ),
    ] = None,
    rows: Annotated[
        str | None, typer.Option(help="Some of its rows only.", metavar="NAME,NAME")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds of every row, instead of its own.", metavar="1,2")
    ] = None,
    budget: Budget = None,
    show: Annotated[bool, typer.Option("--show", help="Run nothing: print the table.")] = False,
    results: Results = Path("results"),
    json: AsJson = False,
    data_dir: DataDir = None,
    quiet: Quiet = False,
) -> None:
    """Run what TABLE lacks, one run after the other, and print it beside the numbers in print.

    Interrupt it at any time; the same command goes on. Tables: pixel-mnist, cifar10, speech,
    timit, shakespeare, ptb-char, ptb-word, units, ablation, seeds, recipe-smnist, recipe-psmnist,
    recipe-gap, short, certified, certified-rows, certified-smnist, robustness, robustness-pixel.
    """
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.cli.launch_queue import read_budget, require_none, require_table, work
    from lipschitz_rnn.experiments.plain import as_json
    from lipschitz_rnn.experiments.tables import load_table

    chosen = None if table is None else load_table(table)
    seconds = None if budget is None else read_budget(budget)
    if chosen is None:
        require_table(rows, seeds)
    wanted = None if chosen is None else _wanted(chosen, rows, seeds)
    problems = 0
    if not show:
        problems = work(results, wanted, data_dir, seconds, quiet or json, warn if json else say)
    if chosen is None:
        queue = str(results / "queue.toml")
        say(as_json({"queue": queue, "not_done": problems}) if json else f"queue: {queue}")
    else:
        _show(chosen, results, json)
    require_none(problems)


def _wanted(table: "Table", rows: str | None, seeds: str | None) -> "list[Entry]":
    """The runs that are asked for; an error in any of them is told before the first one runs."""
    from lipschitz_rnn.cli.launch_queue import read_numbers
    from lipschitz_rnn.experiments.queue import Entry

    names = None if rows is None else [name.strip() for name in rows.split(",")]
    numbers = table.seeds if seeds is None else read_numbers("--seeds", seeds)
    chosen = table.choose(names)
    for row in chosen:
        row.config(0)
    return [Entry.of(row, seed) for row in chosen for seed in numbers]


def _show(table: "Table", results: Path, json: bool) -> None:
    """Print the table; where there are results, write it beside them too."""
    from lipschitz_rnn._base.files import write_atomically
    from lipschitz_rnn.cli.results_table import print_table
    from lipschitz_rnn.experiments.results import gather
    from lipschitz_rnn.experiments.results_text import as_markdown

    gathered = gather(table, results)
    if results.is_dir():
        write_atomically(results / f"{table.name}.md", as_markdown(table, gathered).encode())
    print_table(table, gathered, json=json)
