"""What is asked of a step, what multipliers prove of it, and its scaling until both agree.

Note [Scaling]
    For more stages no such form is known to us. There B and W, in the form above for the
    differential equation, are multiplied by the largest c ≤ 1 at which the step contracts enough:
    A' = c A - (1 - c)/ε I, W' = c W. The gradient of c comes from the implicit function theorem.

    At c = 0, with A' = -I/ε and W' = 0, a step gives δ⁺ = R δ + ε Σ_i c_i φ_i, where R is the
    method's stability function at -1. The multipliers prove it to contract by ρ if

        R²/ρ² + Σ_i ε c_i²/(2 T_i) ≤ 1 .

    So no ρ below |R| can be had, and multipliers above a multiple of ε prove every larger one:
    c = 0 is always a way out.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.checks import values_are_visible
from lipschitz_rnn.ops import EULER, ButcherTableau, Nonlinearity

_LEAST = 1e-3
"""Smallest factor by which one step may have to contract: float32 has no digits for less."""

_NEAR = 0.999
"""Share of the largest possible rate that may be asked for: the rest is left to rounding."""


@dataclass(frozen=True)
class Target:
    """What is asked of A and W.

    Attributes:
        rate: μ per unit of time, at least 0.
        step_size: ε of one integrator step.
        tableau: The method.
        nonlinearity: σ.
    """

    rate: float
    step_size: float
    tableau: ButcherTableau
    nonlinearity: Nonlinearity

    @property
    def growth(self) -> float:
        """The g with ρ² = 1 + ε g for ρ = exp(-ε μ)."""
        return math.expm1(-2 * self.step_size * self.rate) / self.step_size

    @property
    def sector(self) -> tuple[float, float]:
        """The slopes' sector, widened to hold 0."""
        return min(self.nonlinearity.slope_min, 0.0), max(self.nonlinearity.slope_max, 0.0)

    @property
    def largest_rate(self) -> float:
        """The rate that is had at c = 0, nearly; see Note [Scaling]."""
        return -_NEAR * math.log(max(_most_damped(self.tableau)[0], _LEAST)) / self.step_size

    def require_reachable(self, where: str) -> None:
        """Raise ``ValueError`` for a rate that no matrices give to such a step."""
        if self.rate >= self.largest_rate:
            raise ValueError(
                f"{where}: expected `rate` < {self.largest_rate:.4g}, the most that one "
                f"{self.tableau.name} step of {self.step_size:g} gives, got {self.rate}. "
                "Lower it or step_size, or raise substeps."
            )

    def require_sector(self, where: str) -> None:
        """Raise ``ValueError`` for slopes that never vanish: the multipliers here prove nothing."""
        sigma = self.nonlinearity
        if not sigma.slope_min <= 0 <= sigma.slope_max:
            raise ValueError(
                f"{where}: expected a nonlinearity whose slopes reach 0 with "
                f"constraint='contractive', got {sigma.name!r} with slopes from "
                f"{sigma.slope_min:g} to {sigma.slope_max:g}."
            )

    def covers(self, dt: float | Tensor) -> bool:
        """Whether steps of these multiples of ε contract too."""
        # a shorter Euler step is a mean of the whole one and of none; others have no such rule
        shorter = self.tableau == EULER
        fits = (dt >= 0) & (dt <= 1) if shorter else (dt == 0) | (dt == 1)
        return bool(fits.all()) if isinstance(fits, Tensor) else fits

    def require_times(self, where: str, dt: Tensor) -> None:
        """Raise ``ValueError`` for times that are known and not covered."""
        if values_are_visible(dt) and not self.covers(dt):
            wanted = "from 0 to 1" if self.tableau == EULER else "of 0 and 1"
            raise ValueError(
                f"{where}: expected times `dt` {wanted} with constraint='contractive' and "
                f"{self.tableau.name}, got values from {dt.min().item():g} to "
                f"{dt.max().item():g}. The step of size ε is made to contract: with Euler's "
                "method, let step_size be the longest time and `dt` shares of it."
            )

    @property
    def least_multiplier(self) -> float:
        """A T from which on c = 0 is proved to contract enough; see Note [Scaling]."""
        rest, squares = _most_damped(self.tableau)
        room = 1 - rest**2 * math.exp(2 * self.step_size * self.rate)
        # a tenth more than needed; at a rate that no step has, any finite number
        return self.step_size * max(1.0, 1.1 * squares / (2 * max(room, 1e-4)))


