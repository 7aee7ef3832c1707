"""How the difference of two trajectories moves in one step, as a quadratic form.

Note [Growth]
    With the state difference δ, the slope differences φ_1, .., φ_S of the S stages and
    ξ = (δ, φ_1, .., φ_S), every explicit Runge-Kutta step is linear in ξ:

        v_i = V_i ξ   (differences of the pre-activations),   δ⁺ = δ + ε Γ ξ .

    All slopes of σ lie in [a, b], so for every diagonal T_i ≥ 0

        (φ_i - a v_i)ᵀ T_i (b v_i - φ_i) ≥ 0 .

    Hence ‖δ⁺‖²_P ≤ (1 + ε g) ‖δ‖²_P for the metric P > 0 if

        S = g E₀ᵀP E₀ - E₀ᵀP Γ - Γᵀ P E₀ - ε Γᵀ P Γ
            + Σ_i [2 F_iᵀT_iF_i - (a + b)(F_iᵀT_iV_i + V_iᵀT_iF_i) + 2ab V_iᵀT_iV_i]  ≥ 0,

    where E₀ and F_i pick δ and φ_i from ξ. With ε = 0 in this line, and Γ = (A, I), it is the
    circle criterion of the differential equation itself: d/dt ‖δ‖²_P ≤ g ‖δ‖²_P. The growth g is
    therefore one number for both: negative means contraction, at rate -g/2 for small ε.
"""

import functools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipschitz_rnn.linalg.balls import BallMatrix
from lipschitz_rnn.ops import EULER, ButcherTableau, Nonlinearity


@dataclass(frozen=True, eq=False)
class System:
    """Two matrices, and how they are run: what a certificate is about.

    Attributes:
        a: A, float64, (N, N).
        w: W, float64, (N, N).
        step_size: ε of one integrator step; 0 for the differential equation itself.
        tableau: The method; of no meaning without a step.
        nonlinearity: σ.
    """

    a: np.ndarray
    w: np.ndarray
    step_size: float
    tableau: ButcherTableau
    nonlinearity: Nonlinearity

    @property
    def size(self) -> int:
        """N."""
        return int(self.w.shape[0])

    @property
    def stages(self) -> int:
        """S."""
        return 1 if self.step_size == 0 else len(self.tableau.b)


@dataclass(frozen=True, eq=False)
class Term:
    """One term Σ_pq K_pq Z_pᵀ X Z_q of the quadratic form, X the metric or a multiplier.

    Attributes:
        rows: Z_0 and Z_1, (N, M) each: float64 arrays, or balls.
        weights: K, (2, 2), symmetric.
    """

    rows: tuple[Any, Any]
    weights: np.ndarray


def quadratic_form(
    system: System, growth: float, wrap: Callable[[np.ndarray], Any] = np.asarray
) -> list[Term]:
    """The terms of S, that of the metric first; see Note [Growth].

    Args:
        system: The system.
        growth: g.
        wrap: Makes of a float64 array what the rows are computed in: itself, or
            :meth:`BallMatrix.exact`.

    Returns:
        1 + S terms.
    """
    size, stages = system.size, system.stages
    picks = [wrap(_pick(size, stages, index)) for index in range(1 + stages)]
    slopes, inputs = _stages(system, picks, wrap)
    weights = (1.0,) if system.step_size == 0 else system.tableau.b
    total = _sum(slopes, weights)
    low, high = _sector(system.nonlinearity)
    metric = np.array([[growth, -1.0], [-1.0, -system.step_size]])
    sector = np.array([[2.0, -(low + high)], [-(low + high), 2 * low * high]])
    terms = [Term((picks[0], total), metric)]
    terms += [Term((picks[1 + i], inputs[i]), sector) for i in range(stages)]
    return terms


def _sector(nonlinearity: Nonlinearity) -> tuple[float, float]:
    # Sums and products of numbers on so coarse a grid, of 26 bits each, are exact. The sector is
    # widened if need be, which is safe: it then says less.
    largest = max(abs(nonlinearity.slope_min), abs(nonlinearity.slope_max), 1.0)
    grid = 2.0 ** (26 - math.frexp(largest)[1])
    return math.floor(nonlinearity.slope_min * grid) / grid, (
        math.ceil(nonlinearity.slope_max * grid) / grid
    )


