"""What a page says of results: a whole table with its figure, or rows of several ones."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.markdown import markdown_table
from lipschitz_rnn.experiments.figures.curves import curves_figure
from lipschitz_rnn.experiments.figures.sweep import sweep_figure
from lipschitz_rnn.experiments.results import RowResult, gather
from lipschitz_rnn.experiments.results_text import (
    WORDS,
    range_text,
    table_cells,
    table_lines,
)
from lipschitz_rnn.experiments.tables import Table, load_table

PAGE_OMITS = ("best test", "data", "epochs", "how sure")
"""Columns that the files beside the cards have, and pages have no room for."""

ROWS_OMIT = (*PAGE_OMITS, "agrees", "ours - print", "time")
"""Columns that rows of several tables have no room for."""

IMAGES = "images"
"""Folder of figures, beside the page."""

MakeFigure = Callable[[], Figure]


@dataclass(frozen=True)
class Block:
    """Lines of a page, and the figures that they link to.

    Attributes:
        lines: In Markdown.
        figures: What makes them, by the name that the page links to.
    """

    lines: Sequence[str]
    figures: Mapping[str, MakeFigure] = dataclasses.field(default_factory=dict)


def block_of_table(name: str, results: Path) -> Block:
    """A table by its name.

    Args:
        name: Of the table.
        results: The results folder.

    Returns:
        Its block.

    Raises:
        InputError: If there is no such table.
    """
    table = load_table(name)
    return table_block(table, gather(table, results))


def block_of_rows(names: Sequence[str], results: Path) -> Block:
    """Rows of several tables under one head; what a table has no column for stays blank.

    Args:
        names: ``TABLE/ROW`` each.
        results: The results folder.

    Returns:
        Their block, without a figure.

    Raises:
        InputError: If there is no such table or row, or rows are of different metrics.
    """
    heads: dict[str, None] = {}
    rows: list[dict[str, str]] = []
    metrics = set()
    for name in names:
        of, _, row = name.partition("/")
        if not row:
            raise InputError(f"page: expected rows as TABLE/ROW, got {name!r}.")
        table = load_table(of)
        metrics.add((table.metric, table.scale, table.samples))
        if len(metrics) > 1:
            raise InputError(f"page: expected rows of one metric, got {name} beside others.")
        table = dataclasses.replace(table, rows=table.choose([row]))
        columns, (cells,) = table_cells(table, gather(table, results), short=True)
        found = {"task": table.task, **dict(zip(columns, cells, strict=True))}
        rows.append({head: cell for head, cell in found.items() if head not in ROWS_OMIT})
        heads |= dict.fromkeys(rows[-1])
    return Block(
        markdown_table(list(heads), [[row.get(h, "") for h in heads] for row in rows], WORDS)
    )


def table_block(table: Table, gathered: Sequence[RowResult]) -> Block:
    """What a page says of a table.

    Args:
        table: The table.
        gathered: Its results.

    Returns:
        Rows, spread over many seeds, figure, remarks and notes.
    """
    run = [one for one in gathered if one.cards]
    lines = [*table_lines(table, run, PAGE_OMITS, short=True), ""] if run else []
    lines += [f"{found}\n" for found in (range_text(table, one) for one in gathered) if found]
    picture = f"{IMAGES}/results-{table.name}.svg"
    if run:
        lines += _figure_lines(table, run, picture)
    missing = [_missing_text(one) for one in gathered if not one.cards]
    if missing:
        lines += [
            f"<details><summary>{len(missing)} of {len(gathered)} rows not run</summary>",
            f"{'; '.join(missing)}.",
            "</details>",
            "",
        ]
    remarks = [f"{one.row.label}: {one.row.remark}" for one in run if one.row.remark]
    lines += [f"- {sentence}" for sentence in (*remarks, *table.notes)]
    lines += ["", f"`lipschitz-rnn reproduce {table.name}`"]
    return Block(lines, {picture: lambda: table_figure(table, run)} if run else {})


def _figure_lines(table: Table, run: Sequence[RowResult], picture: str) -> list[str]:
    what = f"over {table.axis}" if table.axis else "learning curves"
    lines = [f"![{table.title}: {what}]({picture})", ""]
    if table.axis:
        return lines
    marks = "; a dot for the last weights on the test samples" if table.samples == "test" else ""
    printed = any(one.row.printed is not None for one in run)
    marks += "; dashed, what is in print" if printed else ""
    return [*lines, f"A line a run, on the validation samples{marks}.", ""]


def _missing_text(result: RowResult) -> str:
    printed = result.row.printed
    return result.row.label + ("" if printed is None else f" (in print {printed})")


def table_figure(table: Table, run: Sequence[RowResult]) -> Figure:
    """The figure of a table: learning curves, or over the values of one setting.

    Args:
        table: The table.
        run: Those of its rows that were run.

    Returns:
        The figure.
    """
    return sweep_figure(table, run) if table.axis else curves_figure(table, run)
