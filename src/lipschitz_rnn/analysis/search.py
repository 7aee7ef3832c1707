"""The search for a proof that a system contracts, from weak to strong, and the proof."""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from lipschitz_rnn.analysis.certificates import UnitCertificate, is_below_one, proves, refuse
from lipschitz_rnn.analysis.conditions import Condition, check_conditions
from lipschitz_rnn.analysis.growth import STRENGTHS, Candidate, search, search_norm
from lipschitz_rnn.analysis.increments import System, why_no_sector
from lipschitz_rnn.analysis.refutation import refute

AUTO_FULL = {1: 64, 2: 32}
"""Largest N for which ``strength="auto"`` goes on to a full metric, by number of stages."""

AUTO_FULL_MANY = 16
"""The same for methods of more stages."""

Report = Callable[[str], None]

_OUT_OF_RANGE = (
    np.linalg.LinAlgError,
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]
    ArithmeticError,
    ValueError,
)
"""What libraries raise where numbers leave float64's range; scipy says ValueError."""


def certify_system(
    system: System,
    strength: str = "auto",
    *,
    start: Candidate | None = None,
    seconds: float = math.inf,
    report: Report | None,
) -> UnitCertificate:
    """Certify plain matrices; see :func:`certify`.

    Args:
        system: The system.
        strength: As there.
        start: What the system was built on, which every strength begins with.
        seconds: Time for each search.
        report: Takes a line of progress.

    Returns:
        The certificate.
    """
    began = time.monotonic()
    if reason := why_not_finite(system):
        return refuse("l0", system, reason)
    with np.errstate(all="ignore"):  # what overflows is not proved
        best = _climb(system, strength, start, seconds, report)
    return dataclasses.replace(best, seconds=time.monotonic() - began)


def why_not_finite(system: System) -> str:
    """Which number of a system is none to reckon with; empty if all are.

    Args:
        system: The system.

    Returns:
        The reason.
    """
    if not (np.isfinite(system.a).all() and np.isfinite(system.w).all()):
        return "a matrix has an entry that is not finite"
    if not 0 <= system.step_size < math.inf:
        return "its step size is not a finite number above 0"
    slopes = why_no_sector(system.nonlinearity)
    return f"its nonlinearity has {slopes}, and two finite bounds are needed" if slopes else ""


def _climb(
    system: System,
    strength: str,
    start: Candidate | None,
    seconds: float,
    report: Report | None,
) -> UnitCertificate:
    """The best of the strengths up to the one that was asked for."""
    candidate, best = start, None
    hopeless: str | None = None
    if start is not None:
        best = prove(system, start, "construction")
    for level in _levels(system, strength):
        if strength == "auto" and ((best is not None and best.holds) or hopeless):
            break
        if report is not None:
            report(f"{level}: searching")
        candidate = _search(system, candidate, level, seconds)
        if hopeless is None and not candidate.growth < 0:
            hopeless = refute(system)
        best = _better(best, prove(system, candidate, level, hopeless or ""))
    assert best is not None
    return best


def _better(best: UnitCertificate | None, answer: UnitCertificate) -> UnitCertificate:
    """The faster of what is proved: a stronger search whose proof fails takes nothing back."""
    if best is None or not best.holds:
        return answer
    assert best.growth is not None
    faster = answer.holds and answer.growth is not None and answer.growth < best.growth
    return answer if faster else best


def _levels(system: System, strength: str) -> Sequence[str]:
    if strength != "auto":
        return STRENGTHS[: STRENGTHS.index(strength) + 1]
    affordable = system.size <= AUTO_FULL.get(system.stages, AUTO_FULL_MANY)
    return STRENGTHS if affordable else STRENGTHS[:-1]


def _search(system: System, start: Candidate | None, level: str, seconds: float) -> Candidate:
    if start is None:  # a search that fails has found nothing
        ones = np.ones(system.size)
        start = Candidate(math.inf, ones, (ones,) * system.stages)
    try:
        if level != "norm":
            return search(system, start, level, seconds=seconds)
        found = search_norm(system)
    except _OUT_OF_RANGE:
        return start
    return found if found.growth < start.growth else start


def prove(system: System, candidate: Candidate, level: str, hopeless: str = "") -> UnitCertificate:
    """Look for the smallest growth that a candidate proves; the search's own is not trusted.

    Args:
        system: The system.
        candidate: Metric, multipliers and the growth that is expected of them.
        level: The strength that found it.
        hopeless: Why no other would prove more, to be told if this one proves nothing.

    Returns:
        The certificate.
    """
    found = candidate.growth
    if not found < 0:
        reason = _missed(system, found, level, hopeless)
        return refuse("l0", system, reason, strength=level, growth=_finite(found))
    for slack in (1e-9, 1e-7, 1e-5, 1e-3, 1e-2, 0.1, 0.5):
        growth = found * (1 - slack)
        if proves(system, growth, candidate.metric, candidate.multipliers):
            accepted = _accepted(system, candidate, level, growth)
            if is_below_one(accepted):
                return accepted
            reason = (
                f"strength {level!r} proves growth {growth:.3g} per unit of time, which for a step "
                f"of {system.step_size:.3g} is no contraction any more once it is rounded"
            )
            return refuse("l0", system, reason, strength=level, growth=found)
    reason = (
        f"strength {level!r} finds growth {found:.3g} per unit of time, too close to 0 to prove "
        "against rounding"
    )
    return refuse("l0", system, reason, strength=level, growth=found)


def _accepted(system: System, candidate: Candidate, level: str, growth: float) -> UnitCertificate:
    certificate = UnitCertificate(
        "l0", True, "", growth, level, system, 1, candidate.metric, candidate.multipliers
    )
    return dataclasses.replace(certificate, reason=describe(certificate))


def describe(certificate: UnitCertificate) -> str:
    """Why a certificate holds, in a line.

    Args:
        certificate: One that holds.

    Returns:
        The line.
    """
    system = certificate.system
    what = "flow" if system.step_size == 0 else f"{system.tableau.name} step"
    if certificate.max_dt != 1:
        what += f", for times dt up to {certificate.max_dt:g},"
    rate = f"contracts at rate {certificate.rate:.4g} per unit of time"
    return f"the {what} {rate} ({certificate.strength})"


def _missed(system: System, growth: float, level: str, hopeless: str) -> str:
    text = (
        f"strength {level!r} finds growth {growth:+.3g} per unit of time, and below 0 is needed"
        if math.isfinite(growth)
        else f"strength {level!r} finds no growth at all"
    )
    if hopeless:
        text += f"; {hopeless}"
    condition = condition_a(system)
    if condition is None:
        return text
    about = "" if system.step_size == 0 else ", about the flow alone,"
    return f"{text}; condition (a){about} {condition.reason}"


def condition_a(system: System) -> Condition | None:
    """Condition (a) of the theorem for a system; None where its numbers leave float64's range.

    Args:
        system: The system.

    Returns:
        The condition.
    """
    a, w = torch.from_numpy(system.a), torch.from_numpy(system.w)
    try:
        return check_conditions(a, w, nonlinearity=system.nonlinearity).a
    except _OUT_OF_RANGE:
        return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
