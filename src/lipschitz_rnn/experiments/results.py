"""Cards gathered into the rows of a table, beside the numbers in print."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipschitz_rnn.experiments.card import CARD, read_card
from lipschitz_rnn.experiments.tables import Row, Table
from lipschitz_rnn.training import RunConfig
from lipschitz_rnn.training.schema import from_table

NOT_RUN = "not run"
KINDS = ("last", "best_validation", "best_test")


@dataclass(frozen=True)
class RowResult:
    """What the runs of a row came to, in the table's unit.

    Attributes:
        row: The row.
        cards: Of the runs that are finished, by seed.
    """

    row: Row
    cards: dict[int, dict[str, Any]]

    def values(self, table: Table, kind: str) -> list[float]:
        """The figure of each run.

        Args:
            table: The row's.
            kind: ``"last"``, ``"best_validation"`` or ``"best_test"``.

        Returns:
            Those that are numbers, scaled.
        """
        found = (_figure(card, table.metric, kind) for card in self.cards.values())
        return [value * table.scale for value in found if value is not None]


def _figure(card: dict[str, Any], metric: str, kind: str) -> float | None:
    """A card's figure; the loss, which tasks of all kinds have, is among those of its weights."""
    if metric != "loss":
        value: float | None = card[f"test_{metric}_{kind}"]
        return value
    weights = card.get(f"test_{kind}")
    return None if weights is None else weights["loss"]


def run_name(row: Row, seed: int) -> str:
    """Name of a run among those of its preset."""
    return f"{row.name}-seed{seed}"


def gather(table: Table, results: Path) -> list[RowResult]:
    """Find the cards of a table.

    A card counts for a row if its settings are those of the row today; one of other settings is
    left out, as if it were not there.

    Args:
        table: The table.
        results: The results folder.

    Returns:
        One entry a row.
    """
    gathered = []
    for row in table.rows:
        cards = {}
        for path in sorted((results / row.folder).glob(f"{row.name}-seed*/{CARD}")):
            number = path.parent.name.removeprefix(f"{row.name}-seed")
            if number.isdecimal() and is_card_of(row, int(number), card := read_card(path)):
                cards[int(number)] = card
        gathered.append(RowResult(row, dict(sorted(cards.items()))))
    return gathered


def is_card_of(row: Row, seed: int, card: dict[str, Any]) -> bool:
    """Whether a card is of the settings that a row has today."""
    return from_table(RunConfig, card["settings"], CARD) == row.config(seed)


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


def table_cells(table: Table, gathered: Sequence[RowResult]) -> tuple[list[str], list[list[str]]]:
    """A table as text.

    Args:
        table: The table.
        gathered: Its results.

    Returns:
        The headings, and the cells of each row.
    """
    heads = [
        "model",
        "last epoch",
        "best validation",
        *(() if table.metric == "loss" else ("best test",)),
        *(("trivial",) if table.metric == "loss" else ("in print", "ours - print", "how sure")),
        "parameters",
        "data",
        "hours",
    ]
    rows = []
    for result in gathered:
        kinds = KINDS[:2] if table.metric == "loss" else KINDS
        spreads = [spread_text(result.values(table, kind), table.digits) for kind in kinds]
        cards = list(result.cards.values())
        hours = [card["time"]["wall_seconds"] / 3600 for card in cards]
        rows.append(
            [
                result.row.label,
                *spreads,
                *_beside(table, result),
                f"{cards[0]['parameters']:,}" if cards else "",
                ", ".join(sorted({card["data"].get("name", "") for card in cards})),
                f"{statistics.fmean(hours):.2g}" if hours else "",
            ]
        )
    return heads, rows


def agreement(table: Table, result: RowResult) -> float | None:
    """How far the mean of the last epochs is from print, in the table's unit.

    Args:
        table: The table.
        result: Of a row.

    Returns:
        Ours minus the printed figure; None where either is missing.
    """
    values = result.values(table, "last")
    if not values or result.row.printed is None:
        return None
    return statistics.fmean(values) - result.row.printed


def _beside(table: Table, result: RowResult) -> list[str]:
    """What our figure stands beside: losses of trivial predictors, or the number in print."""
    if table.metric != "loss":
        printed, apart = result.row.printed, agreement(table, result)
        return [
            "none" if printed is None else str(printed),
            "" if apart is None else f"{apart:+.{table.digits}f}",
            result.row.evidence,
        ]
    none: dict[str, float] = {}
    trivial = next((card["data"].get("trivial", none) for card in result.cards.values()), none)
    return [", ".join(f"{name} {loss:.{table.digits}f}" for name, loss in trivial.items())]


def as_markdown(table: Table, gathered: Sequence[RowResult]) -> str:
    """A table in Markdown, with what it must be read with.

    Args:
        table: The table.
        gathered: Its results.

    Returns:
        The text.
    """
    heads, rows = table_cells(table, gathered)
    lines = [f"# {table.title}", ""]
    lines += ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines += [
        "",
        f"Command: `lipschitz-rnn reproduce {table.name}`. Mean ± standard deviation over",
    ]
    lines += [
        "seeds. *Last epoch* and *best validation* look at the test samples once; *best test* is",
        "the best epoch on the test samples, an optimistic figure that many tables print.",
    ]
    lines += [f"\n{note}" for note in table.notes]
    return "\n".join(lines) + "\n"


def as_table(table: Table, gathered: Sequence[RowResult]) -> dict[str, Any]:
    """A table as what JSON can hold.

    Args:
        table: The table.
        gathered: Its results.

    Returns:
        Name, title and metric; and for each row the figures of its runs, in the table's unit, by
        seed and kind, beside the figure in print.
    """
    rows = []
    for result in gathered:
        runs = {
            str(seed): {
                kind: None if value is None else value * table.scale
                for kind in KINDS
                for value in [_figure(card, table.metric, kind)]
            }
            | {"parameters": card["parameters"], "seconds": card["time"]["wall_seconds"]}
            for seed, card in result.cards.items()
        }
        row = result.row
        named = {"name": row.name, "label": row.label, "printed": row.printed}
        rows.append({**named, "evidence": row.evidence, "runs": runs})
    return {"name": table.name, "title": table.title, "metric": table.metric, "rows": rows}


def metric_of(rows: Sequence[Row], results: Path) -> str:
    """Name of the figure that the cards of some rows compare; ``"accuracy"`` if there is none.

    Args:
        rows: The rows.
        results: The results folder.

    Returns:
        The name.
    """
    for row in rows:
        for path in (results / row.folder).glob(f"{row.name}-seed*/{CARD}"):
            return str(read_card(path)["metric"])
    return "accuracy"
