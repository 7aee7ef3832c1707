"""Certificates of contraction: what they claim, and the proof that needs no solver."""

import dataclasses
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from lipschitz_rnn.analysis.increments import (
    System,
    assemble_balls,
    quadratic_form,
    why_no_sector,
)
from lipschitz_rnn.linalg.balls import BallMatrix
from lipschitz_rnn.linalg.definite import is_certainly_positive_definite


@dataclass(frozen=True, eq=False)
class UnitCertificate:
    r"""That two trajectories of one unit under the same input approach each other, or why not.

    .. math:: \|h_{t+1} - h'_{t+1}\|_P^2 \le (1 + \varepsilon g)\,\|h_t - h'_t\|_P^2, \qquad
        \|\delta\|_P^2 = \delta^\top P \delta,

    for one integrator step of size ε, whatever the input; in continuous time
    :math:`\|h(t) - h'(t)\|_P \le e^{g t/2} \|h(0) - h'(0)\|_P`. It is about exact arithmetic on
    the stored matrices; :mod:`lipschitz_rnn.analysis.rounding` bounds what float32 adds.

    Attributes:
        name: Which layer and direction.
        holds: Whether contraction is proved: g below 0, in rigorous arithmetic.
        reason: Why it holds or does not, in a sentence.
        growth: g per unit of time: proved if ``holds``, else the smallest that was found, or None.
        strength: The strength that found it.
        system: Matrices, step, method and nonlinearity.
        substeps: Integrator steps an input.
        metric: P, (N,) if diagonal, else (N, N); None if there is none.
        multipliers: T_i of every stage, (N,) each.
        seconds: What the search and the proof took.
        max_dt: The longest time ``dt`` of an input that it covers, where times vary; the step of
            the system is that of the longest. With 1 every input is held for one unit of time.
    """

    name: str
    holds: bool
    reason: str
    growth: float | None
    strength: str
    system: System
    substeps: int = 1
    metric: np.ndarray | None = None
    multipliers: tuple[np.ndarray, ...] = ()
    seconds: float = 0.0
    max_dt: float = 1.0

    @property
    def contraction_of_step(self) -> float | None:
        """ρ of the longest integrator step, rounded up; None if not proved, or of a flow."""
        if not self.holds or self.growth is None or self.system.step_size == 0:
            return None
        # exact first: 1 + ε g may be far smaller than the rounding error of ε g
        square = 1 + Fraction(self.system.step_size) * Fraction(self.growth)
        if square <= 0:
            return 0.0
        return min(math.nextafter(math.sqrt(math.nextafter(float(square), 2.0)), 2.0), 1.0)

    @property
    def contraction(self) -> float | None:
        """ρ of one input, below 1: the P-norm of a difference shrinks to it; None if not proved.

        Where times vary it is that of the longest; for a share s of it, only 1 - s (1 - ρ).
        """
        step = self.contraction_of_step
        return None if step is None else min(step**self.substeps * (1 + 1e-14), 1.0)

    @property
    def rate(self) -> float | None:
        """μ per unit of time: differences shrink as exp(-μ t) in the P-norm; None if not proved.

        Where times vary, a share s of the longest Euler step contracts by 1 - s (1 - ρ) and not by
        ρ^s; but that is at most exp(-s (1 - ρ)), so μ is (1 - ρ) / ε, rounded down.
        """
        if not self.holds or self.growth is None:
            return None
        if self.system.step_size == 0:
            return -self.growth / 2
        step = self.contraction_of_step
        assert step is not None
        if self.max_dt != 1:
            return (1 - step) / self.system.step_size * (1 - 2.0**-51)
        if step == 0:
            return math.inf
        return -math.log(step) / self.system.step_size * (1 - 1e-12)


