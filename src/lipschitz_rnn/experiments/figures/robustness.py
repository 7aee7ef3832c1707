"""Accuracy, or loss, against the strength of perturbations; derivatives over time."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lipschitz_rnn.analysis.robustness_curve import RobustnessCurve
from lipschitz_rnn.experiments.figures import style
from lipschitz_rnn.experiments.robustness import RunRobustness

Groups = Sequence[tuple[str, Sequence[RunRobustness]]]

_COLUMNS = 3

_NOTHING = 0.005
"""Accuracy below which a curve has come to its end."""


def robustness_figure(groups: Groups, names: Sequence[str], *, title: str = "") -> Figure:
    """A panel for each perturbation, a line for each model.

    Args:
        groups: Label and runs of each model; at most six.
        names: Of perturbations; those that no run has are left out.
        title: Above the figure.

    Returns:
        The figure: means over the runs of a model. Shaded is, of several runs, from the worst to
        the best, and of a single one its 95 % interval.

    Raises:
        ValueError: If there is nothing to draw, or there are more than six models.
    """
    runs = [run for _, own in groups for run in own]
    names = [name for name in names if any(name in run.report.curves for run in runs)]
    if not names or len(groups) > len(style.SERIES):
        raise ValueError(
            f"robustness_figure: expected curves of 1 to {len(style.SERIES)} models, got "
            f"{len(names)} of {len(groups)}."
        )
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    with style.house_style():
        figure, axes = style.make_figure(rows, columns, 2.5 * columns + 0.4, 2.3 * rows + 0.5)
        for panel, name in zip(axes, names, strict=False):
            _draw_panel(panel, groups, name)
        for panel in axes[len(names) :]:
            panel.set_axis_off()
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)))
        classes = all(run.report.accuracy is not None for run in runs)
        figure.supylabel("test accuracy" if classes else "test loss", fontsize=9)
        style.add_title(figure, title)
    return figure


def _draw_panel(axes: Axes, groups: Groups, name: str) -> None:
    for (label, runs), (color, marker) in zip(groups, style.SERIES, strict=False):
        curves = [run.report.curves[name] for run in runs if name in run.report.curves]
        if curves:
            _draw_curves(axes, curves, label, color, marker)
    curve = next(run.report.curves[name] for _, own in groups for run in own
                 if name in run.report.curves)  # fmt: skip
    axes.set_title(name)
    axes.set_xlabel(curve.label, fontsize=7)
    if curve.accuracy is not None:
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    if name == "rounded":  # from many bits to few, the full weights first
        axes.set_xticks(range(len(curve.strengths)))
        axes.set_xticklabels(["all", *(f"{s:g}" for s in curve.strengths[1:])])
    else:
        axes.set_xlim(right=_last_of_interest(axes))
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def _last_of_interest(axes: Axes) -> float:
    """The strength from which on no model is right any more, with room to its right."""
    lines = [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in axes.lines]
    ends = [x[np.append(np.flatnonzero(y < _NOTHING), len(x) - 1)[0]] for x, y in lines]
    return 1.04 * float(max(ends))


def _draw_curves(
    axes: Axes, curves: Sequence[RobustnessCurve], label: str, color: str, marker: str
) -> None:
    first = curves[0]
    is_rounding = first.name == "rounded"
    x = np.arange(len(first.strengths)) if is_rounding else np.array(first.strengths)
    values = np.array([_values(one) for one in curves if one.strengths == first.strengths])
    axes.plot(x, values.mean(0), color=color, marker=marker, markersize=3, label=label)
    if len(values) > 1:
        low, high = values.min(0), values.max(0)
    elif first.accuracy is not None:
        low, high = np.array(first.accuracy_low), np.array(first.accuracy_high)
    else:
        return
    axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)


def _values(curve: RobustnessCurve) -> tuple[float, ...]:
    values = curve.loss if curve.accuracy is None else curve.accuracy
    assert values is not None  # for the type checker: every curve has one of them
    return values


def sensitivity_figure(groups: Groups, *, title: str = "") -> Figure:
    """Norm of the derivative of the logits by the input of each time.

    Args:
        groups: Label and runs of each model; at most six.
        title: Above the figure.

    Returns:
        The figure: a line for each run, means over the samples, on a logarithmic scale.

    Raises:
        ValueError: If no run has derivatives.
    """
    if not any(run.sensitivity for _, runs in groups for run in runs):
        raise ValueError("sensitivity_figure: expected runs with derivatives, got none.")
    with style.house_style():
        figure, (axes,) = style.make_figure(1, 1, 5.4, 3.2)
        for (label, runs), (color, _) in zip(groups, style.SERIES, strict=False):
            known = [run.sensitivity for run in runs if run.sensitivity is not None]
            for number, one in enumerate(known):
                mean = np.array(one.mean)
                shown = np.where(mean > 0, mean, np.nan)
                steps = np.arange(1, len(mean) + 1)
                axes.plot(steps, shown, color=color, label=label if number == 0 else None)
        axes.set_yscale("log")
        axes.set_xlabel("step t")
        axes.set_ylabel("‖∂ logits / ∂ x(t)‖, mean over samples")
        figure.legend(loc="outside lower center", ncols=3)
        style.add_title(figure, title)
    return figure
