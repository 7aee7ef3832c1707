"""The flow of a unit under a held input, in a plane."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from torch import Tensor

from lipschitz_rnn.analysis.fixed_points import FixedPoint, FixedPoints
from lipschitz_rnn.analysis.step_map import StepMap
from lipschitz_rnn.experiments.figures import style

_GRID = 24
_COLORS = (style.VERMILION, style.BLUE, style.GREEN)


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane in the space of states.

    Attributes:
        center: (N,).
        directions: Orthonormal columns, (N, 2).
        shares: Of the variance of the states in each direction, (2,); None for the whole space.
    """

    center: Tensor
    directions: Tensor
    shares: tuple[float, float] | None

    def project(self, states: Tensor) -> np.ndarray:
        """Coordinates (.., 2) of states (.., N)."""
        found: np.ndarray = ((states - self.center) @ self.directions).cpu().numpy()
        return found


def leading_plane(states: Tensor) -> Plane:
    """The plane of the two leading principal components of states.

    Args:
        states: (.., N), N at least 2.

    Returns:
        For N = 2 the coordinates themselves.
    """
    flat = states.reshape(-1, states.shape[-1])
    if flat.shape[1] == 2:
        return Plane(flat.new_zeros(2), torch.eye(2, dtype=flat.dtype), None)
    center = flat.mean(0)
    _, singular, rows = torch.linalg.svd(flat - center, full_matrices=False)
    shares = singular**2 / (singular**2).sum().clamp(min=torch.finfo(flat.dtype).tiny)
    return Plane(center, rows[:2].mT, (float(shares[0]), float(shares[1])))


def shifted_to(plane: Plane, state: Tensor) -> Plane:
    """The parallel plane through a state.

    Args:
        plane: The plane.
        state: (N,).

    Returns:
        The plane, in which all states keep their coordinates.
    """
    offset = state.to(plane.center) - plane.center
    across = offset - plane.directions @ (plane.directions.mT @ offset)
    return replace(plane, center=plane.center + across)


def vector_field_figure(
    unit: StepMap,
    input: Tensor,
    *,
    states: Tensor | None = None,
    points: FixedPoints | None = None,
    title: str = "",
) -> Figure:
    """Streamlines of the right-hand side for a held input, with states of rest.

    With more than two features, in a plane along the two leading principal components of
    ``states``, through the state of rest that most starts led to, or else through their mean: the
    field is that at the points of the plane, projected onto it, and trajectories and other states
    of rest are projected too. What leaves the plane is not seen.

    Args:
        unit: A unit that is an ODE.
        input: The held input, (P,).
        states: Trajectories along data, (T + 1, B, N); not needed for N = 2.
        points: States of rest for the same input.
        title: Above the figure.

    Returns:
        The figure.

    Raises:
        ValueError: If the unit is no ODE, has one feature, or states are missing.
    """
    if unit.vector_field is None or unit.state_size < 2:
        raise ValueError(
            "vector_field_figure: expected a unit that is an ODE of two features or more, got "
            f"{unit.kind} of {unit.state_size}."
        )
    if states is None and unit.state_size > 2:
        raise ValueError(
            f"vector_field_figure: expected `states` for a unit of {unit.state_size} features, got "
            "none. They choose the plane."
        )
    known = unit.start(1).unsqueeze(0) if states is None else states
    plane = leading_plane(known)
    found = () if points is None else points.points
    if found and plane.shares is not None:  # so that the flow is seen to come to rest there
        plane = shifted_to(plane, found[0].state)
    paths = plane.project(known)
    shown = paths if states is not None or not found else plane.project(_stack(found))
    window = style.window(shown.reshape(-1, 2), square=plane.shares is not None)
    with style.house_style():
        figure, (axes,) = style.make_figure(1, 1, 4.6, 4.9)
        _draw_field(axes, unit, input, plane, window)
        if states is not None:
            _draw_paths(axes, paths)
        _draw_points(axes, found, plane)
        axes.set_box_aspect(1)
        _label(axes, plane)
        style.add_title(figure, title)
        _add_legend(figure, axes)
    return figure


def _draw_field(
    axes: Axes,
    unit: StepMap,
    input: Tensor,
    plane: Plane,
    window: tuple[style.Limits, style.Limits],
) -> None:
    x, y = (np.linspace(*limits, _GRID) for limits in window)
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)  # (G², 2)
    at = plane.center + torch.from_numpy(grid).to(plane.center.dtype) @ plane.directions.mT
    held = input.to(unit.dtype).expand(len(at), -1)
    assert unit.vector_field is not None
    with torch.no_grad():
        field = (unit.vector_field(held, at.to(unit.dtype)) @ plane.directions).cpu().numpy()
    u, v = field.T.reshape(2, _GRID, _GRID)
    axes.streamplot(x, y, u, v, color=style.GREY, linewidth=0.5, arrowsize=0.7, density=1.1)
    axes.set_xlim(window[0])
    axes.set_ylim(window[1])


def _draw_paths(axes: Axes, paths: np.ndarray) -> None:
    """Trajectories (T + 1, B, 2), each with a dot where it ends."""
    for number, path in enumerate(np.moveaxis(paths, 1, 0)):
        color = _COLORS[number % len(_COLORS)]
        axes.plot(*path.T, color=color, linewidth=0.8, label=f"_trajectory {number}")
        axes.plot(*path[-1], "o", color=color, markersize=5, markeredgecolor="white", zorder=4)


def _draw_points(axes: Axes, points: tuple[FixedPoint, ...], plane: Plane) -> None:
    """States of rest: full if stable; the legend counts those outside the window."""
    for label, stable in (("stable", True), ("unstable", False)):
        chosen = tuple(point for point in points if point.stable is stable)
        if not chosen:
            continue
        at = plane.project(_stack(chosen))
        low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
        inside = ((low <= at) & (at <= high)).all(-1)
        note = "" if inside.all() else f" ({(~inside).sum()} outside)"
        axes.plot(
            *at[inside].T,
            "o",
            color=style.BLACK,
            markerfacecolor=style.BLACK if stable else "white",
            markersize=5.5,
            zorder=5,
            label=f"{label} state of rest{note}",
        )


def _stack(points: tuple[FixedPoint, ...]) -> Tensor:
    return torch.stack([point.state for point in points])


def _label(axes: Axes, plane: Plane) -> None:
    if plane.shares is None:
        axes.set_xlabel("h₁")
        axes.set_ylabel("h₂")
        return
    label = "principal component {}  ({:.0%} of the variance)"
    axes.set_xlabel(label.format(1, plane.shares[0]))
    axes.set_ylabel(label.format(2, plane.shares[1]))


def _add_legend(figure: Figure, axes: Axes) -> None:
    """One entry for all trajectories, in the colours of the first of them."""
    handles: list[Any]
    handles, labels = axes.get_legend_handles_labels()
    paths = [line for line in axes.lines if str(line.get_label()).startswith("_trajectory")]
    if paths:
        handles = [tuple(paths[: len(_COLORS)]), *handles]
        labels = ["trajectories along data, to the dot", *labels]
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=2,
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.2)},
        handlelength=2.6,
    )
