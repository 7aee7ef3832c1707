"""How every figure looks: colours that the colour-blind can tell apart, and no decoration."""

import contextlib
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito (2008), Color Universal Design.
BLACK = "#000000"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREY = "#6E6E6E"  # between them, for what is not data

SERIES = (
    (BLACK, "o"),
    (BLUE, "s"),
    (VERMILION, "^"),
    (GREEN, "D"),
    (SKY, "v"),
    (GREY, "P"),
)
"""Colour and marker of each of several series: six can be told apart."""

_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "lipschitz-rnn",  # the same picture is the same file
    "text.usetex": False,
}


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """Our settings while a figure is made or saved; the caller's own afterwards.

    Yields:
        Nothing.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def make_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of its own, which no other code knows of, with its axes in reading order.

    Args:
        rows: Of axes.
        columns: Of axes.
        width: In inches.
        height: In inches.

    Returns:
        The figure and its axes.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, list(grid.flat)


def add_title(figure: Figure, title: str) -> None:
    """Name the figure at its top left; nothing for an empty title."""
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, horizontalalignment="left")


Limits = tuple[float, float]


def window(points: np.ndarray, *, square: bool) -> tuple[Limits, Limits]:
    """Limits of both axes with room around points.

    Args:
        points: (K, 2); those that are not finite are left out.
        square: Whether both axes get the same length.

    Returns:
        Those of the horizontal and of the vertical axis.
    """
    points = points[np.isfinite(points).all(-1)]
    if not len(points):
        points = np.zeros((1, 2))
    low, high = points.min(0), points.max(0)
    spread = high - low
    if square:
        spread = np.full(2, spread.max())
    spread = np.where(spread > 0, spread, max(spread.max(), np.abs(points).max()) or 1.0)
    middle, half = (low + high) / 2, 0.62 * spread
    (left, bottom), (right, top) = (middle - half).tolist(), (middle + half).tolist()
    return (left, right), (bottom, top)
