"""Cards gathered into the rows of a table, and compared with the numbers in print."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipschitz_rnn.experiments.card import CARD, read_card
from lipschitz_rnn.experiments.tables import Row, Table
from lipschitz_rnn.training import RunConfig
from lipschitz_rnn.training.schema import from_table

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
            kind: ``"last"``, ``"best_validation"`` or ``"best_test"``; or ``"validation"``, the
                figure on the validation samples after the last epoch.

        Returns:
            Those that are numbers, scaled.
        """
        found = (_figure(card, table.metric, kind) for card in self.cards.values())
        return [value * table.scale for value in found if value is not None]


def _figure(card: dict[str, Any], metric: str, kind: str) -> float | None:
    """A card's figure; the loss, which tasks of all kinds have, is among those of its weights."""
    if kind == "validation":
        last: float | None = card["curve"][-1]["validation"]
        return last
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


def agrees(table: Table, result: RowResult) -> bool | None:
    """Whether print is within two standard deviations of a single run of ours.

    The deviation is that over seeds and, for accuracies, that of a sample of so many test images,
    p (1 - p) / n, added in squares.

    Args:
        table: The table.
        result: Of a row.

    Returns:
        None where either figure is missing, nothing is known of the deviation, or the recipe is
        another one.
    """
    apart, values = agreement(table, result), result.values(table, "last")
    if apart is None or result.row.ours or (len(values) == 1 and table.metric != "accuracy"):
        return None
    variance = statistics.variance(values) if len(values) > 1 else 0.0
    if table.metric == "accuracy":
        share = statistics.fmean(values) / table.scale
        count = next(iter(result.cards.values()))["test_last"]["count"]
        variance += table.scale**2 * share * (1 - share) / count
    return abs(apart) <= 2 * math.sqrt(variance)


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
