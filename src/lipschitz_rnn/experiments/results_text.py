"""A table of results as text: cells for the terminal, Markdown for files and pages."""

import statistics
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from lipschitz_rnn._base.markdown import markdown_table
from lipschitz_rnn.experiments.results import RowResult, agreement, agrees
from lipschitz_rnn.experiments.tables import Table

NOT_RUN = "not run"
WORDS = ("task", "model", "how sure", "trivial", "data", "agrees")
"""Headings of columns that hold words, not numbers."""

_MANY = 6
"""Runs of a row from which on their range is told."""


def spread_text(values: Sequence[float], digits: int) -> str:
    """Mean, standard deviation and number of some figures.

    Args:
        values: The figures.
        digits: Digits behind the point.

    Returns:
        ``"98.91 ± 0.12 (n=3)"``; no deviation for a single one; "not run" for none.

    Examples:
        >>> spread_text([1.0, 2.0, 3.0], 1), spread_text([], 1)
        ('2.0 ± 1.0 (n=3)', 'not run')
    """
    if not values:
        return NOT_RUN
    mean = f"{statistics.fmean(values):.{digits}f}"
    if len(values) == 1:
        return f"{mean} (n=1)"
    return f"{mean} ± {statistics.stdev(values):.{digits}f} (n={len(values)})"


def table_cells(
    table: Table, gathered: Sequence[RowResult], *, short: bool = False
) -> tuple[list[str], list[list[str]]]:
    """A table as text.

    Args:
        table: The table.
        gathered: Its results.
        short: Whether how sure a number in print is stands behind it in a word, and not at length,
            and how many runs there are in a column, and not behind every figure.

    Returns:
        The headings, and the cells of each row; columns that would be blank are left out.
    """
    columns = {"model": [result.row.label for result in gathered]}
    for kind, head in _figures(table).items():
        columns[head] = [_figure_text(table, result, kind) for result in gathered]
        if short:
            columns[head] = [text.partition(" (n=")[0] for text in columns[head]]
    if short:
        columns["runs"] = [str(len(result.cards)) if result.cards else "" for result in gathered]
    columns |= _beside(table, gathered)
    if short and "how sure" in columns:
        pairs = zip(columns["in print"], columns.pop("how sure"), strict=True)
        columns["in print"] = [_short_text(number, sure) for number, sure in pairs]
    cards = [list(result.cards.values()) for result in gathered]
    columns["parameters"] = [f"{own[0]['parameters']:,}" if own else "" for own in cards]
    columns["epochs"] = [_common(str(card["epochs"]["last"]) for card in own) for own in cards]
    columns["data"] = [_common(card["data"].get("name", "") for card in own) for own in cards]
    columns["time"] = [_time_text(own) for own in cards]
    kept = {head: cells for head, cells in columns.items() if any(cells)}
    return list(kept), [list(row) for row in zip(*kept.values(), strict=True)]


def _short_text(printed: str, evidence: str) -> str:
    """``"99.4 (text)"``."""
    return f"{printed} ({evidence.partition(':')[0]})" if evidence else printed


def _figure_text(table: Table, result: RowResult, kind: str) -> str:
    """Blank, not "not run", of a run that never looked at the test samples on its way."""
    values = result.values(table, kind)
    return spread_text(values, table.digits) if values or not result.cards else ""


def _figures(table: Table) -> dict[str, str]:
    """Kinds of figures that a table compares, with their headings."""
    if table.samples == "validation":
        return {"validation": "validation, last epoch"}
    heads = {"last": "last epoch", "best_validation": "best validation", "best_test": "best test"}
    if table.metric == "loss":
        del heads["best_test"]
    return heads


def _common(words: Iterable[str]) -> str:
    return ", ".join(sorted(set(words)))


def _time_text(cards: Sequence[dict[str, Any]]) -> str:
    """Mean wall time, to two digits."""
    if not cards:
        return ""
    minutes = statistics.fmean(card["time"]["wall_seconds"] for card in cards) / 60
    return f"{minutes:.2g} min" if minutes < 60 else f"{minutes / 60:.2g} h"


def _beside(table: Table, gathered: Sequence[RowResult]) -> dict[str, list[str]]:
    """What our figures stand beside: losses of trivial predictors, or the numbers in print."""
    if table.metric == "loss":
        return {"trivial": [_trivial_text(table, result) for result in gathered]}
    if all(result.row.printed is None for result in gathered):
        return {}
    apart = [agreement(table, result) for result in gathered]
    words = {None: "", True: "yes", False: "no"}
    return {
        "in print": [
            "none" if one.row.printed is None else str(one.row.printed) for one in gathered
        ],
        "ours - print": ["" if x is None else f"{x:+.{table.digits}f}" for x in apart],
        "agrees": [words[agrees(table, result)] for result in gathered],
        "how sure": [result.row.evidence for result in gathered],
    }


def _trivial_text(table: Table, result: RowResult) -> str:
    none: dict[str, float] = {}
    trivial = next((card["data"].get("trivial", none) for card in result.cards.values()), none)
    return ", ".join(f"{name} {loss:.{table.digits}f}" for name, loss in trivial.items())


def range_text(table: Table, result: RowResult) -> str:
    """Lowest, mean and highest figure of a row with many seeds.

    Args:
        table: The table.
        result: Of the row.

    Returns:
        A sentence; nothing for fewer than six runs.
    """
    values = result.values(table, "last")
    if len(values) < _MANY:
        return ""
    digits = table.digits
    return (
        f"{result.row.label}: of {len(values)} seeds the lowest {min(values):.{digits}f}, "
        f"the mean {statistics.fmean(values):.{digits}f}, the highest {max(values):.{digits}f}."
    )


def table_lines(
    table: Table, gathered: Sequence[RowResult], omit: Collection[str] = (), *, short: bool = False
) -> list[str]:
    """The rows of a table in Markdown.

    Args:
        table: The table.
        gathered: Its results.
        omit: Headings of columns to leave out.
        short: As :func:`table_cells` takes it.

    Returns:
        A line a row, behind the headings.
    """
    heads, rows = table_cells(table, gathered, short=short)
    kept = [number for number, head in enumerate(heads) if head not in omit]
    rows = [[row[number] for number in kept] for row in rows]
    return markdown_table([heads[number] for number in kept], rows, WORDS)


def as_markdown(table: Table, gathered: Sequence[RowResult]) -> str:
    """A table in Markdown, with what it must be read with.

    Args:
        table: The table.
        gathered: Its results.

    Returns:
        The text.
    """
    lines = [
        f"# {table.title}",
        "",
        *table_lines(table, gathered),
        "",
        f"Command: `lipschitz-rnn reproduce {table.name}`. Mean ± standard deviation over",
    ]
    if table.samples == "validation":
        lines += ["seeds, on the validation samples: no choice has looked at the test samples."]
    else:
        lines += [
            "seeds. *Last epoch* and *best validation* look at the test samples once; *best test*",
            "is the best epoch on the test samples, an optimistic figure that many tables print.",
        ]
    remarks = [f"{one.row.label}: {one.row.remark}" for one in gathered if one.row.remark]
    lines += [f"\n{found}" for found in (range_text(table, one) for one in gathered) if found]
    lines += [f"\n{sentence}" for sentence in (*remarks, *table.notes)]
    return "\n".join(lines) + "\n"
