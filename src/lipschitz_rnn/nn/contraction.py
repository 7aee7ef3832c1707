"""Matrices under which the step that is run contracts by construction.

Note [Tight matrices]
    Let B = I + εA, one stage (Euler), the slopes of σ in [a, b] with a ≤ 0 ≤ b, and multipliers T
    with R = 2T - εI > 0. With Y = B + (a+b) T W and the metric I, two states under the same input
    satisfy ‖δ⁺‖ ≤ ρ ‖δ‖ if

        BᵀB + G ≤ ρ² I,    G = ε Yᵀ R⁻¹ Y + 2ε|ab| Wᵀ T W

    (the Schur complement of the inequality in lipschitz_rnn/analysis/increments.py). So choose Y,
    hence G, freely, scale it below ρ², and let B use up what is left, in every direction:

        B = Q C,   CᵀC = ρ² I - G - D   (Cholesky),   Q orthogonal (Cayley's transform of εK/2),

    with any D ≥ 0, damping that is not needed. Nothing else is damped more than the certificate
    asks for. Here K is the skew part of the free A, D = ε (A^sym)², and Y = I + (a+b) T W with the
    free W: the W that is run is the free one but for a change of size ε.

    A metric P = diag(p²) is the same in the coordinates p h, since σ acts on each entry alone.

Note [Scaling]
    For more stages no such form is known to us. There B and W, in the form above for the
    differential equation, are multiplied by the largest c ≤ 1 at which the step contracts enough:
    A' = c A - (1 - c)/ε I, W' = c W. At c = 0 every method contracts. The gradient of c comes from
    the implicit function theorem.
"""

import math
from dataclasses import dataclass

import scipy.optimize
import torch
from torch import Tensor

from lipschitz_rnn.ops import EULER, ButcherTableau, Nonlinearity

CONSTRAINTS = ("contractive", "contractive-flow")
"""``contractive``: the step that is run contracts; ``-flow``: the differential equation does."""

_MARGIN = 2e-6
"""Growth per unit of time that is kept back for rounding A and W to float32, at first."""

_MOST = 0.99
"""Largest share of ρ² that may go to W: the rest is left to B, which keeps it invertible."""


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


def make_multipliers(log_multiplier: Tensor, w: Tensor, step_size: float) -> Tensor:
    r"""The multipliers :math:`T_i = \varepsilon + e^{r_i} / \|W\|_2`.

    At :math:`1/\|W\|_2` the sector pays off: near it, for small ε, lies the best single number for
    all. Tied to W they follow it while it grows, and only their pattern is learned.

    Args:
        log_multiplier: r, free, (S, N).
        w: W, (N, N).
        step_size: ε.

    Returns:
        T, (S, N), float64.
    """
    wide = w.double()
    norm: Tensor = torch.linalg.eigvalsh(wide.mT @ wide)[-1].clamp(min=1e-6).sqrt()
    return step_size + log_multiplier.double().exp() / norm


def contractive_flow(a: Tensor, w: Tensor, rate: float, lipschitz: float) -> Tensor:
    r"""Damp A until condition (a) holds: :math:`\lambda_{\max}(A^{sym}) + L \|W\|_2 \le -\mu`.

    Two solutions of the differential equation then approach each other at rate μ at least. The
    step that is run may still expand: the skew part is free to outgrow what it bears.

    Args:
        a: A, (N, N).
        w: W, (N, N).
        rate: μ.
        lipschitz: L.

    Returns:
        A minus a multiple of the identity, in the dtype of ``a``.
    """
    wide_a, wide_w = a.double(), w.double()
    top = torch.linalg.eigvalsh((wide_a + wide_a.mT) / 2)[-1]
    norm = torch.linalg.eigvalsh(wide_w.mT @ wide_w)[-1].clamp(min=0).sqrt()
    excess = top + lipschitz * norm + rate
    eye = torch.eye(a.shape[0], dtype=torch.float64, device=a.device)
    damped: Tensor = (wide_a - torch.relu(excess + _slack(a)) * eye).to(a.dtype)
    return damped


def _slack(a: Tensor) -> Tensor:
    """More than rounding A to its dtype can add to an eigenvalue of its symmetric part."""
    with torch.no_grad():
        rounding: Tensor = torch.finfo(a.dtype).eps * a.double().norm()
        return rounding + _MARGIN


