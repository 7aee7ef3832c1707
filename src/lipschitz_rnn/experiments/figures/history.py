"""How spectra moved while the loss fell."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lipschitz_rnn.experiments.figures import style
from lipschitz_rnn.experiments.history import History, UnitHistory


def history_figure(history: History, *, title: str = "") -> Figure:
    """Loss over the epochs, and below it abscissa and logarithmic norm of every unit.

    Args:
        history: What the run put on record.
        title: Above the figure.

    Returns:
        The figure.
    """
    with style.house_style():
        rows = 1 + len(history.units)
        figure, axes = style.make_figure(rows, 1, 5.0, 1.0 + 1.9 * rows)
        _draw_loss(axes[0], history)
        for below, (name, unit) in zip(axes[1:], history.units.items(), strict=True):
            _draw_unit(below, history.epochs, unit)
            below.set_title(f"unit {name}" if len(history.units) > 1 else "")
        for one in axes:
            one.sharex(axes[-1])
            one.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
            one.tick_params(labelbottom=one is axes[-1])
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[-1].set_xlabel("epoch")
        style.add_title(figure, title)
    return figure


def _draw_loss(axes: Axes, history: History) -> None:
    marker = "o" if len(history.epochs) == 1 else ""
    axes.plot(history.epochs, history.train_loss, marker, color=style.GREY, label="training")
    axes.plot(history.epochs, history.validation_loss, color=style.BLACK, label="validation")
    axes.set_ylabel("loss")


def _draw_unit(axes: Axes, epochs: np.ndarray, unit: UnitHistory) -> None:
    curves = (
        ("log. norm of A", unit.log_norm_a, style.BLUE, "-"),
        ("abscissa of A", unit.spectral_abscissa_a, style.SKY, "--"),
        ("abscissa of W", unit.spectral_abscissa_w, style.VERMILION, ":"),
    )
    axes.axhline(0, color=style.GREY, linewidth=0.5)
    for label, values, color, line in curves:
        if np.isfinite(values).any():
            axes.plot(epochs, values, line, color=color, label=label)
    axes.set_ylabel("per unit of time")
