"""Ask whether a unit is stable, and get an answer that is proved."""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_choice, require_in_range, require_square
from lipschitz_rnn.analysis.certificates import (
    StabilityCertificate,
    UnitCertificate,
    proves,
    refuse,
)
from lipschitz_rnn.analysis.conditions import check_conditions
from lipschitz_rnn.analysis.growth import (
    STRENGTHS,
    Candidate,
    evaluate_growth,
    search,
    search_norm,
)
from lipschitz_rnn.analysis.increments import System, make_system
from lipschitz_rnn.analysis.layers import UnitMatrices, find_units
from lipschitz_rnn.ops import EULER, ButcherTableau, Nonlinearity
from lipschitz_rnn.ops.nonlinearity import as_nonlinearity
from lipschitz_rnn.ops.tableau import as_tableau

AUTO_FULL = {1: 64, 2: 32}
"""Largest N for which ``strength="auto"`` goes on to a full metric, by number of stages."""

Report = Callable[[str], None]


def certify(
    model_or_a: nn.Module | Tensor | np.ndarray | None,
    w: Tensor | np.ndarray | None = None,
    *,
    step_size: float | None = None,
    method: str | ButcherTableau = "euler",
    nonlinearity: str | Nonlinearity = "tanh",
    strength: str = "auto",
    max_dt: float = 1.0,
    seconds: float = math.inf,
    report: Report | None = None,
) -> StabilityCertificate:
    r"""Whether any two trajectories of a unit under the same input approach each other, proved.

    .. math:: \|h_{t+1} - h'_{t+1}\|_P \le \rho\,\|h_t - h'_t\|_P, \qquad \rho < 1

    for the step that is run, or :math:`e^{-\mu t}` for the differential equation. It is searched
    for as a linear matrix inequality with a diagonal multiplier on the slope sector of σ (the
    circle criterion, and its counterpart for each Runge-Kutta step), and what is found is then
    proved without the solver. Strengths, each beginning where the one before ended, so that it
    certifies whatever that did:

    ======== ================== ===================== ==========================================
    strength metric P           multiplier            costs (see the documentation)
    ======== ================== ===================== ==========================================
    norm     identity           one number a stage    a few eigenvalue problems of size N
    diagonal diagonal           diagonal              Newton's method in N(1 + stages) numbers
    full     any                diagonal              the same in N(N+1)/2 + N stages numbers
    ======== ================== ===================== ==========================================

    Args:
        model_or_a: A model, layer or cell, which brings its own matrices, step and method; or A,
            (N, N), or None for no linear term.
        w: W, (N, N), beside a matrix A.
        step_size: ε, beside a matrix A; None asks about continuous time.
        method: Of the step, beside a matrix A.
        nonlinearity: σ, beside a matrix A.
        strength: ``"norm"``, ``"diagonal"`` or ``"full"``, each searching for the fastest rate; or
            ``"auto"``: what a unit with ``constraint="contractive"`` was built on, or else the
            weakest that certifies, with a full metric up to N = 64 for one stage
            and 32 for two.
        max_dt: For a layer that gets times ``dt``: the largest of them. With the Euler method a
            certificate for ε·max_dt covers every shorter step too; other methods are certified for
            one step size alone. Infinity is never certified.
        seconds: Time for each search; the best so far is used.
        report: Takes a line of progress.

    Returns:
        The certificate; ``holds=False`` with the reason wherever the proof fails.

    Raises:
        TypeError: If the model has no matrices A and W.
        ValueError: If shapes, names or numbers do not fit.

    Examples:
        >>> import torch
        >>> a, w = -2 * torch.eye(2), torch.eye(2)
        >>> certificate = certify(a, w, step_size=0.1)
        >>> certificate.holds
        True
        >>> certify(a, w, step_size=1.1).holds  # Euler bears steps up to 1
        False

    References:
        Erichson et al. (2021), theorem 1; Khalil (2002), Nonlinear Systems, sec. 7.1 (circle
        criterion); Lohmiller, Slotine (1998), On contraction analysis for non-linear systems.
    """
    require_choice("certify", "strength", strength, ("auto", *STRENGTHS))
    if not max_dt > 0:
        raise ValueError(f"certify: expected `max_dt` above 0, got {max_dt}.")
    if isinstance(model_or_a, nn.Module):
        units = find_units(model_or_a)
        parts = [
            _certify_unit(unit, strength, max_dt=max_dt, seconds=seconds, report=report)
            for unit in units
        ]
        return StabilityCertificate(tuple(parts))
    system = _system_of(model_or_a, w, step_size, method, nonlinearity)
    found = certify_system(system, strength, seconds=seconds, report=report)
    return StabilityCertificate((found,))


def _system_of(
    a: Tensor | np.ndarray | None,
    w: Tensor | np.ndarray | None,
    step_size: float | None,
    method: str | ButcherTableau,
    nonlinearity: str | Nonlinearity,
) -> System:
    if w is None:
        raise ValueError("certify: expected `w` beside a matrix A, got None. Pass certify(a, w).")
    if step_size is not None:
        require_in_range("certify", "step_size", step_size, 0, open_low=True)
    w = torch.as_tensor(w)
    require_square("certify", "w", w)
    if a is not None:
        a = torch.as_tensor(a)
        require_square("certify", "a", a)
        if a.shape != w.shape:
            raise ValueError(
                f"certify: expected `a` and `w` of the same shape, got {tuple(a.shape)} and "
                f"{tuple(w.shape)}."
            )
    return make_system(
        None if a is None else a.detach().cpu().double().numpy(),
        w.detach().cpu().double().numpy(),
        step_size,
        as_tableau("certify", method),
        nonlinearity=as_nonlinearity("certify", nonlinearity),
    )