@functools.cache
def _most_damped(tableau: ButcherTableau) -> tuple[float, float]:
    """|R| and Σ c_i² of Note [Scaling]."""
    picks = np.eye(1 + len(tableau.b))  # of δ and φ_i / ε
    slopes: list[np.ndarray] = []
    for stage, own in enumerate(picks[1:]):
        row = tableau.a_lower[stage - 1] if stage else ()
        slopes.append(own - picks[0] - sum(c * k for c, k in zip(row, slopes, strict=True)))
    end = picks[0] + sum(c * k for c, k in zip(tableau.b, slopes, strict=True))
    return abs(float(end[0])), float((end[1:] ** 2).sum())


def scaled_step(
    a: Tensor, w: Tensor, multipliers: Tensor, target: Target, growth: float
) -> tuple[Tensor, Tensor]:
    """The tight flow, scaled until its step contracts; see Note [Scaling].

    Args:
        a: The free A, (N, N), float64.
        w: The free W.
        multipliers: (S, N).
        target: Method, step and sector.
        growth: What the step must not exceed.

    Returns:
        A and W.
    """
    low, high = target.sector
    eye = torch.eye(a.shape[0], dtype=a.dtype, device=a.device)
    weights = torch.as_tensor(target.tableau.b, dtype=a.dtype, device=a.device)
    t = (weights.abs()[:, None] * multipliers).sum(0)[:, None] / weights.abs().sum()
    y = eye + (low + high) * t * w
    gram = y.mT @ (y / (2 * t))
    if low < 0:
        gram = gram + 2 * abs(low * high) * (w.mT @ (t * w))
    symmetric = (a + a.mT) / 2
    flow = (a - a.mT) / 2 - (gram + symmetric @ symmetric - growth * eye) / 2
    scale = _scale(flow, w, multipliers, target, growth)
    return _scaled(flow, w, scale, target.step_size)


def _scaled(a: Tensor, w: Tensor, scale: Tensor, step_size: float) -> tuple[Tensor, Tensor]:
    eye = torch.eye(a.shape[0], dtype=a.dtype, device=a.device)
    return scale * a - (1 - scale) / step_size * eye, scale * w


def _scale(a: Tensor, w: Tensor, multipliers: Tensor, target: Target, growth: float) -> Tensor:
    """The largest c that is found, as a tensor that knows its gradient."""
    with torch.no_grad():
        found = _bisect(a, w, multipliers, target, growth)
    if found >= 1 or not torch.is_grad_enabled():
        return a.new_tensor(found)
    return _with_gradient(found, a, w, multipliers, target)


def _bisect(a: Tensor, w: Tensor, multipliers: Tensor, target: Target, growth: float) -> float:
    """A c below which the step contracts enough, near the largest one."""

    def excess(scale: float) -> float:
        pair = _scaled(a, w, a.new_tensor(scale), target.step_size)
        return min(float(step_growth(*pair, multipliers, target)) - growth, 1e9)

    if excess(1.0) <= 0:
        return 1.0
    low, high, gap = 1.0, 1.0, target.step_size * 1e-2
    while low > 0 and excess(low) > 0:  # from near 1, where it nearly always is
        low, high, gap = max(1 - gap, 0.0), low, gap * 3
    if excess(low) > 0:  # more is asked than the method gives to any A
        return 0.0
    # to far below the margin that is kept for rounding to float32
    from scipy.optimize import brentq  # half a second, for who has constraints

    root = float(brentq(excess, low, high, xtol=1e-9 * target.step_size))
    return root if excess(root) <= 0 else max(root - 4e-9 * target.step_size, low)


