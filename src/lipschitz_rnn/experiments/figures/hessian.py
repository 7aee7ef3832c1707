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
            for run in runs:
                panel.plot(grid, _density(run, grid, _WIDTH * spread), color=color, linewidth=1)
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
    axes.set_yscale("log")
    axes.set_ylim(1e-6, None)


def slices_figure(groups: Sequence[tuple[str, Sequence[RunHessian]]], *, title: str = "") -> Figure:
    """The loss along the eigenvectors of the two largest eigenvalues.

    Args:
        groups: Label and runs of each model; at most six.
        title: Above the figure.

    Returns:
        The figure: what is added to the loss at the weights; thin dashed lines are the parabolas
        that the eigenvalues stand for.
    """
    with style.house_style():
        figure, axes = style.make_figure(1, 2, 6.8, 3.2)
        for (label, runs), (color, _) in zip(groups, style.SERIES, strict=False):
            for number, run in enumerate(runs):
                for panel, one in zip(axes, run.slices, strict=False):
                    _draw_slice(panel, run, one, color, label if number == 0 else None)
        for panel, which in zip(axes, ("first", "second"), strict=True):
            panel.set_title(f"along the {which} eigenvector")
            panel.set_xlabel("distance from the weights")
            panel.xaxis.set_major_locator(MaxNLocator(5))
        axes[0].set_ylabel("loss above that at the weights")
        axes[1].sharey(axes[0])
        axes[1].tick_params(labelleft=False)
        axes[0].plot([], [], "--", color=style.GREY, linewidth=0.6, label="λ d² / 2")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        style.add_title(figure, title)
    return figure


def _draw_slice(axes: Axes, run: RunHessian, one: LossSlice, color: str, label: str | None) -> None:
    distances = np.array(one.distances)
    added = np.array(one.losses) - run.report.loss
    axes.plot(distances, added, color=color, label=label)
    axes.plot(
        distances,
        one.eigenvalue * distances**2 / 2,
        "--",
        color=color,
        linewidth=0.6,
    )
