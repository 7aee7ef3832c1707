"""What is proved and what withstands an attack, over the radius."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lipschitz_rnn.experiments.figures import style
from lipschitz_rnn.experiments.robust import RobustCurve


def robust_figure(curves: Sequence[RobustCurve], *, title: str = "") -> Figure:
    """Accuracy over the l2 norm of the change, on a logarithmic scale: one colour a model.

    Args:
        curves: At most six.
        title: Above the figure.

    Returns:
        The figure: solid what is proved in float64, dashed what withstands PGD. The truth lies
        between.

    Raises:
        ValueError: If there is no curve, or more than six.
    """
    if not 1 <= len(curves) <= len(style.SERIES):
        raise ValueError(
            f"robust_figure: expected 1 to {len(style.SERIES)} curves, got {len(curves)}."
        )
    with style.house_style():
        figure, (axes,) = style.make_figure(1, 1, 6.4, 3.6 + 0.17 * len(curves))
        for curve, (color, marker) in zip(curves, style.SERIES, strict=False):
            _draw(axes, curve, color, marker)
        axes.set_xscale("log")
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel("l2 norm of the change of a whole sequence")
        axes.set_ylabel("test samples right at every such change")
        axes.plot([], [], color=style.GREY, label="proved (float64)")
        axes.plot([], [], "--", color=style.GREY, label="right under PGD")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        style.add_title(figure, title)
    return figure


def _draw(axes: Axes, curve: RobustCurve, color: str, marker: str) -> None:
    """Radius 0 has no place on this scale: the accuracy as usual stands in the legend."""
    radii = np.array(curve.radii)
    shown = radii > 0
    label = f"{curve.run}: {curve.empirical[0]:.1%} at 0" if radii[0] == 0 else curve.run
    look: dict[str, Any] = {"color": color, "marker": marker, "markersize": 3.5}
    attacked = np.array(curve.empirical)
    axes.plot(radii[shown], attacked[shown], "--", markerfacecolor="none", **look)
    proved = np.full_like(attacked, np.nan) if curve.certified is None else curve.certified
    axes.plot(radii[shown], np.array(proved)[shown], "-", label=label, **look)
