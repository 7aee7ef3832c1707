"""The figure of a sweep: what a setting does to the result."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lipschitz_rnn.experiments.figures import style
from lipschitz_rnn.experiments.results import RowResult
from lipschitz_rnn.experiments.tables import Table
from lipschitz_rnn.training.overrides import setting_of


def sweep_figure(table: Table, gathered: Sequence[RowResult]) -> Figure:
    """The figure of the last epoch over the values of the table's axis, a line a combination.

    Args:
        table: The table, with an axis.
        gathered: Rows that were run.

    Returns:
        The figure: lines through the means, a mark for every run.

    Raises:
        ValueError: If there are more than six combinations of the other settings.
    """
    lines: dict[str, list[tuple[float, list[float]]]] = {}
    for result in gathered:
        value, rest = _split(table, result)
        lines.setdefault(rest, []).append((value, result.values(table, "last")))
    if len(lines) > len(style.SERIES):
        raise ValueError(f"sweep_figure: expected at most six lines, got {len(lines)}.")
    with style.house_style():
        figure, (axes,) = style.make_figure(1, 1, 6.4, 3.6)
        for (label, points), (color, marker) in zip(lines.items(), style.SERIES, strict=False):
            points.sort()
            axes.plot(
                [value for value, _ in points], [np.mean(found) for _, found in points],
                color=color, label=label,
            )  # fmt: skip
            for value, found in points:
                axes.plot([value] * len(found), found, marker, color=color, markersize=3.5,
                          markerfacecolor="none", linestyle="none")  # fmt: skip
        axes.set_xlabel(table.axis.rpartition(".")[2])
        axes.set_ylabel(f"test {table.metric}" + (" in per cent" if table.scale == 100 else ""))
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def _split(table: Table, result: RowResult) -> tuple[float, str]:
    """Value of the axis, and the label without it."""
    settings = {setting_of(one): one.partition("=")[2] for one in result.row.set}
    name = table.axis.rpartition(".")[2]
    kept = [part for part in result.row.label.split(", ") if not part.startswith(f"{name} ")]
    return float(settings[table.axis]), ", ".join(kept)
