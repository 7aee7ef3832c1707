"""Eigenvalues in the complex plane, against what the integrator bears."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lipschitz_rnn.analysis.step_sizes import stability_polynomial
from lipschitz_rnn.experiments.figures import style
from lipschitz_rnn.ops import ButcherTableau
from lipschitz_rnn.ops.tableau import as_tableau

_LOOKS = {  # colour, marker, size: each differs, so that a copy in grey still tells
    "A": (style.BLUE, "o", 4.0),
    "W": (style.VERMILION, "x", 4.5),
    "Jacobian": (style.GREEN, ".", 3.5),
}
_GRID = 400


def spectra_figure(
    a: np.ndarray | None,
    w: np.ndarray,
    *,
    step_size: float,
    method: str | ButcherTableau = "euler",
    jacobians: np.ndarray | None = None,
    title: str = "",
) -> Figure:
    r"""Eigenvalues of A and W, with the region in which a step of size ε damps a linear mode.

    .. math:: \{\lambda : |R(\varepsilon \lambda)| \le 1\}

    with R the stability polynomial of the method. On the left the whole region, on the right the
    neighbourhood of the eigenvalues. A mode of A inside it decays in a linear unit; the step that
    is run has the Jacobian :math:`A + \mathrm{diag}(\sigma') W`, which changes from state to state,
    so that no picture of eigenvalues proves stability.

    Args:
        a: α A, (N, N), or None without a linear term.
        w: W, (N, N).
        step_size: ε of one integrator step.
        method: The integrator.
        jacobians: Those of the right-hand side at states along data, (K, N, N).
        title: Above the figure.

    Returns:
        The figure.
    """
    tableau = as_tableau("spectra_figure", method)
    spectra = {} if a is None else {"A": np.linalg.eigvals(a)}
    spectra["W"] = np.linalg.eigvals(w)
    if jacobians is not None:
        spectra["Jacobian"] = np.linalg.eigvals(jacobians).ravel()
    whole = np.concatenate([_region_corners(tableau, step_size), *spectra.values()])
    near = np.concatenate([np.zeros(1), *spectra.values()])
    with style.house_style():
        figure, (left, right) = style.make_figure(1, 2, 7.2, 4.0)
        for axes, points, title_of_axes in (
            (left, whole, "the whole region of stability"),
            (right, near, "around the eigenvalues (scales differ)"),
        ):
            _draw_axes(axes, points, square=axes is left)
            _draw_region(axes, tableau, step_size)
            _draw_spectra(axes, spectra)
            axes.set_title(title_of_axes)
        handles, labels = right.get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=len(labels), markerscale=1.4
        )
        style.add_title(figure, title)
    return figure


def _region_corners(tableau: ButcherTableau, step_size: float) -> np.ndarray:
    """Two corners between which the region lies that hangs together with 0."""
    coefficients = [float(c) for c in stability_polynomial(tableau)]
    turns = np.exp(2j * np.pi * np.arange(60) / 60)  # R takes these values on the boundary
    edge = np.concatenate([np.roots([*coefficients[:0:-1], 1 - turn]) for turn in turns])
    edge /= step_size
    low = edge.real.min() + 1j * edge.imag.min()
    return np.array([low, edge.real.max() + 1j * edge.imag.max()])


def _draw_axes(axes: Axes, points: np.ndarray, *, square: bool) -> None:
    limits = style.window(np.stack((points.real, points.imag), -1), square=square)
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])
    axes.set_box_aspect(1)  # so that a square window has equal scales
    axes.axhline(0, color=style.GREY, linewidth=0.5, zorder=1)
    axes.axvline(0, color=style.GREY, linewidth=0.5, zorder=1)
    axes.set_xlabel("Re λ  (per unit of time)")
    axes.set_ylabel("Im λ  (per unit of time)")


def _draw_region(axes: Axes, tableau: ButcherTableau, step_size: float) -> None:
    """Shade where the step damps, and draw the boundary with the label for the legend."""
    x = np.linspace(*axes.get_xlim(), _GRID)
    y = np.linspace(*axes.get_ylim(), _GRID)
    z = step_size * (x + 1j * y[:, None])
    growth = np.abs(np.polynomial.polynomial.polyval(z, _coefficients(tableau)))
    if not growth.min() < 1 < growth.max():
        return
    axes.contourf(x, y, growth, levels=[0, 1], colors=["#ECECEC"], zorder=0)
    axes.contour(x, y, growth, levels=[1], colors=[style.BLACK], linewidths=1.0, zorder=2)
    label = f"|R(ελ)| = 1, {tableau.name}, ε = {step_size:.4g}"
    axes.plot([], [], color=style.BLACK, linewidth=1.0, label=label)


def _coefficients(tableau: ButcherTableau) -> list[float]:
    return [float(c) for c in stability_polynomial(tableau)]


def _draw_spectra(axes: Axes, spectra: Mapping[str, np.ndarray]) -> None:
    for name, values in spectra.items():
        color, marker, size = _LOOKS[name]
        axes.plot(
            values.real,
            values.imag,
            marker,
            color=color,
            markersize=size,
            markerfacecolor="none" if marker == "o" else color,
            markeredgewidth=0.0 if marker == "." else 0.9,
            zorder={"Jacobian": 3, "W": 4, "A": 5}[name],  # circles hide nothing below them
            label="Jacobians along data" if name == "Jacobian" else f"eigenvalues of {name}",
        )
