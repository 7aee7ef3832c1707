"""Pages whose tables of results come from cards: what stands between two marks is written anew."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from lipschitz_rnn._base.checks import require_name
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.experiments.figures.curves import curves_figure
from lipschitz_rnn.experiments.figures.save import save_figure
from lipschitz_rnn.experiments.figures.sweep import sweep_figure
from lipschitz_rnn.experiments.results import RowResult, gather
from lipschitz_rnn.experiments.results_text import (
    markdown_lines,
    range_text,
    table_cells,
    table_lines,
)
from lipschitz_rnn.experiments.tables import Table, load_table

PAGE_OMITS = ("best test", "data", "epochs", "how sure")
"""Columns that the files beside the cards have, and pages have no room for."""

ROWS_OMIT = (*PAGE_OMITS, "agrees", "ours - print", "time of a run")
"""Columns that rows of several tables have no room for."""

Maker = Callable[[str], list[str]]
"""From what a mark names to the lines between it and its end."""

_BEGIN = re.compile(r"<!-- (?P<kind>\w+): (?P<what>.+?) -->")
_END = re.compile(r"<!-- end of (?P<kind>\w+) -->")


@dataclass(frozen=True)
class _Part:
    """Lines of a page: those between two marks, or, without a kind, those outside."""

    kind: str
    what: str
    lines: tuple[str, ...]


def _parts(text: str) -> list[_Part]:
    """The page in its order; marks are lines of their own, and nothing in a fence is one."""
    parts, lines, fenced = [], [], False
    kind = what = ""
    for line in text.split("\n"):
        fenced ^= line.startswith("```")
        begin, end = _BEGIN.fullmatch(line), _END.fullmatch(line)
        if fenced or (begin is None and end is None):
            lines.append(line)
            continue
        if bool(begin) == bool(kind) or (end is not None and end["kind"] != kind):
            behind = f" behind '<!-- {kind}: {what} -->'" if kind else ""
            raise InputError(
                "page: expected '<!-- KIND: NAME -->' and '<!-- end of KIND -->' in turn, got "
                f"{line!r}{behind}."
            )
        parts.append(_Part(kind, what, tuple(lines)))
        kind, what = (begin["kind"], begin["what"]) if begin is not None else ("", "")
        lines = []
    if kind:
        raise InputError(f"page: expected an end of '<!-- {kind}: {what} -->', got none.")
    return [*parts, _Part("", "", tuple(lines))]


def page_tables(text: str) -> tuple[str, ...]:
    """Names of the tables that a page has a place for.

    Args:
        text: The page: ``<!-- table: NAME -->``, a line, ``<!-- end of table -->``.

    Returns:
        In order.
    """
    return tuple(part.what for part in _parts(text) if part.kind == "table")


def fill_page(
    text: str,
    results: Path,
    images: str = "images",
    makers: Mapping[str, Maker] | None = None,
) -> str:
    """Write the tables of a page anew.

    Args:
        text: The page. Between ``<!-- table: NAME -->`` and ``<!-- end of table -->`` stands a
            whole table, between ``<!-- rows: TABLE/ROW TABLE/ROW -->`` and ``<!-- end of rows -->``
            some rows of several ones.
        results: The results folder.
        images: Folder of the figures as the page links to them.
        makers: What stands between marks of other kinds, by kind.

    Returns:
        The page; all outside of the marks as it was.

    Raises:
        InputError: If there is no table or row of such a name, the page has no mark, or marks do
            not come in pairs.
    """
    known: dict[str, Maker] = {
        "table": lambda name: _table_lines(name, results, images),
        "rows": lambda names: _rows_lines(names.split(), results),
        **(makers or {}),
    }
    parts = _parts(text)
    if not any(part.kind for part in parts):
        raise InputError(
            "page: expected a place for a table, '<!-- table: NAME -->' and in a later line "
            "'<!-- end of table -->', got none."
        )
    lines: list[str] = []
    for part in parts:
        if not part.kind:
            lines += part.lines
            continue
        require_name("page", part.kind, known, "marks of the kind")
        mark = (f"<!-- {part.kind}: {part.what} -->", f"<!-- end of {part.kind} -->")
        lines += [mark[0], *known[part.kind](part.what), mark[1]]
    return "\n".join(lines)


def _table_lines(name: str, results: Path, images: str) -> list[str]:
    table = load_table(name)
    return table_block(table, gather(table, results), images)


def _rows_lines(names: Sequence[str], results: Path) -> list[str]:
    """Rows of several tables under one head; what a table has no column for stays blank."""
    heads: dict[str, None] = {}
    rows: list[dict[str, str]] = []
    for name in names:
        of, _, row = name.partition("/")
        table = load_table(of)
        table = dataclasses.replace(table, rows=table.choose([row]))
        columns, (cells,) = table_cells(table, gather(table, results), short=True)
        found = {"task": table.title, **dict(zip(columns, cells, strict=True))}
        rows.append({head: cell for head, cell in found.items() if head not in ROWS_OMIT})
        heads |= dict.fromkeys(rows[-1])
    return markdown_lines(list(heads), [[row.get(head, "") for head in heads] for row in rows])


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
    lines = ["", *table_lines(table, run, PAGE_OMITS, short=True), ""] if run else [""]
    lines += [f"{found}\n" for found in (range_text(table, one) for one in gathered) if found]
    if run:
        what = f"over {table.axis}" if table.axis else "learning curves"
        lines += [f"![{table.title}: {what}]({images}/{figure_file(table)})", ""]
        if not table.axis:
            marks = "; a dot for the last weights on the test samples"
            marks = marks if table.samples == "test" else ""
            printed = any(one.row.printed is not None for one in run)
            marks += "; dashed, what is in print" if printed else ""
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


def figure_file(table: Table) -> str:
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


def write_page(page: Path, results: Path, makers: Mapping[str, Maker] | None = None) -> list[Path]:
    """Write a page's tables and figures anew, each file whole or not at all.

    Args:
        page: The file; figures go to the folder ``images`` beside it.
        results: The results folder.
        makers: As :func:`fill_page` takes them.

    Returns:
        What was written.

    Raises:
        InputError: As :func:`fill_page` does, or if there is no such page.
    """
    if not page.is_file():
        raise InputError(f"{page}: expected a page in Markdown, got no file.")
    text = page.read_bytes().decode()  # line ends as they are
    filled = fill_page(text, results, makers=makers)
    written = [page]
    for name in page_tables(text):
        table = load_table(name)
        figure = make_figure(table, gather(table, results))
        if figure is not None:
            (page.parent / "images").mkdir(exist_ok=True)
            written.append(page.parent / "images" / figure_file(table))
            save_figure(figure, written[-1])
    write_atomically(page, filled.encode())
    return written
