"""Learning curves: the figure, the numbers behind it, and what a pointer reads off it."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from lipschitz_rnn.experiments.figures import history_figure, style
from lipschitz_rnn.experiments.wording import figure_name, figure_text
from lipschitz_rnn.report.figures import Drawing, draw
from lipschitz_rnn.report.source import Source
from lipschitz_rnn.report.wording import number
from lipschitz_rnn.training.metrics import METRICS

_ROWS = 120
"""Of the table of numbers at most; of longer runs every second epoch is left out, and so on."""


@dataclass(frozen=True)
class Curves:
    """Loss and figure over the epochs.

    Attributes:
        drawing: The figure.
        heads: Of the table.
        rows: Numbers of every epoch, as text; of long runs of every so many.
        shown: Which epochs these are, in words.
        readout: What a script needs to say the numbers under a pointer.
    """

    drawing: Drawing
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    shown: str
    readout: dict[str, Any]


def draw_curves(source: Source, key: str) -> Curves | None:
    """The learning curves of a run.

    Args:
        source: The run.
        key: What ids begin with.

    Returns:
        The curves so far; None before the first epoch.
    """
    if not source.curve or source.metric is None:
        return None
    history, metric = source.history, source.metric
    figure = history_figure(dataclasses.replace(history, units={}))
    drawing = draw(figure, key, _alt(source, metric))
    heads, columns = _columns(source, metric)
    every = -(-len(history.epochs) // _ROWS)
    last = len(history.epochs) - 1
    places = [place for place in range(last + 1) if place % every == every - 1 or place == last]
    return Curves(
        drawing,
        heads,
        tuple(tuple(column[place] for column in columns) for place in places),
        "every epoch" if every == 1 else f"every {every} epochs, and the last one",
        _readout(drawing, heads, columns),
    )


def _columns(source: Source, metric: str) -> tuple[tuple[str, ...], list[list[str]]]:
    """Epoch, learning rate, losses, figures; a figure that is the loss stands there once."""
    curve, history = source.curve, source.history
    name = figure_name(metric)
    columns = {
        "epoch": [str(point["epoch"]) for point in curve],
        "learning rate": [f"{point['lr']:.3g}" for point in curve],
        "training loss": [number(loss) for loss in history.train_loss],
        "validation loss": [number(loss) for loss in history.validation_loss],
    }
    for part in ("train", "validation", "test"):
        is_loss = metric == "mse" and part != "test"
        if not is_loss and any(point[part] is not None for point in curve):
            title = {"train": "training"}.get(part, part)
            columns[f"{title} {name}"] = [figure_text(metric, point[part]) for point in curve]
    return tuple(columns), list(columns.values())


def _readout(drawing: Drawing, heads: Sequence[str], columns: list[list[str]]) -> dict[str, Any]:
    panels = [dataclasses.astuple(panel) for panel in drawing.panels]
    return {"panels": panels, "heads": list(heads), "columns": columns}


def _alt(source: Source, metric: str) -> str:
    """What the figure shows, in numbers."""
    epochs, loss = source.history.epochs, source.history.validation_loss
    values = np.array([np.nan if p["validation"] is None else p["validation"] for p in
                       source.curve], dtype=float)  # fmt: skip
    told = f"Learning curves over {len(epochs)} epochs. Validation loss"
    if np.isfinite(loss).any():
        least = int(np.nanargmin(loss))
        told += (
            f" from {number(loss[0])} to {number(loss[-1])}, least {number(loss[least])} after "
            f"epoch {epochs[least]}"
        )
    if metric != "mse" and np.isfinite(values).any():
        better = np.nanargmax if METRICS[source.kind or ""].larger_is_better else np.nanargmin
        best = int(better(values))
        told += (
            f"; validation {figure_name(metric)} from {figure_text(metric, values[0])} to "
            f"{figure_text(metric, values[-1])}, best {figure_text(metric, values[best])} after "
            f"epoch {epochs[best]}"
        )
    return told + "."


def draw_together(sources: Sequence[Source], key: str) -> tuple[Drawing, tuple[str, ...]] | None:
    """The validation figure of several runs in one pair of axes.

    Args:
        sources: The runs; those beyond the sixth, and of another figure, are left out.
        key: What ids begin with.

    Returns:
        The drawing, and the names of the runs in it; None if no two runs compare.
    """
    known = [one for one in sources if one.curve and one.metric is not None]
    shown = [one for one in known if one.metric == known[0].metric][: len(style.SERIES)]
    if len(shown) < 2:
        return None
    metric = str(shown[0].metric)
    with style.house_style():
        figure, (axes,) = style.make_figure(1, 1, 7.2, 3.4)
        for source, (color, marker) in zip(shown, style.SERIES, strict=False):
            epochs = [point["epoch"] for point in source.curve]
            values = [np.nan if p["validation"] is None else p["validation"] for p in source.curve]
            axes.plot(
                epochs, values, color=color, marker=marker, markersize=4, linewidth=1.2,
                markevery=max(1, len(epochs) // 8), label=source.name.replace("_", " "),
            )  # fmt: skip
        if metric == "accuracy":
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
        elif all(p["validation"] for one in shown for p in one.curve):
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"validation {figure_name(metric)}")
        figure.legend(loc="outside lower center", ncols=min(3, len(shown)))
    ends = "; ".join(
        f"{one.name} {figure_text(metric, one.curve[-1]['validation'])} after epoch "
        f"{one.curve[-1]['epoch']}" for one in shown
    )  # fmt: skip
    alt = f"Validation {figure_name(metric)} of {len(shown)} runs over the epochs. At the end: "
    return draw(figure, key, f"{alt}{ends}."), tuple(one.name for one in shown)
