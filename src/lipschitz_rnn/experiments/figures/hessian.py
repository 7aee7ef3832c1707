"""Spectral density of Hessians, and the loss along their leading eigenvectors."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lipschitz_rnn.experiments.figures import style
from lipschitz_rnn.experiments.hessian import LossSlice, RunHessian

_WIDTH = 0.01
"""Of the Gaussian that stands for a Ritz value, over the range shown."""

_NEAR = 0.5
"""Distance from the weights up to which slices are shown: farther out no parabola is like them."""


def density_figure(
    groups: Sequence[tuple[str, Sequence[RunHessian]]], *, title: str = ""
) -> Figure:
    """Where the eigenvalues lie: a panel for each model, a line for each of its runs.

    Args:
        groups: Label and runs of each model.
        title: Above the figure.

    Returns:
        The figure. Each Ritz value is a Gaussian of one hundredth of the range, weighted so that a
        line has an area of 1; the scale is logarithmic, on which its tails are parabolas.

    Raises:
        ValueError: If no run has Lanczos steps.
    """
    shown = [(label, [run for run in runs if run.report.density]) for label, runs in groups]
    shown = [(label, runs) for label, runs in shown if runs]
    if not shown:
        raise ValueError("density_figure: expected runs with Lanczos steps, got none.")
    nodes = np.concatenate(
        [one.nodes for _, runs in shown for r in runs for one in r.report.density]
    )
    spread = float(nodes.max() - nodes.min()) or 1.0
    grid = np.linspace(nodes.min() - 0.05 * spread, nodes.max() + 0.05 * spread, 2000)
    with style.house_style():
        figure, axes = style.make_figure(len(shown), 1, 6.4, 0.9 + 1.6 * len(shown))
        for panel, ((label, runs), color) in zip(axes, _colored(shown), strict=True):
            lines = [_density(run, grid, _WIDTH * spread) for run in runs]
            for line in lines:
                panel.plot(grid, line, color=color, linewidth=1)
            panel.set_yscale("log")
            panel.set_ylim(1e-6, 3 * max(line.max() for line in lines))
            _annotate(panel, label, runs)
            panel.sharex(axes[-1])
            panel.tick_params(labelbottom=panel is axes[-1])
        axes[-1].set_xlabel("eigenvalue λ of the Hessian")
        figure.supylabel("density of eigenvalues", fontsize=9)
        style.add_title(figure, title)
    return figure


def _colored(
    shown: Sequence[tuple[str, Sequence[RunHessian]]],
) -> list[tuple[tuple[str, Sequence[RunHessian]], str]]:
    colors = [style.SERIES[i % len(style.SERIES)][0] for i in range(len(shown))]
    return list(zip(shown, colors, strict=True))


def _density(run: RunHessian, grid: np.ndarray, width: float) -> np.ndarray:
    total = np.zeros_like(grid)
    for one in run.report.density:
        bumps = np.exp(-0.5 * ((grid[:, None] - one.nodes) / width) ** 2)
        total += bumps @ one.weights / (width * np.sqrt(2 * np.pi))
    return np.asarray(total / len(run.report.density))


def _annotate(axes: Axes, label: str, runs: Sequence[RunHessian]) -> None:
    largest = np.mean([run.report.eigenvalues[0] for run in runs])
    seeds = f"{len(runs)} runs, " if len(runs) > 1 else ""
    axes.set_title(f"{label}: {seeds}largest eigenvalue {largest:.3g}")


def slices_figure(groups: Sequence[tuple[str, Sequence[RunHessian]]], *, title: str = "") -> Figure:
    """The loss along the eigenvectors of the two largest eigenvalues, near the weights.

    Args:
        groups: Label and runs of each model; at most six.
        title: Above the figure.

    Returns:
        The figure: what is added to the loss at the weights, a line for each run; dashed is the
        parabola of the mean of the eigenvalues.
    """
    with style.house_style():
        figure, axes = style.make_figure(1, 2, 6.8, 3.2)
        for (label, runs), (color, _) in zip(groups, style.SERIES, strict=False):
            for number, panel in enumerate(axes):
                slices = [run.slices[number] for run in runs if len(run.slices) > number]
                if slices:
                    _draw_slices(panel, slices, color, label)
        for panel, which in zip(axes, ("first", "second"), strict=True):
            panel.set_title(f"along the {which} eigenvector")
            panel.set_xlabel("distance from the weights")
            panel.xaxis.set_major_locator(MaxNLocator(5))
        axes[0].set_ylabel("loss above that at the weights")
        axes[1].sharey(axes[0])
        axes[1].tick_params(labelleft=False)
        axes[0].plot([], [], "--", color=style.GREY, linewidth=0.8, label="λ d² / 2")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        style.add_title(figure, title)
    return figure


def _draw_slices(axes: Axes, slices: Sequence[LossSlice], color: str, label: str) -> None:
    for number, one in enumerate(slices):
        distances, losses = np.array(one.distances), np.array(one.losses)
        near = np.abs(distances) <= _NEAR
        added = losses - losses[np.argmin(np.abs(distances))]
        axes.plot(distances[near], added[near], color=color, label=None if number else label)
    curvature = np.mean([one.eigenvalue for one in slices])
    line = np.linspace(-_NEAR, _NEAR, 81)
    axes.plot(line, curvature * line**2 / 2, "--", color=color, linewidth=0.8)
