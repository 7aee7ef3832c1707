"""``lipschitz-rnn reproduce``: run what a table lacks, then print it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.options import Budget, DataDir, Quiet, Results

if TYPE_CHECKING:
    from lipschitz_rnn.experiments.tables import Table


@app.command()
def reproduce(
    table: Annotated[
        str | None,
        typer.Argument(help="Name of a table; none to go on with the queue.", metavar="TABLE"),
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
    data_dir: DataDir = None,
    quiet: Quiet = False,
) -> None:
    """Run what TABLE lacks, one run after the other, and print it beside the numbers in print.

    Interrupt it at any time; the same command goes on. Tables: pixel-mnist, cifar10, speech,
    timit, ptb-char, ptb-word, units, ablation, seeds, short.
    """
    from lipschitz_rnn.cli.console import say
    from lipschitz_rnn.cli.launch_queue import (
        read_budget,
        read_numbers,
        require_none,
        require_table,
        work,
    )
    from lipschitz_rnn.cli.results_table import print_table
    from lipschitz_rnn.experiments.queue import Entry
    from lipschitz_rnn.experiments.tables import load_table

    chosen = None if table is None else load_table(table)
    names = None if rows is None else [name.strip() for name in rows.split(",")]
    numbers = None if seeds is None else read_numbers("--seeds", seeds)
    seconds = None if budget is None else read_budget(budget)
    problems = 0
    if chosen is None:
        require_table(rows, seeds)
    if not show:
        wanted = []
        for row in () if chosen is None else chosen.choose(names):
            for seed in numbers or row.seeds or chosen.seeds if chosen else ():
                row.config(seed)  # an error in any of them is told before the first one runs
                wanted.append(Entry.of(row, seed))
        problems = work(results, wanted if chosen else None, data_dir, seconds, quiet)
    if chosen is None:
        say(f"queue: {results / 'queue.toml'}")
    else:
        _show(chosen, results, numbers)
        print_table(chosen, results, numbers)
    require_none(problems)


def _show(table: "Table", results: Path, seeds: list[int] | None) -> None:
    """Keep the table as a page beside the results."""
    from lipschitz_rnn.experiments.results import as_markdown, gather
    from lipschitz_rnn.training.checkpoint import write_atomically

    if not results.is_dir():
        return
    text = as_markdown(table, gather(table, results, seeds))
    write_atomically(results / f"{table.name}.md", text.encode())
