"""One figure for who decides in a minute: speed, learning, certificate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from lipschitz_rnn.experiments.figures import style

_CURVES = (style.GREY, style.BLUE)


@dataclass(frozen=True)
class Overview:
    """What the figure shows.

    Attributes:
        titles: Of the panels.
        speed: How many times as long as the kernel others take for a training pass, by name.
        curves: Cards of two runs on the same task, by label; the second one is to be seen.
        printed: Accuracy in per cent that is in print for that task.
        proved: ``radii``, and accuracies ``certified`` and ``empirical`` within them.
        unproved: The same of a unit of which nothing is proved.
    """

    titles: Sequence[str]
    speed: Mapping[str, float]
    curves: Mapping[str, dict[str, Any]]
    printed: float
    proved: Mapping[str, Any]
    unproved: Mapping[str, Any]


def overview_figure(overview: Overview) -> Figure:
    """Bars of training times, learning curves, accuracy where inputs are moved.

    Args:
        overview: The numbers.

    Returns:
        The figure, three panels in a row.
    """
    with style.house_style():
        figure, (left, middle, right) = style.make_figure(1, 3, 9.6, 2.7)
        _draw_speed(left, overview)
        _draw_curves(middle, overview)
        _draw_certified(right, overview)
        for axes, title in zip(figure.axes, overview.titles, strict=True):
            axes.set_title(title)
    return figure


def _draw_speed(axes: Axes, overview: Overview) -> None:
    names = ["this kernel", *overview.speed]
    ratios = [1.0, *overview.speed.values()]
    places = np.arange(len(names))[::-1]
    colors = [style.BLUE] + [style.GREY] * len(overview.speed)
    bars = axes.barh(places, ratios, color=colors, height=0.62)
    axes.bar_label(bars, [f"{ratio:.1f}" for ratio in ratios], padding=3, fontsize=8)
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1.15 * max(ratios))
    axes.set_xlabel("time of a training pass on the CPU")


def _draw_curves(axes: Axes, overview: Overview) -> None:
    for (label, card), color in zip(overview.curves.items(), _CURVES, strict=True):
        epochs = [point["epoch"] for point in card["curve"]]
        errors = [100 * (1 - point["validation"]) for point in card["curve"]]
        axes.plot(epochs, errors, color=color, label=label)
        error = 100 * (1 - card["test_accuracy_last"])
        axes.plot([epochs[-1]], [error], "o", color=color, markersize=4, clip_on=False)
    axes.axhline(100 - overview.printed, ls="--", color=style.GREY, linewidth=0.8, label="in print")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("epoch (dot: test samples)")
    axes.set_ylabel("error in per cent")
    axes.legend(loc="upper right")


def _draw_certified(axes: Axes, overview: Overview) -> None:
    curves = (
        ("certified, attacked", overview.proved, "empirical", "--", style.BLUE),
        ("proved, in float64", overview.proved, "certified", "-", style.BLUE),
        ("free, attacked", overview.unproved, "empirical", "--", style.GREY),
    )
    for label, curve, key, line, color in curves:
        accuracy = 100 * np.array(curve[key], dtype=float)
        axes.plot(curve["radii"], accuracy, line, color=color, label=label)
    proved = 100 * np.array(overview.proved["certified"], dtype=float)
    axes.fill_between(overview.proved["radii"], proved, color=style.BLUE, alpha=0.12, linewidth=0)
    axes.set_ylim(0, 102)
    axes.set_xlabel("distance in l2 that inputs are moved")
    axes.set_ylabel("accuracy in per cent")
    axes.legend(loc="upper right")