def _with_gradient(
    found: float, a: Tensor, w: Tensor, multipliers: Tensor, target: Target
) -> Tensor:
    """By the implicit function theorem: growth(c, θ) stays what it is, so dc = -g_θ dθ / g_c."""
    scale = a.new_tensor(found).requires_grad_()
    detached = _scaled(a.detach(), w.detach(), scale, target.step_size)
    value = step_growth(*detached, multipliers.detach(), target)
    (slope,) = torch.autograd.grad(value, scale)
    moved = step_growth(*_scaled(a, w, scale.detach(), target.step_size), multipliers, target)
    slope = slope.clamp(min=1e-3)
    return scale.detach() - (moved - moved.detach()) / slope


def step_growth(
    a: Tensor,
    w: Tensor,
    multipliers: Tensor,
    target: Target,
    *,
    proved_in: Tensor | None = None,
) -> Tensor:
    """The smallest growth of one step that multipliers prove with the metric I.

    Args:
        a: A, (N, N), float64.
        w: W, (N, N), float64.
        multipliers: (S, N).
        target: Method, step and sector.
        proved_in: The metric p², (N,), in whose coordinates ``certify`` will prove it: what it sets
            aside there for rounding, :func:`lipschitz_rnn.analysis.growth.smallest_growth`, is
            then set aside here too.

    Returns:
        A scalar; infinite if they prove none. See Note [Growth] in lipschitz_rnn/analysis.
    """
    size, step = a.shape[0], target.step_size
    low, high = target.sector
    states, slopes = _stages(a, target)
    total = sum(weight * slope for weight, slope in zip(target.tableau.b, slopes, strict=True))
    form = -(step * total.mT @ total)  # type: ignore[union-attr]
    form[:size] -= total
    form[:, :size] -= total.mT  # type: ignore[union-attr]
    for stage, state in enumerate(states):
        pick = torch.zeros_like(state)
        pick[:, size * (stage + 1) : size * (stage + 2)] = torch.eye(
            size, dtype=a.dtype, device=a.device
        )
        v, t = w @ state, multipliers[stage][:, None]
        cross = (low + high) * (pick.mT @ (t * v))
        form = form + 2 * pick.mT @ (t * pick) - cross - cross.mT
        if low * high:
            form = form + 2 * low * high * (v.mT @ (t * v))
    if proved_in is not None:
        form = form - torch.diag(_set_aside(form, proved_in))
    if not torch.isfinite(form).all():  # numbers so large that they overflow
        return a.new_tensor(math.inf)
    factor, info = torch.linalg.cholesky_ex(form[size:, size:])
    if int(info):
        return a.new_tensor(math.inf)
    half = torch.linalg.solve_triangular(factor, form[size:, :size], upper=False)
    values: Tensor = torch.linalg.eigvalsh(half.mT @ half - form[:size, :size])
    return values[-1]


def _set_aside(form: Tensor, metric: Tensor) -> Tensor:
    weights = metric.repeat(form.shape[0] // metric.shape[0])
    trace = (weights * form.diagonal().abs()).sum()
    return 8 * form.shape[0] * 2.0**-53 * trace / weights


def _stages(a: Tensor, target: Target) -> tuple[list[Tensor], list[Tensor]]:
    """State and slope of every stage as rows over (δ, φ_1, .., φ_S)."""
    size, stages = a.shape[0], len(target.tableau.b)
    eye = torch.eye(size, dtype=a.dtype, device=a.device)
    zero = torch.zeros_like(eye)
    start = torch.cat([eye, *[zero] * stages], 1)
    states: list[Tensor] = []
    slopes: list[Tensor] = []
    for stage in range(stages):
        state = start
        for weight, slope in zip(
            target.tableau.a_lower[stage - 1] if stage else (), slopes, strict=True
        ):
            state = state + target.step_size * weight * slope
        own = torch.cat([zero, *[eye if i == stage else zero for i in range(stages)]], 1)
        states.append(state)
        slopes.append(a @ state + own)
    return states, slopes
