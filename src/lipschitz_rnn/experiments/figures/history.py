"""How spectra moved while the loss fell."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lipschitz_rnn.experiments.figures import style
from lipschitz_rnn.experiments.history import History, UnitHistory

_COLUMNS = 2

Panel = tuple[str, str, np.ndarray]  # label of the curve, title, values


def history_figure(history: History, *, title: str = "") -> Figure:
    """Loss and accuracy over the epochs, and below them what became of every unit.

    Each quantity has a panel and a scale of its own, since they differ by orders of magnitude.

    Args:
        history: What the run put on record.
        title: Above the figure.

    Returns:
        The figure. Its last panel of a unit shows the rate that is proved after each epoch, and a
        cross at 0 where none is.
    """
    panels = {name: _panels(unit) for name, unit in history.units.items()}
    proved = {name: unit.certified_rates for name, unit in history.units.items()}
    rows = {
        name: -(-(len(drawn) + (proved[name] is not None)) // _COLUMNS)
        for name, drawn in panels.items()
    }
    total = 1 + sum(rows.values())
    with style.house_style():
        figure, axes = style.make_figure(total, _COLUMNS, 7.2, 0.8 + 1.75 * total)
        free = iter(axes)
        _draw_training(next(free), next(free), history)
        for name, drawn in panels.items():
            block = [next(free) for _ in range(_COLUMNS * rows[name])]
            _draw_unit(block, history.epochs, drawn, proved[name])
            if len(panels) > 1:
                block[0].set_ylabel(f"unit {name}\n{block[0].get_ylabel()}")
        _finish(figure, history.epochs)
        style.add_title(figure, title)
    return figure


def _is_blank(values: np.ndarray) -> bool:
    return not np.isfinite(values).any()


def _draw_training(left: Axes, right: Axes, history: History) -> None:
    pairs = {
        "loss": (history.train_loss, history.validation_loss),
        "accuracy": (history.train_accuracy, history.validation_accuracy),
    }
    for axes, (name, (train, validation)) in zip((left, right), pairs.items(), strict=True):
        if _is_blank(train) and _is_blank(validation):
            continue
        _draw_curve(axes, history.epochs, train, style.VERMILION, "training", "--")
        _draw_curve(axes, history.epochs, validation, style.BLACK, "validation")
        axes.set_title(name)
    left.legend(loc="best")


def _panels(unit: UnitHistory) -> list[Panel]:
    panels = (
        ("abscissa of A", "largest real part, eigenvalues of A", unit.spectral_abscissa_a),
        ("abscissa of W", "largest real part, eigenvalues of W", unit.spectral_abscissa_w),
        ("log. norm of A", "largest eigenvalue of (A + A')/2", unit.log_norm_a),
    )
    return [panel for panel in panels if not _is_blank(panel[2])]


def _draw_unit(
    block: list[Axes], epochs: np.ndarray, panels: list[Panel], proved: np.ndarray | None
) -> None:
    free = iter(block)
    for label, title, values in panels:
        axes = next(free)
        axes.axhline(0, color=style.GREY, linewidth=0.5)
        _draw_curve(axes, epochs, values, style.BLUE, label)
        axes.set_title(title)
        axes.set_ylabel("per unit of time")
    if proved is not None:
        _draw_proved(next(free), epochs, proved)


def _draw_proved(axes: Axes, epochs: np.ndarray, proved: np.ndarray) -> None:
    axes.axhline(0, color=style.GREY, linewidth=0.5)
    axes.plot(epochs, proved, ".-", color=style.GREEN, label="proved rate")
    missing = np.isnan(proved)
    if missing.any():
        zeros = np.zeros(missing.sum())
        axes.plot(epochs[missing], zeros, "x", color=style.VERMILION, label="nothing proved")
    top = 1.0 if missing.all() else float(np.nanmax(proved))
    axes.set_ylim(-0.08 * top, 1.35 * top)
    axes.set_title("rate of contraction that is proved")
    axes.set_ylabel("per unit of time")
    if missing.any():
        axes.legend(loc="upper right", ncols=2)


def _draw_curve(
    axes: Axes, epochs: np.ndarray, values: np.ndarray, color: str, label: str, line: str = "-"
) -> None:
    marker = "o" if len(epochs) == 1 else ""
    axes.plot(epochs, values, line, marker=marker, markersize=4, color=color, label=label)


def _finish(figure: Figure, epochs: np.ndarray) -> None:
    """Drop panels without data, and number the epochs alike in all others."""
    margin = max(0.5, 0.03 * np.ptp(epochs)) if len(epochs) else 0.5
    for axes in figure.axes:
        if not axes.lines:
            axes.remove()
            continue
        if len(epochs):
            axes.set_xlim(epochs[0] - margin, epochs[-1] + margin)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in figure.axes[-_COLUMNS:]:
        axes.set_xlabel("epoch")