def contractive_step(
    a: Tensor, w: Tensor, log_metric: Tensor, log_multiplier: Tensor, target: Target
) -> tuple[Tensor, Tensor]:
    """Make the step contract; see Note [Tight matrices].

    Args:
        a: The free A, (N, N), in the coordinates p h.
        w: The free W, likewise.
        log_metric: Logarithms of p, (N,).
        log_multiplier: r of :func:`make_multipliers`, (S, N).
        target: What is asked.

    Returns:
        A and W in their dtypes: as stored numbers they prove the rate with the metric and the
        multipliers of :func:`make_multipliers`.
    """
    times = make_multipliers(log_multiplier, w, target.step_size)
    p = log_metric.double().exp()
    margin = _MARGIN
    while True:
        growth = target.growth - margin
        if target.tableau == EULER:
            new_a, new_w = _tight_step(a.double(), w.double(), times[0], target, growth)
        else:
            new_a, new_w = _scaled_step(a.double(), w.double(), times, target, growth)
        stored = (p / p[:, None] * new_a).to(a.dtype), (p / p[:, None] * new_w).to(w.dtype)
        with torch.no_grad():  # what rounding has made of it
            back = [p[:, None] / p * matrix.double() for matrix in stored]
            reached = float(step_growth(back[0], back[1], times, target))
        # a margin beyond all sense: the numbers are, too, and training will stop at the loss
        if reached <= target.growth - _MARGIN / 4 or margin > 1e3 or not math.isfinite(reached):
            return stored
        margin *= 4


def _tight_step(
    a: Tensor, w: Tensor, multiplier: Tensor, target: Target, growth: float
) -> tuple[Tensor, Tensor]:
    step, (low, high) = target.step_size, target.sector
    eye = torch.eye(a.shape[0], dtype=a.dtype, device=a.device)
    t, total = multiplier[:, None], low + high
    skew, symmetric = (a - a.mT) / 2, (a + a.mT) / 2
    y = eye + total * t * w
    gram = step * (y.mT @ (y / (2 * t - step))) + step * symmetric @ symmetric
    if low < 0:
        gram = gram + 2 * step * abs(low * high) * (w.mT @ (t * w))
    square = max(1 + step * growth, 1e-6)
    share = torch.clamp(_MOST * square / torch.linalg.eigvalsh(gram)[-1], max=1.0)
    root = torch.linalg.cholesky(square * eye - share * gram).mT
    b = torch.linalg.solve(eye - step / 2 * skew, (eye + step / 2 * skew) @ root)
    if total == 0:  # an odd sector: W enters through its own term alone
        return (b - eye) / step, share.sqrt() * w
    return (b - eye) / step, (share.sqrt() * y - b) / (total * t)


def _scaled_step(
    a: Tensor, w: Tensor, multipliers: Tensor, target: Target, growth: float
) -> tuple[Tensor, Tensor]:
    """The tight flow, scaled until its step contracts; see Note [Scaling]."""
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
    root = float(scipy.optimize.brentq(excess, low, high, xtol=1e-9 * target.step_size))
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


def step_growth(a: Tensor, w: Tensor, multipliers: Tensor, target: Target) -> Tensor:
    """The smallest growth of one step that multipliers prove with the metric I.

    Args:
        a: A, (N, N), float64.
        w: W, (N, N), float64.
        multipliers: (S, N).
        target: Method, step and sector.

    Returns:
        A scalar; infinite if they prove none. See Note [Growth] in lipschitz_rnn/analysis.
    """
    size, step = a.shape[0], target.step_size
    low, high = target.sector
    states, slopes = _stages(a, w, target)
    total = sum(weight * slope for weight, slope in zip(target.tableau.b, slopes, strict=True))
    form = -(step * total.mT @ total)  # type: ignore[union-attr]
    form[:size] -= total
    form[:, :size] -= total.mT  # type: ignore[union-attr]
    for stage, state in enumerate(states):
        pick = torch.zeros_like(state)
        pick[:, size * (stage + 1) : size * (stage + 2)] = torch.eye(size, dtype=a.dtype)
        v, t = w @ state, multipliers[stage][:, None]
        cross = (low + high) * (pick.mT @ (t * v))
        form = form + 2 * pick.mT @ (t * pick) - cross - cross.mT
        if low * high:
            form = form + 2 * low * high * (v.mT @ (t * v))
    factor, info = torch.linalg.cholesky_ex(form[size:, size:])
    if int(info):
        return a.new_tensor(math.inf)
    half = torch.linalg.solve_triangular(factor, form[size:, :size], upper=False)
    values: Tensor = torch.linalg.eigvalsh(half.mT @ half - form[:size, :size])
    return values[-1]


def _stages(a: Tensor, w: Tensor, target: Target) -> tuple[list[Tensor], list[Tensor]]:
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