def _certify_unit(
    unit: UnitMatrices, strength: str, *, max_dt: float, seconds: float, report: Report | None
) -> UnitCertificate:
    step = unit.step_size * (max_dt if math.isfinite(max_dt) else 1.0) / unit.substeps
    system = make_system(unit.a, unit.w, step, unit.tableau, nonlinearity=unit.nonlinearity)
    reason = _outside(unit, max_dt)
    if reason:
        return refuse(unit.name, system, reason)
    found = None
    if strength == "auto" and unit.proof is not None:
        found = _prove_construction(system, unit.proof)
    if found is None or not found.holds:
        found = certify_system(system, strength, seconds=seconds, report=report)
    return dataclasses.replace(found, name=unit.name, substeps=unit.substeps)


def certify_construction(unit: UnitMatrices) -> UnitCertificate:
    """Prove that a unit with the constraint ``"contractive"`` keeps it; nothing is searched.

    Args:
        unit: One with a ``proof``.

    Returns:
        The certificate.

    Raises:
        ValueError: If the unit has no such constraint.
    """
    if unit.proof is None:
        raise ValueError(
            "certify_construction: expected a unit with constraint='contractive', got one without."
        )
    step = unit.step_size / unit.substeps
    system = make_system(unit.a, unit.w, step, unit.tableau, nonlinearity=unit.nonlinearity)
    found = _prove_construction(system, unit.proof)
    return dataclasses.replace(found, name=unit.name, substeps=unit.substeps)


def _prove_construction(system: System, proof: tuple[np.ndarray, np.ndarray]) -> UnitCertificate:
    began = time.monotonic()
    metric, multipliers = proof[0], tuple(proof[1])
    if not all(np.isfinite(array).all() for array in (system.a, system.w, metric, *multipliers)):
        return refuse("l0", system, "a matrix has an entry that is not finite")
    growth = evaluate_growth(system, metric, multipliers)
    found = _prove(system, Candidate(growth, metric, multipliers), "construction")
    return dataclasses.replace(found, seconds=time.monotonic() - began)


def _outside(unit: UnitMatrices, max_dt: float) -> str:
    """Why the unit is none that any certificate speaks of; empty if it is one."""
    if unit.gated:
        return "it is gated: the gate multiplies A h too, so its slopes have no bound"
    if math.isinf(max_dt):
        return "its times dt have no bound; pass max_dt"
    if max_dt != 1 and unit.tableau != EULER:
        return (
            f"its times dt vary, and a step by {unit.tableau.name} that contracts says nothing of "
            "shorter ones; only Euler's does"
        )
    return ""


def certify_system(
    system: System, strength: str = "auto", *, seconds: float = math.inf, report: Report | None
) -> UnitCertificate:
    """Certify plain matrices; see :func:`certify`.

    Args:
        system: The system.
        strength: As there.
        seconds: Time for each search.
        report: Takes a line of progress.

    Returns:
        The certificate.
    """
    began = time.monotonic()
    if not (np.isfinite(system.a).all() and np.isfinite(system.w).all()):
        return refuse("l0", system, "a matrix has an entry that is not finite")
    candidate, best = None, None
    for level in _levels(system, strength):
        if report is not None:
            report(f"{level}: searching")
        candidate = _search(system, candidate, level, seconds)
        answer = _prove(system, candidate, level)
        if best is None or answer.holds or not best.holds:
            best = answer  # a stronger search whose proof fails takes nothing back
        if best.holds and strength == "auto":
            break
    assert best is not None
    return dataclasses.replace(best, seconds=time.monotonic() - began)


def _levels(system: System, strength: str) -> Sequence[str]:
    if strength != "auto":
        return STRENGTHS[: STRENGTHS.index(strength) + 1]
    affordable = system.size <= AUTO_FULL.get(system.stages, 16)
    return STRENGTHS if affordable else STRENGTHS[:-1]


def _search(system: System, start: Candidate | None, level: str, seconds: float) -> Candidate:
    if start is None:
        return search_norm(system)
    return search(system, start, level, seconds=seconds)


def _prove(system: System, candidate: Candidate, level: str) -> UnitCertificate:
    """Look for the smallest growth that the candidate proves; the search's own is not trusted."""
    found = candidate.growth
    if not found < 0:
        return refuse(
            "l0", system, _missed(system, found, level), strength=level, growth=_finite(found)
        )
    for slack in (1e-9, 1e-7, 1e-5, 1e-3, 1e-2, 0.1, 0.5):
        growth = found * (1 - slack)
        if proves(system, growth, candidate.metric, candidate.multipliers):
            return _accepted(system, candidate, level, growth)
    reason = (
        f"strength {level!r} finds growth {found:.3g} per unit of time, too close to 0 to prove "
        "against rounding"
    )
    return refuse("l0", system, reason, strength=level, growth=found)


def _accepted(system: System, candidate: Candidate, level: str, growth: float) -> UnitCertificate:
    certificate = UnitCertificate(
        "l0", True, "", growth, level, system, 1, candidate.metric, candidate.multipliers
    )
    what = "flow" if system.step_size == 0 else f"{system.tableau.name} step"
    reason = f"the {what} contracts at rate {certificate.rate:.4g} per unit of time ({level})"
    return dataclasses.replace(certificate, reason=reason)


def _missed(system: System, growth: float, level: str) -> str:
    text = (
        f"strength {level!r} finds growth {growth:+.3g} per unit of time, and below 0 is needed"
        if math.isfinite(growth)
        else f"strength {level!r} finds no growth at all"
    )
    condition = check_conditions(
        torch.from_numpy(system.a), torch.from_numpy(system.w), nonlinearity=system.nonlinearity
    ).a
    about = "" if system.step_size == 0 else ", about the flow alone,"
    return f"{text}; condition (a){about} {condition.reason}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
