"""Where a unit comes to rest under a held input, and whether it stays there."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import optimize
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_in_range, require_positive_int, require_shape
from lipschitz_rnn.analysis.step_map import StepMap
from lipschitz_rnn.analysis.units import single_unit

Vector = npt.NDArray[np.float64]

_MERGE = 1e-6  # states closer than this, relative to their size, are taken for one
_RUN = 1000  # steps of the run from zero that shows where the unit goes and how large it gets


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A state of rest and the linearisation there.

    Attributes:
        state: h*, (N,).
        residual: Largest absolute entry of what should be zero there.
        condition: Condition number of its derivative. Where it is huge the point need not be
            isolated: it may be one of a whole line, or two about to merge.
        starts: Starts that led to it.
        eigenvalues: Of the field's Jacobian, (N,), the largest real part first; None for a unit
            that is no ODE.
        spectral_abscissa: Their largest real part.
        stable: Whether that is below 0 by more than rounding: in continuous time, small deviations
            decay. None for a unit that is no ODE.
        step_eigenvalues: Of the step's Jacobian, (N,), the largest modulus first.
        spectral_radius: Their largest modulus.
        stable_in_steps: Whether that is below 1 by more than rounding: under the step that is run,
            small deviations decay.
    """

    state: Tensor
    residual: float
    condition: float
    starts: int
    eigenvalues: Tensor | None
    spectral_abscissa: float | None
    stable: bool | None
    step_eigenvalues: Tensor
    spectral_radius: float
    stable_in_steps: bool


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """What a search for states of rest found.

    Attributes:
        unit: Name of the unit.
        kind: Its class.
        equation: ``"field"`` if f(x, h) = 0 was solved, ``"map"`` if h = step(x, h).
        points: Those that were found, the one that most starts led to first. There may be others.
        starts: Starts of the root finder in all.
        failed: Those among them from which it did not converge, or not to a finite state.
        evaluations: Evaluations of the equation and of its derivative.
        tolerance: Largest residual of a point.
        radius: Standard deviation of the random starts.
    """

    unit: str
    kind: str
    equation: str
    points: tuple[FixedPoint, ...]
    starts: int
    failed: int
    evaluations: int
    tolerance: float
    radius: float


def find_fixed_points(
    unit: StepMap | nn.Module,
    input: Tensor,
    *,
    starts: int = 64,
    seed: int = 0,
    tolerance: float = 1e-10,
    radius: float | None = None,
) -> FixedPoints:
    r"""States at which a unit rests while its input is held, with their linearisation.

    .. math::
        f(x, h^*) = 0 \ \text{ for an ODE } \dot h = f(x, h), \qquad
        h^* = \Phi(x, h^*) \ \text{ for any other unit}

    Powell's hybrid method runs from random states, from zero and from where the unit itself gets
    to; equal results are merged. A search from starts proves nothing about what it did not find:
    only a certificate of contraction says that there is exactly one. Where σ saturates, derivatives
    lead nowhere: of an untrained unit of 128 features with A near 0, most starts fail.

    Every explicit method rests at the zeros of f. One of several stages may have further states of
    rest, which are errors of the method and not sought.

    Args:
        unit: A map of :func:`layer_cells` in float64; or a cell, or a layer of one unit, which is
            looked at in float64 whatever its dtype.
        input: x, (P,).
        starts: Random starts, besides the two others.
        seed: Of the random starts.
        tolerance: Largest absolute entry of the residual of a point, in the units of f or of h.
        radius: Standard deviation of the random starts. If None, the largest absolute value that
            the unit reaches from zero, at least 1.

    Returns:
        The points, and what the search cost.

    Raises:
        TypeError: If ``unit`` is a map in another precision than float64.
        ValueError: If a shape or a value does not fit.

    Examples:
        >>> from lipschitz_rnn.analysis.units import cell_of
        >>> one = torch.eye(1, dtype=torch.float64)
        >>> unit = cell_of(-one, 2 * one, step_size=0.1)  # dh/dt = -h + tanh(2 h)
        >>> points = find_fixed_points(unit, torch.zeros(1)).points
        >>> sorted((round(float(p.state), 4), p.stable) for p in points)
        [(-0.9575, True), (0.0, False), (0.9575, True)]

    References:
        Sussillo, Barak (2013), Opening the black box: low-dimensional dynamics in high-dimensional
        recurrent neural networks, Neural Computation 25. Moré, Garbow, Hillstrom (1980), User guide
        for MINPACK-1.
    """
    unit = single_unit("find_fixed_points", unit)
    _check(unit, input, starts, tolerance, radius)
    held = input.detach().to(unit.dtype).to(unit.device).unsqueeze(0)  # (1, P)
    reached, size = _reach(unit, held)
    radius = max(1.0, size) if radius is None else float(radius)
    draw = np.random.default_rng(seed).standard_normal((starts, unit.state_size))
    begin = [np.zeros(unit.state_size), *([] if reached is None else [reached]), *(radius * draw)]
    equation = _Equation(unit, held)
    roots = [equation.solve(start, tolerance) for start in begin]
    distinct = _merge([root for root in roots if root is not None])
    points = [_linearise(equation, state, count) for state, count in distinct]
    points.sort(key=lambda point: (-point.starts, float(point.state.norm())))
    return FixedPoints(
        unit=unit.name,
        kind=unit.kind,
        equation="map" if unit.vector_field is None else "field",
        points=tuple(points),
        starts=len(begin),
        failed=sum(root is None for root in roots),
        evaluations=equation.evaluations,
        tolerance=tolerance,
        radius=radius,
    )


