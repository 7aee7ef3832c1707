"""One figure for who decides in a minute: speed, learning, robustness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from lipschitz_rnn.experiments.figures import style

_CURVES = (style.GREY, style.BLUE)
_MODELS = ((style.BLUE, "o"), (style.VERMILION, "^"), (style.GREY, "s"))


@dataclass(frozen=True)
class Overview:
    """What the figure shows.

    Attributes:
        speed: How many times as long as the kernel others take for a training pass, by name.
        shape: Of that pass, in words.
        curves: Cards of two runs on the same task, by label; the second one is to be seen.
        robustness: For each of three models, by label, curves of its runs: strengths and
            accuracies; the first one is to be seen.
    """

    speed: Mapping[str, float]
    shape: str
    curves: Mapping[str, dict[str, Any]]
    robustness: Mapping[str, Sequence[tuple[Sequence[float], Sequence[float]]]]


def overview_figure(overview: Overview) -> Figure:
    """Bars of training times, learning curves, accuracy under white noise.

    Args:
        overview: The numbers.

    Returns:
        The figure, three panels in a row.
    """
    with style.house_style():
        figure, (left, middle, right) = style.make_figure(1, 3, 9.6, 2.9)
        _draw_speed(left, overview)
        _draw_curves(middle, overview)
        _draw_robustness(right, overview)
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
    axes.set_title(f"Fast: {overview.shape}")


def _draw_curves(axes: Axes, overview: Overview) -> None:
    for (label, card), color in zip(overview.curves.items(), _CURVES, strict=True):
        epochs = [point["epoch"] for point in card["curve"]]
        errors = [100 * (1 - point["validation"]) for point in card["curve"]]
        axes.plot(epochs, errors, color=color, label=label)
        error = 100 * (1 - card["test_accuracy_last"])
        axes.plot([epochs[-1]], [error], "o", color=color, markersize=4, clip_on=False)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("epoch")
    axes.set_ylabel("error in per cent")
    axes.set_title("Accurate: MNIST, one pixel a step")
    axes.legend(loc="upper right")


def _draw_robustness(axes: Axes, overview: Overview) -> None:
    for (label, runs), (color, marker) in zip(overview.robustness.items(), _MODELS, strict=True):
        strengths = runs[0][0]
        mean = 100 * np.mean([accuracies for _, accuracies in runs], axis=0)
        axes.plot(strengths, mean, marker=marker, markersize=3.5, color=color, label=label)
    axes.set_ylim(0, 102)
    axes.set_xlabel("standard deviation of white noise")
    axes.set_ylabel("accuracy in per cent")
    axes.set_title("Robust: units trained alike")
    axes.legend(loc="lower left")
