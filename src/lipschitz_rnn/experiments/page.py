"""Pages whose tables of results come from cards: what stands between two marks is written anew."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.experiments.figures.curves import curves_figure
from lipschitz_rnn.experiments.figures.save import save_figure
from lipschitz_rnn.experiments.figures.sweep import sweep_figure
from lipschitz_rnn.experiments.results import RowResult, gather
from lipschitz_rnn.experiments.results_text import range_text, table_lines
from lipschitz_rnn.experiments.tables import Table, load_table

PAGE_OMITS = ("best test", "data")
"""Columns that the files beside the cards have, and pages have no room for."""

_MARKS = "; a dot for the last weights on the test samples; dashed, what is in print"

_BLOCK = re.compile(r"<!-- table: (?P<name>\S+) -->\n.*?<!-- end of table -->", re.DOTALL)


def page_tables(text: str) -> tuple[str, ...]:
    """Names of the tables that a page has a place for.

    Args:
        text: The page: ``<!-- table: NAME -->``, a line, ``<!-- end of table -->``.

    Returns:
        In order.
    """
    return tuple(match["name"] for match in _BLOCK.finditer(text))


def fill_page(text: str, results: Path, images: str = "images") -> str:
    """Write the tables of a page anew.

    Args:
        text: The page.
        results: The results folder.
        images: Folder of the figures as the page links to them.

    Returns:
        The page; all outside of the marks as it was.

    Raises:
        InputError: If there is no table of such a name, or the page has a place for none.
    """
    if not page_tables(text):
        raise InputError(
            "page: expected a place for a table, '<!-- table: NAME -->' and in a later line "
            "'<!-- end of table -->', got none."
        )

    def block(match: re.Match[str]) -> str:
        table = load_table(match["name"])
        lines = table_block(table, gather(table, results), images)
        return "\n".join([f"<!-- table: {table.name} -->", *lines, "<!-- end of table -->"])

    return _BLOCK.sub(block, text)


def table_block(table: Table, gathered: Sequence[RowResult], images: str) -> list[str]:
    """What a page says of a table.

    Args:
        table: The table.
        gathered: Its results.
        images: Folder of its figure as the page links to it.

    Returns:
        Lines of Markdown: rows, spread over many seeds, figure, remarks and notes.
    """
    run = [one for one in gathered if one.cards]
    lines = ["", *table_lines(table, run, PAGE_OMITS), ""] if run else [""]
    lines += [f"{found}\n" for found in (range_text(table, one) for one in gathered) if found]
    if make_figure(table, gathered) is not None:
        lines += [f"![{table.title}: curves]({images}/{figure_name(table)})", ""]
        if not table.axis:
            marks = _MARKS if table.samples == "test" else ""
            lines += [f"A line a run, on the validation samples{marks}.", ""]
    remarks = [f"{one.row.label}: {one.row.remark}" for one in run if one.row.remark]
    missing = [_missing_text(one) for one in gathered if not one.cards]
    if missing:
        lines += [f"Not run: {'; '.join(missing)}.", ""]
    lines += [f"- {sentence}" for sentence in (*remarks, *table.notes)]
    return [*lines, "", f"`lipschitz-rnn reproduce {table.name}`", ""]


def _missing_text(result: RowResult) -> str:
    printed = result.row.printed
    return result.row.label + ("" if printed is None else f" (in print {printed})")


def figure_name(table: Table) -> str:
    """File name of a table's figure."""
    return f"results-{table.name}.svg"


def make_figure(table: Table, gathered: Sequence[RowResult]) -> Figure | None:
    """The figure of a table: learning curves, or over the values of one setting.

    Args:
        table: The table.
        gathered: Its results.

    Returns:
        The figure; None if nothing was run.
    """
    make: Callable[[Table, Sequence[RowResult]], Figure]
    make = sweep_figure if table.axis else curves_figure
    run = [one for one in gathered if one.cards]
    return make(table, run) if run else None


def write_page(page: Path, results: Path) -> list[Path]:
    """Write a page's tables and figures anew, each file whole or not at all.

    Args:
        page: The file; figures go to the folder ``images`` beside it.
        results: The results folder.

    Returns:
        What was written.

    Raises:
        InputError: As :func:`fill_page` does, or if there is no such page.
    """
    if not page.is_file():
        raise InputError(f"{page}: expected a page in Markdown, got no file.")
    text = page.read_text("utf-8")
    filled = fill_page(text, results)
    written = [page]
    for name in page_tables(text):
        table = load_table(name)
        figure = make_figure(table, gather(table, results))
        if figure is not None:
            (page.parent / "images").mkdir(exist_ok=True)
            written.append(page.parent / "images" / figure_name(table))
            save_figure(figure, written[-1])
    write_atomically(page, filled.encode())
    return written
