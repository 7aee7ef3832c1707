"""Learning curves of a table: a panel a row, other rows on the same task in grey behind it."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from lipschitz_rnn.experiments.figures import style
from lipschitz_rnn.experiments.results import RowResult
from lipschitz_rnn.experiments.tables import Table

_COLUMNS = 3
_WIDTH = 34
"""Letters of a line of a title."""


def curves_figure(table: Table, gathered: Sequence[RowResult]) -> Figure:
    """The figure on the validation samples after every epoch, a line a run.

    Args:
        table: The table.
        gathered: Rows that were run.

    Returns:
        The figure. Accuracies are drawn as errors on a logarithmic scale, since what matters is
        near 100 per cent; the last epoch on the test samples is a mark, but not where recipes are
        chosen; the number in print is a dashed line.
    """
    count = len(gathered)
    columns = min(_COLUMNS, count)
    rows = -(-count // columns)
    with style.house_style():
        figure, axes = style.make_figure(rows, columns, 2.35 * columns + 0.7, 1.9 * rows + 0.5)
        for panel, shown in zip(axes, gathered, strict=False):
            for other in gathered:
                if other is not shown and _task(other) == _task(shown):
                    _draw(panel, table, other, color="#D0D0D0", linewidth=0.6, zorder=1)
            _draw(panel, table, shown, color=style.BLUE, linewidth=0.9, zorder=3)
            _mark(panel, table, shown)
            panel.set_title(_wrap(shown.row.label))
            _scale(panel, table)
        for panel in axes[count:]:
            panel.set_axis_off()
        for panel in axes[1:count]:
            panel.sharey(axes[0])
        for number, panel in enumerate(axes[:count]):
            panel.tick_params(labelleft=number % columns == 0)
            if number + columns >= count:
                panel.set_xlabel("epoch")
        figure.supylabel(_what(table), fontsize=9)
    return figure


def _what(table: Table) -> str:
    if table.metric == "accuracy":
        return "validation error in per cent"
    return f"validation {table.metric.replace('_', ' ')}"


def _shown(table: Table, values: Any) -> np.ndarray:
    """Errors in per cent for accuracies, never quite 0; other figures as they are."""
    numbers = np.array([np.nan if value is None else value for value in values], dtype=float)
    scaled: np.ndarray = table.scale * numbers
    if table.metric == "accuracy":
        scaled = np.maximum(100 * (1 - numbers), 1e-2)
    return scaled


def _draw(axes: Axes, table: Table, result: RowResult, **look: Any) -> None:
    for card in result.cards.values():
        curve = card["curve"]
        epochs = [point["epoch"] for point in curve]
        axes.plot(epochs, _shown(table, [point["validation"] for point in curve]), **look)


def _mark(axes: Axes, table: Table, result: RowResult) -> None:
    cards = result.cards.values() if table.samples == "test" else ()
    values = result.values(table, "last") if table.samples == "test" else ()
    for card, value in zip(cards, values, strict=True):
        axes.plot(
            [card["epochs"]["last"]], _shown(table, [value / table.scale]), "o",
            color=style.VERMILION, markersize=3.5, zorder=4, clip_on=False,
            label="test, last epoch",
        )  # fmt: skip
    if result.row.printed is not None:
        level = _shown(table, [result.row.printed / table.scale])[0]
        axes.axhline(level, ls="--", color=style.GREY, linewidth=0.8, label="in print", zorder=2)


def _scale(axes: Axes, table: Table) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    if table.metric == "accuracy":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def _wrap(label: str) -> str:
    """A title in as many lines as its panel has room for."""
    return "\n".join(textwrap.wrap(label, _WIDTH))


def _task(result: RowResult) -> tuple[str | None, ...]:
    """What makes the samples of a row others than those of another."""
    data = result.row.config(0).data
    return data.name, data.task, data.permutation