def _stages(
    system: System, picks: list[Any], wrap: Callable[[np.ndarray], Any]
) -> tuple[list[Any], list[Any]]:
    """Of every stage the slope A δ_i + φ_i and the pre-activation W δ_i, linear in ξ."""
    a, w = wrap(system.a), wrap(system.w)
    lower = () if system.step_size == 0 else system.tableau.a_lower
    slopes: list[Any] = []
    inputs: list[Any] = []
    for stage in range(system.stages):
        state = picks[0]
        if stage and any(lower[stage - 1]):
            moved = _sum(slopes, lower[stage - 1])
            state = state + _scaled(moved, system.step_size)
        inputs.append(w @ state)
        slopes.append(a @ state + picks[1 + stage])
    return slopes, inputs


def _sum(matrices: list[Any], weights: tuple[float, ...]) -> Any:
    """Σ weight · matrix, of those whose weight is not 0."""
    parts = [
        _scaled(matrix, weight)
        for matrix, weight in zip(matrices, weights, strict=True)
        if weight != 0
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _scaled(matrix: Any, factor: float) -> Any:
    return matrix.scaled(factor) if isinstance(matrix, BallMatrix) else factor * matrix


def _pick(size: int, stages: int, index: int) -> np.ndarray:
    rows = np.zeros((size, size * (1 + stages)))
    rows[:, size * index : size * (index + 1)] = np.eye(size)
    return rows


def assemble(terms: list[Term], variables: list[np.ndarray]) -> np.ndarray:
    """S for a metric and multipliers, (M, M), in float64.

    Args:
        terms: As :func:`quadratic_form` gives them, of arrays.
        variables: X of each term: (N, N), or (N,) for a diagonal one.

    Returns:
        The matrix, symmetric.
    """
    total = sum(
        term.weights[p, q] * term.rows[p].T @ _times(variable, term.rows[q])
        for term, variable in zip(terms, variables, strict=True)
        for p in (0, 1)
        for q in (0, 1)
        if term.weights[p, q] != 0
    )
    return np.asarray((total + total.T) / 2)


def assemble_balls(terms: list[Term], variables: list[np.ndarray]) -> BallMatrix:
    """S with a bound on every rounding error, for terms made of balls.

    Args:
        terms: As :func:`quadratic_form` gives them with ``wrap=BallMatrix.exact``.
        variables: X of each term, of stored numbers: (N, N), symmetric, or (N,).

    Returns:
        A ball of the true S.
    """
    parts: list[BallMatrix] = []
    for term, variable in zip(terms, variables, strict=True):
        for p, q in ((0, 0), (0, 1), (1, 1)):
            if term.weights[p, q] == 0:
                continue
            product = term.rows[p].T @ _times_ball(variable, term.rows[q])
            part = product.scaled(float(term.weights[p, q]))
            if p != q:
                part = part + part.T
            parts.append(part)
    return functools.reduce(operator.add, parts).symmetrized()


def _times(variable: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.asarray(variable[:, None] * rows if variable.ndim == 1 else variable @ rows)


def _times_ball(variable: np.ndarray, rows: BallMatrix) -> BallMatrix:
    if variable.ndim == 1:
        return rows.scaled(variable[:, None])
    return BallMatrix.exact(variable) @ rows


def why_no_sector(nonlinearity: Nonlinearity) -> str:
    """Why the slopes of a nonlinearity span no sector; empty if they do.

    Args:
        nonlinearity: σ.

    Returns:
        The reason, as what was found.
    """
    low, high = nonlinearity.slope_min, nonlinearity.slope_max
    if math.isfinite(low) and math.isfinite(high) and low <= high:
        return ""
    return f"slopes from {low:g} to {high:g}"


def make_system(
    a: np.ndarray | None,
    w: np.ndarray,
    step_size: float | None,
    tableau: ButcherTableau = EULER,
    *,
    nonlinearity: Nonlinearity,
) -> System:
    """A system of plain matrices in float64; no A is a zero A, no step the flow.

    Args:
        a: A, (N, N), or None.
        w: W, (N, N).
        step_size: ε, or None for continuous time.
        tableau: The method.
        nonlinearity: σ.

    Returns:
        The system.
    """
    w = np.asarray(w, np.float64)
    a = np.zeros_like(w) if a is None else np.asarray(a, np.float64)
    return System(a, w, 0.0 if step_size is None else float(step_size), tableau, nonlinearity)
