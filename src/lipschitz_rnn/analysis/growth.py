"""The smallest growth that a metric and multipliers prove, and the search for good ones.

Nothing here is trusted: what it finds is proved elsewhere, see ``certificates.py``.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize

from lipschitz_rnn.analysis.barrier import Barrier
from lipschitz_rnn.analysis.increments import System, Term, assemble, quadratic_form

STRENGTHS = ("norm", "diagonal", "full")
"""How much is searched: weakest, and fastest, first."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A metric and multipliers, and the growth that they give.

    Attributes:
        growth: g; infinite if there is none.
        metric: P, (N,) if diagonal, else (N, N).
        multipliers: T_i, (N,) each.
    """

    growth: float
    metric: np.ndarray
    multipliers: tuple[np.ndarray, ...]

    @property
    def variables(self) -> list[np.ndarray]:
        """Metric and multipliers, in the order of the terms."""
        return [self.metric, *self.multipliers]


def evaluate_growth(
    system: System, metric: np.ndarray, multipliers: tuple[np.ndarray, ...]
) -> float:
    """The smallest g for which S is positive semidefinite, up to rounding.

    Args:
        system: The system.
        metric: P.
        multipliers: T_i.

    Returns:
        The growth; infinite if there is none.
    """
    terms = quadratic_form(system, 0.0)
    return smallest_growth(terms, metric, multipliers)


def smallest_growth(
    terms: list[Term], metric: np.ndarray, multipliers: tuple[np.ndarray, ...]
) -> float:
    """The same, from the terms at g = 0."""
    form = assemble(terms, [metric, *multipliers])
    size = metric.shape[0]
    # what a proof must set aside for rounding: without it huge multipliers look good by it alone
    form.flat[:: len(form) + 1] -= 8 * len(form) * 2.0**-53 * np.trace(abs(form))
    try:
        factor = scipy.linalg.cho_factor(form[size:, size:], lower=True)
        reduced = form[:size, size:] @ scipy.linalg.cho_solve(factor, form[size:, :size])
        reduced -= form[:size, :size]
        weight = np.diag(metric) if metric.ndim == 1 else metric
        value = scipy.linalg.eigh(
            (reduced + reduced.T) / 2, weight, eigvals_only=True, subset_by_index=(size - 1,) * 2
        )[0]
    except (np.linalg.LinAlgError, ValueError):
        return math.inf
    return float(value) if math.isfinite(value) else math.inf


def search_norm(system: System) -> Candidate:
    """P = I and one number for each stage's multiplier: a search over S numbers, convex.

    Args:
        system: The system.

    Returns:
        The best found.
    """
    terms = quadratic_form(system, 0.0)
    size, ones = system.size, np.ones(system.size)
    scale = max(float(np.linalg.norm(system.w, 2)), 1e-3 * float(np.linalg.norm(system.a, 2)), 1e-3)
    shares = _stage_shares(system)

    def growth(logs: np.ndarray) -> float:
        found = smallest_growth(terms, ones, tuple(math.exp(x) * ones for x in logs))
        return min(found, 1e30)  # the searches subtract values

    # t must exceed about ε/2 for a single stage, and 1/‖W‖ is where the sector pays off
    middle = math.log(1 / scale + system.step_size)
    common = scipy.optimize.minimize_scalar(
        lambda x: growth(x + np.log(shares)),
        bounds=(middle - 12, middle + 12),
        method="bounded",
        options={"xatol": 1e-4, "maxiter": 60},
    )
    logs = common.x + np.log(shares)
    if system.stages > 1:
        refined = scipy.optimize.minimize(
            growth,
            logs,
            method="Nelder-Mead",
            options={
                "maxfev": 60 * system.stages,
                "xatol": 1e-3,
                "fatol": 1e-12,
                "initial_simplex": np.vstack([logs, logs + 0.5 * np.eye(system.stages)]),
            },
        )
        logs = refined.x if refined.fun <= common.fun else logs
    multipliers = tuple(math.exp(x) * np.ones(size) for x in logs)
    return Candidate(smallest_growth(terms, ones, multipliers), ones, multipliers)


def search_balanced(system: System) -> Candidate:
    """The same in coordinates in which rows and columns of A and W are of like size.

    Args:
        system: The system.

    Returns:
        The best found, with a diagonal metric.
    """
    both = abs(system.a) + abs(system.w)
    _, (scale, _) = scipy.linalg.matrix_balance(both, permute=False, separate=True)
    a, w = (matrix * scale / scale[:, None] for matrix in (system.a, system.w))
    found = search_norm(dataclasses.replace(system, a=a, w=w))
    metric = scale**-2.0
    return Candidate(found.growth, metric, tuple(metric * t for t in found.multipliers))


def _stage_shares(system: System) -> np.ndarray:
    """By how much each stage moves the state at the end, at least a little."""
    if system.step_size == 0:
        return np.ones(1)
    shares = abs(np.array(system.tableau.b))
    for stage, row in enumerate(system.tableau.a_lower, 1):
        for before, weight in enumerate(row):  # ε ‖A + W‖ of it arrives through later stages
            shares[before] += abs(weight) * shares[stage] * system.step_size
    return np.asarray(np.maximum(shares, 1e-3))


def search(
    system: System,
    start: Candidate,
    strength: str,
    *,
    seconds: float = math.inf,
    report: Callable[[float], None] | None = None,
) -> Candidate:
    """Better metric and multipliers; never worse than the start.

    With g fixed, the slack of S is raised as far as it goes (see :class:`Barrier`); from there the
    smallest g is computed anew, which is Dinkelbach's method for generalised eigenvalues.

    Args:
        system: The system.
        start: Where to begin.
        strength: ``"diagonal"`` or ``"full"``.
        seconds: Time after which the best so far is returned.
        report: Told of every improvement.

    Returns:
        The best found.

    References:
        Crouzeix, Ferland (1991), Algorithms for generalized fractional programming, Mathematical
        Programming 52.
    """
    if strength == "diagonal":  # where units of very different size meet, I proves nothing
        start = min(start, search_balanced(system), key=lambda candidate: candidate.growth)
    if not math.isfinite(start.growth):
        return start
    until, best = time.monotonic() + seconds, start
    metric = start.metric
    if strength == "full" and metric.ndim == 1:
        metric = np.diag(metric)
    terms = quadratic_form(system, 0.0)
    span = _scale_of(system, start.growth)
    room = 0.1 * span
    barrier = Barrier(system, metric, start.multipliers)
    for _ in range(30):
        slack = barrier.improve(best.growth, room, until=until)
        metric, multipliers = barrier.variables
        found = smallest_growth(terms, metric, multipliers)
        gain = best.growth - found
        worth = 1e-3 * abs(best.growth) + 1e-6 * span
        if gain > 0.1 * worth:  # for less the simpler metric, with better gains, is kept
            best = Candidate(found, metric, multipliers)
            if report is not None:
                report(found)
        late = time.monotonic() > until
        if late or slack <= 0 or gain < worth:
            break
        room = max(min(gain, room), 1e-3 * span)
    return best


def _scale_of(system: System, growth: float) -> float:
    """A size to measure differences of growth by, in units of 1 / time."""
    return max(abs(growth), 1e-3 * (float(np.linalg.norm(system.a, 2)) + 1e-6))