def _check(
    unit: StepMap, input: Tensor, starts: int, tolerance: float, radius: float | None
) -> None:
    where = "find_fixed_points"
    require_shape(where, "input", input, (unit.input_size,), "(P,)")
    require_positive_int(where, "starts", starts)
    require_in_range(where, "tolerance", tolerance, 0, open_low=True)
    if radius is not None:
        require_in_range(where, "radius", radius, 0, open_low=True)


def _reach(unit: StepMap, held: Tensor) -> tuple[Vector | None, float]:
    """State after a run from zero, if it stays finite, and the largest value on the way."""
    states = unit.run(held.expand(_RUN, 1, -1))
    if not bool(states.isfinite().all()):
        return None, 1.0
    return states[-1, 0].cpu().numpy(), float(states.abs().max())


class _Equation:
    """What is zero at rest, as scipy takes it; counts how often it is asked."""

    def __init__(self, unit: StepMap, held: Tensor) -> None:
        self.unit = unit
        self.held = held
        self.evaluations = 0

    def _state(self, h: Vector) -> Tensor:
        return torch.from_numpy(np.array(h)).to(self.unit.device).unsqueeze(0)

    def value(self, h: Vector) -> Vector:
        self.evaluations += 1
        state, field = self._state(h), self.unit.vector_field
        with torch.no_grad():
            if field is None:
                found = self.unit.step(self.held, state) - state
            else:
                found = field(self.held, state)
        values: Vector = found[0].cpu().numpy()
        return values

    def derivative(self, h: Vector) -> Vector:
        self.evaluations += 1
        state = self._state(h)
        if self.unit.vector_field is None:
            matrix = self.unit.jacobian(self.held, state)[0]
            matrix = matrix - torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
        else:
            matrix = self.unit.field_jacobian(self.held, state)[0]
        values: Vector = matrix.cpu().numpy()
        return values

    def solve(self, start: Vector, tolerance: float) -> Vector | None:
        """The root that a start leads to, or None."""
        # To the last digits: what is accepted is up to the residual, not to scipy's `success`,
        # which wants progress in the state even where it is right to rounding.
        options = {"xtol": 4 * np.finfo(np.float64).eps}
        with np.errstate(all="ignore"):  # a start may run off to infinity
            found = optimize.root(
                self.value, start, jac=self.derivative, method="hybr", options=options
            )
        root = np.asarray(found.x, dtype=np.float64)
        good = np.isfinite(root).all() and np.abs(self.value(root)).max() <= tolerance
        return root if good else None


def _merge(roots: list[Vector]) -> list[tuple[Vector, int]]:
    """Distinct roots, with how many starts led to each."""
    found: list[tuple[Vector, int]] = []
    for root in roots:
        for index, (known, count) in enumerate(found):
            if np.abs(root - known).max() <= _MERGE * max(1.0, np.abs(known).max()):
                found[index] = known, count + 1
                break
        else:
            found.append((root, 1))
    return found


def _linearise(equation: _Equation, root: Vector, count: int) -> FixedPoint:
    unit, state = equation.unit, torch.from_numpy(root)
    step = unit.jacobian(equation.held, equation._state(root))[0].cpu()
    by_step = _sorted(torch.linalg.eigvals(step), torch.abs)
    derivative = torch.from_numpy(equation.derivative(root))
    singular = torch.linalg.svdvals(derivative)
    is_ode = unit.vector_field is not None
    eigenvalues = _sorted(torch.linalg.eigvals(derivative), torch.real) if is_ode else None
    abscissa = None if eigenvalues is None else float(eigenvalues[0].real)
    radius = float(by_step[0].abs())
    return FixedPoint(
        state=state,
        residual=float(np.abs(equation.value(root)).max()),
        condition=float(singular[0] / singular[-1]),
        starts=count,
        eigenvalues=eigenvalues,
        spectral_abscissa=abscissa,
        stable=None if abscissa is None else abscissa < -_rounding(derivative),
        step_eigenvalues=by_step,
        spectral_radius=radius,
        stable_in_steps=radius < 1 - _rounding(step),
    )


def _sorted(values: Tensor, key: Callable[[Tensor], Tensor]) -> Tensor:
    return values[key(values).argsort(descending=True)]


def _rounding(matrix: Tensor) -> float:
    """How far eigenvalues of a matrix move by rounding, if they are not too ill-conditioned."""
    eps = torch.finfo(matrix.dtype).eps
    return len(matrix) * eps * float(torch.linalg.matrix_norm(matrix, 2))
