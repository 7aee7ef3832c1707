"""Ask whether a unit is stable, and get an answer that is proved."""

import dataclasses
import decimal
import math
import time

import numpy as np
from torch import nn

from lipschitz_rnn._base.checks import require_choice, require_in_range, require_square
from lipschitz_rnn.analysis.certificates import StabilityCertificate, UnitCertificate, refuse
from lipschitz_rnn.analysis.growth import STRENGTHS, Candidate, evaluate_growth
from lipschitz_rnn.analysis.increments import System, make_system, why_no_sector
from lipschitz_rnn.analysis.layers import UnitMatrices, find_units, system_of_unit
from lipschitz_rnn.analysis.search import (
    Report,
    certify_system,
    condition_a,
    describe,
    prove,
    why_not_finite,
)
from lipschitz_rnn.nn.plain import Matrix, read_matrix
from lipschitz_rnn.ops import EULER, ButcherTableau, Nonlinearity
from lipschitz_rnn.ops.nonlinearity import as_nonlinearity
from lipschitz_rnn.ops.tableau import as_tableau


def certify(
    model_or_a: nn.Module | Matrix | None,
    w: Matrix | None = None,
    *,
    step_size: float | None = None,
    method: str | ButcherTableau | None = None,
    nonlinearity: str | Nonlinearity | None = None,
    strength: str = "auto",
    max_dt: float = 1.0,
    continuous: bool = False,
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
            (N, N), or None for no linear term. Plain numbers count as float64.
        w: W, (N, N), beside a matrix A.
        step_size: ε, beside a matrix A; None asks about continuous time.
        method: Of the step, beside a matrix A; Euler's if None.
        nonlinearity: σ, beside a matrix A; tanh if None.
        strength: ``"norm"``, ``"diagonal"`` or ``"full"``, each searching for the fastest rate; or
            ``"auto"``: the weakest that certifies, with a full metric up to N = 64 for one stage,
            32 for two and 16 for more, and norm alone where eigenvalues rule every metric
            out. All begin with what a unit with ``constraint="contractive"`` was built on.
        max_dt: For a layer that gets times ``dt``: the largest of them. With the Euler method a
            certificate for ε·max_dt covers every shorter step too; other methods are certified for
            one step size alone. Infinity is never certified. With 1, every input is held for one
            unit of time.
        continuous: Ask about the differential equation of each unit of a layer, not the step that
            is run.
        seconds: Time for each search; the best so far is used.
        report: Takes a line of progress.

    Returns:
        The certificate; ``holds=False`` with the reason wherever the proof fails.

    Raises:
        TypeError: If the model has no matrices A and W, or a matrix does not hold real numbers.
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
    if not isinstance(model_or_a, nn.Module):
        _require_unset("a layer", max_dt=None if max_dt == 1 else max_dt, continuous=continuous)
        system = _system_of(model_or_a, w, step_size, method or "euler", nonlinearity or "tanh")
        return StabilityCertificate(
            (certify_system(system, strength, seconds=seconds, report=report),)
        )
    _require_unset("matrices", w=w, step_size=step_size, method=method, nonlinearity=nonlinearity)
    if continuous and max_dt != 1:
        raise ValueError(
            f"certify: expected no `max_dt` beside continuous=True, got {max_dt}. The differential "
            "equation knows no steps; leave it out."
        )
    found = [
        _certify_unit(unit, strength, max_dt, continuous, seconds=seconds, report=report)
        for unit in find_units(model_or_a, where="certify")
    ]
    return StabilityCertificate(tuple(found))


def _require_unset(what: str, **options: object) -> None:
    """Of arguments that would be ignored, because they are about the other kind of question."""
    for name, value in options.items():
        if value is not None and value is not False:
            remedy = (
                "A layer brings its own; build it with what you ask about, or pass its matrices."
                if what == "matrices"
                else "Pass the layer itself, or leave it out."
            )
            raise ValueError(
                f"certify: expected `{name}` beside {what} alone, got it beside "
                f"{'a layer' if what == 'matrices' else 'matrices'}. {remedy}"
            )


def _system_of(
    a: Matrix | None,
    w: Matrix | None,
    step_size: float | None,
    method: str | ButcherTableau,
    nonlinearity: str | Nonlinearity,
) -> System:
    if w is None:
        raise ValueError("certify: expected `w` beside a matrix A, got None. Pass certify(a, w).")
    if step_size is not None:
        require_in_range("certify", "step_size", step_size, 0, open_low=True)
    sigma = as_nonlinearity("certify", nonlinearity)
    if slopes := why_no_sector(sigma):
        raise ValueError(
            f"certify: expected finite slope_min <= slope_max of `nonlinearity`, got {slopes}."
        )
    matrices = {
        name: _read_square(name, value) for name, value in (("a", a), ("w", w)) if value is not None
    }
    shapes = [matrix.shape for matrix in matrices.values()]
    if shapes[0] != shapes[-1]:
        raise ValueError(
            f"certify: expected `a` and `w` of the same shape, got {shapes[0]} and {shapes[-1]}."
        )
    tableau = as_tableau("certify", method)
    return make_system(matrices.get("a"), matrices["w"], step_size, tableau, nonlinearity=sigma)


def _read_square(name: str, value: Matrix) -> np.ndarray:
    matrix = read_matrix("certify", name, value)
    require_square("certify", name, matrix)
    if not len(matrix):
        raise ValueError(f"certify: expected `{name}` of size 1 at least, got an empty matrix.")
    return np.asarray(matrix.cpu().numpy())


def _certify_unit(
    unit: UnitMatrices,
    strength: str,
    max_dt: float,
    continuous: bool,
    *,
    seconds: float,
    report: Report | None,
) -> UnitCertificate:
    system = system_of_unit(unit, max_dt, continuous=continuous)
    if reason := _outside(unit, max_dt) or _why_not_finite(system, unit, max_dt):
        found = refuse(unit.name, system, reason)
    else:
        start = _construction(system, unit)
        found = certify_system(system, strength, start=start, seconds=seconds, report=report)
    return _named(found, unit, max_dt)


def _named(found: UnitCertificate, unit: UnitMatrices, max_dt: float = 1.0) -> UnitCertificate:
    """What was found of a system, as said of a unit."""
    substeps = 1 if found.system.step_size == 0 else unit.substeps
    found = dataclasses.replace(found, name=unit.name, substeps=substeps, max_dt=max_dt)
    reason = describe(found) if found.holds else found.reason + _damping_needed(found, unit)
    return dataclasses.replace(found, reason=reason)


def _damping_needed(found: UnitCertificate, unit: UnitMatrices) -> str:
    """The γ_A that would satisfy condition (a), where it is known what it does."""
    if found.strength == "none" or unit.gamma_a is None or not unit.alpha > 0:
        return ""
    condition = condition_a(found.system)
    if condition is None or condition.holds:
        return ""
    needed = unit.gamma_a + condition.quantities["gamma_a_increase"] / unit.alpha
    rounded = decimal.Context(prec=3, rounding=decimal.ROUND_CEILING).create_decimal(needed)
    return f"; gamma_a above {float(rounded):g} would satisfy (a)"


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
    began = time.monotonic()
    system = system_of_unit(unit)
    reason = _why_not_finite(system, unit, 1.0)
    start = None if reason else _construction(system, unit)
    if start is None:
        found = refuse(unit.name, system, reason or "its metric has an entry that is not finite")
    else:
        with np.errstate(all="ignore"):  # what overflows is not proved
            found = prove(system, start, "construction")
    return _named(dataclasses.replace(found, seconds=time.monotonic() - began), unit)


def _construction(system: System, unit: UnitMatrices) -> Candidate | None:
    """What a unit was built on; None if it was not, or not for so many stages."""
    if unit.proof is None:
        return None
    metric, multipliers = unit.proof[0], tuple(unit.proof[1])
    arrays = (system.a, system.w, metric, *multipliers)
    if len(multipliers) != system.stages or not all(np.isfinite(x).all() for x in arrays):
        return None
    with np.errstate(all="ignore"):
        return Candidate(evaluate_growth(system, metric, multipliers), metric, multipliers)


def _why_not_finite(system: System, unit: UnitMatrices, max_dt: float) -> str:
    """Which number of a unit is none to reckon with, as after a run that diverged; or empty."""
    reason = why_not_finite(system)
    if reason and math.isnan(system.step_size):
        times = "" if max_dt == 1 else f" x max_dt {max_dt:g}"
        reason += f": {unit.step_size:g}{times} / {unit.substeps} substeps"
    return reason


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
