"""Whether gradients vanish or explode on their way back through time."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lipschitz_rnn.analysis.sensitivity import GradientNorms
from lipschitz_rnn.experiments.figures import style


def gradient_figure(norms: Mapping[str, GradientNorms], *, title: str = "") -> Figure:
    """Norm of the gradient of each sample's loss by the state, over time: median and quantiles.

    Args:
        norms: Of every unit, as :func:`lipschitz_rnn.analysis.sensitivity.gradient_norms` gives
            them.
        title: Above the figure.

    Returns:
        The figure, on a logarithmic scale; norms of 0 are not shown.
    """
    with style.house_style():
        rows = len(norms)
        figure, axes = style.make_figure(rows, 1, 5.4, 1.0 + 2.2 * rows)
        for one, (name, unit) in zip(axes, norms.items(), strict=True):
            _draw_unit(one, unit)
            one.set_title(f"unit {name}" if rows > 1 else "")
            one.sharex(axes[-1])
            one.tick_params(labelbottom=one is axes[-1])
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[-1].set_xlabel("step t  (0: initial state)")
        style.add_title(figure, title)
    return figure


def _draw_unit(axes: Axes, unit: GradientNorms) -> None:
    rows = unit.quantiles.double().cpu().numpy()
    levels = {round(level, 4): np.where(row > 0, row, np.nan) for level, row in
              zip(unit.levels, rows, strict=True)}  # fmt: skip
    steps = np.arange(rows.shape[1])
    for low, high, shade in ((0.05, 0.95, 0.18), (0.25, 0.75, 0.38)):
        label = f"{low:.0%} to {high:.0%} of the samples"
        axes.fill_between(
            steps, levels[low], levels[high], color=style.BLUE, alpha=shade, linewidth=0,
            label=label,
        )  # fmt: skip
    axes.plot(steps, levels[0.5], color=style.BLUE, label="median")
    axes.set_yscale("log")
    axes.set_ylabel("‖∂ loss / ∂ h(t)‖")
