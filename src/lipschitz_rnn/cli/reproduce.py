"""``lipschitz-rnn reproduce``: run what a table lacks, then print it."""

from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.options import Budget, DataDir, Quiet, Results


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
    timit, ptb-char, ptb-word, units, ablation, seeds, short, certified, certified-rows,
    certified-smnist, robustness, robustness-pixel.
    """
    from lipschitz_rnn._base.files import write_atomically
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
    from lipschitz_rnn.experiments.results import as_markdown, gather
    from lipschitz_rnn.experiments.tables import load_table

    chosen = None if table is None else load_table(table)
    names = None if rows is None else [name.strip() for name in rows.split(",")]
    numbers = None if seeds is None else read_numbers("--seeds", seeds)
    seconds = None if budget is None else read_budget(budget)
    problems = 0
    if chosen is None:
        require_table(rows, seeds)
    if not show:
        wanted = None
        if chosen is not None:
            chosen_rows = chosen.choose(names)
            for row in chosen_rows:
                row.config(0)  # an error in any of them is told before the first one runs
            wanted = [
                Entry.of(row, seed) for row in chosen_rows for seed in numbers or chosen.seeds
            ]
        problems = work(results, wanted, data_dir, seconds, quiet)
    if chosen is None:
        say(f"queue: {results / 'queue.toml'}")
    else:
        gathered = gather(chosen, results)
        if results.is_dir():
            page = as_markdown(chosen, gathered)
            write_atomically(results / f"{chosen.name}.md", page.encode())
        print_table(chosen, gathered)
    require_none(problems)