@dataclass(frozen=True, eq=False)
class StabilityCertificate:
    """Certificates of all units of a model.

    Attributes:
        units: One for each layer and direction; at least one.

    Raises:
        ValueError: If there are none, of which everything would hold.
    """

    units: tuple[UnitCertificate, ...]

    def __post_init__(self) -> None:
        if not self.units:
            raise ValueError(
                "StabilityCertificate: expected at least one unit, got none. Nothing is certified "
                "of a model without units."
            )

    @property
    def holds(self) -> bool:
        """Whether every unit contracts, proved in rigorous arithmetic."""
        return all(unit.holds for unit in self.units)

    @property
    def reason(self) -> str:
        """Of the units that fail, or of all."""
        chosen = [unit for unit in self.units if unit.holds == self.holds]
        if len(self.units) == 1:
            return chosen[0].reason
        return "; ".join(f"{unit.name}: {unit.reason}" for unit in chosen)

    @property
    def rate(self) -> float | None:
        """The slowest rate μ of the units, per unit of time; None unless all hold."""
        rates = [unit.rate for unit in self.units]
        return None if not self.holds else min(rate for rate in rates if rate is not None)

    @property
    def contraction(self) -> float | None:
        """The largest ρ of the units, per input; None in continuous time or unless all hold."""
        factors = [unit.contraction for unit in self.units]
        known = [factor for factor in factors if factor is not None]
        return max(known) if len(known) == len(factors) else None

    @property
    def metric(self) -> np.ndarray | None:
        """P of the only unit; of several, see ``units``."""
        return self.units[0].metric if len(self.units) == 1 else None

    @property
    def strength(self) -> str:
        """The strengths of the units."""
        return ", ".join(dict.fromkeys(unit.strength for unit in self.units))

    @property
    def seconds(self) -> float:
        """What it took."""
        return sum(unit.seconds for unit in self.units)

    def __str__(self) -> str:
        return ("certified: " if self.holds else "not certified: ") + self.reason


def proves(
    system: System, growth: float, metric: np.ndarray, multipliers: tuple[np.ndarray, ...]
) -> bool:
    """Whether S, P and the multipliers are proved to be what Note [Growth] asks for.

    Every product is enclosed in a ball, and positive definiteness is proved by
    :func:`lipschitz_rnn.linalg.definite.is_certainly_positive_definite`.

    Args:
        system: The system.
        growth: g that is claimed.
        metric: P.
        multipliers: T_i.

    Returns:
        True if the claim is proved, for this g and every larger one.
    """
    arrays = (system.a, system.w, metric, *multipliers)
    if not all(np.isfinite(array).all() for array in arrays) or not math.isfinite(growth):
        return False
    if not 0 <= system.step_size < math.inf or why_no_sector(system.nonlinearity):
        return False
    sizes = [metric.shape[0], *(len(multiplier) for multiplier in multipliers)]
    if sizes != [system.size] * (1 + system.stages):
        return False
    if any((multiplier < 0).any() for multiplier in multipliers):
        return False
    if metric.ndim == 1:
        if not (metric > 0).all():
            return False
    elif not (metric == metric.T).all() or not is_certainly_positive_definite(
        BallMatrix.exact(metric)
    ):
        return False
    try:
        terms = quadratic_form(system, growth, BallMatrix.exact)
        return is_certainly_positive_definite(assemble_balls(terms, [metric, *multipliers]))
    except ArithmeticError:  # numbers out of range, where numpy or Python raises
        return False


def recheck(certificate: UnitCertificate) -> bool:
    """Prove a certificate's claim again from its numbers alone.

    Args:
        certificate: Of a unit.

    Returns:
        Whether contraction is proved.
    """
    growth, metric = certificate.growth, certificate.metric
    if growth is None or metric is None or not growth < 0:
        return False
    if not proves(certificate.system, growth, metric, certificate.multipliers):
        return False
    return is_below_one(certificate)


def is_below_one(certificate: UnitCertificate) -> bool:
    """Whether what a certificate claims, rounded as it is, is contraction still.

    Args:
        certificate: Of a unit, whose growth is proved.

    Returns:
        Whether its rate is above 0 and the factor of its step below 1.
    """
    claim = dataclasses.replace(certificate, holds=True)
    rate, factor = claim.rate, claim.contraction
    return rate is not None and rate > 0 and (factor is None or factor < 1)


def refuse(name: str, system: System, reason: str, **details: object) -> UnitCertificate:
    """A certificate that does not hold.

    Args:
        name: Of the unit.
        system: What was asked about.
        reason: Why not.
        details: Other attributes.

    Returns:
        The certificate.
    """
    blank = UnitCertificate(name, False, reason, None, "none", system)
    return dataclasses.replace(blank, **details)  # type: ignore[arg-type]
