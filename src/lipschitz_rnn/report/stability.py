"""What the theory says of a trained unit: spectra, conditions, steps."""

from dataclasses import dataclass

import numpy as np

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis.layers import UnitMatrices, find_units
from lipschitz_rnn.analysis.report import StabilityReport, UnitReport
from lipschitz_rnn.experiments.dynamics import largest_dt, run_units, sample_batch, stability_run
from lipschitz_rnn.experiments.figures import history_figure, spectra_figure
from lipschitz_rnn.experiments.figures.run import jacobians_along
from lipschitz_rnn.experiments.stability_rows import stability_rows
from lipschitz_rnn.report.figures import Drawing, draw
from lipschitz_rnn.report.source import LeftOut, Source
from lipschitz_rnn.report.wording import Rows

_SAMPLES = 2
"""Along which Jacobians are taken."""

_EIGENVALUES = 700
"""Of these Jacobians: more are too many for a page."""


@dataclass(frozen=True)
class UnitFacts:
    """One layer and direction.

    Attributes:
        name: ``"l0"``, ``"l0_reverse"``, ``"l1"``, ...
        what: Size, method and step in a line.
        spectra: Eigenvalues and the region of stability.
        rows: What the theory says.
    """

    name: str
    what: str
    spectra: Drawing
    rows: Rows


@dataclass(frozen=True, eq=False)
class Stability:
    """All units of a model.

    Attributes:
        report: What was computed.
        units: One for each layer and direction.
        over_epochs: How the spectra moved; None where the record has none.
    """

    report: StabilityReport
    units: tuple[UnitFacts, ...]
    over_epochs: Drawing | None


def describe_stability(source: Source, key: str) -> Stability | LeftOut | None:
    """The stability report of a run.

    Args:
        source: The run.
        key: What ids begin with.

    Returns:
        The report; None without weights; why there is none of units without A and W.
    """
    if source.subject is None:
        return None
    trained = source.subject.trained
    try:
        split = source.split
        report = stability_run(trained, max_dt=1.0 if split is None else largest_dt(split))
    except InputError:
        name = trained.config.model.unit
        why = f"the unit {name} has no matrices A and W that the theory speaks of"
        return LeftOut("spectra, stability and certificate", why)
    units = find_units(trained.model)
    jacobians = _jacobians(source, units)
    facts = []
    for place, (matrices, unit) in enumerate(zip(units, report.units, strict=True)):
        figure = spectra_figure(
            matrices.a,
            matrices.w,
            step_size=matrices.step_size / matrices.substeps,
            method=matrices.tableau,
            jacobians=jacobians[place],
        )
        drawing = draw(figure, f"{key}-spectra{place}", _alt(unit))
        rows = tuple(stability_rows(unit))[:-1]  # the certificate has a place of its own
        facts.append(UnitFacts(unit.name, _what(unit), drawing, rows))
    return Stability(report, tuple(facts), _over_epochs(source, key))


def _jacobians(source: Source, units: list[UnitMatrices]) -> list[np.ndarray | None]:
    """Along a few samples, for every unit that is an ODE; None where there are no samples."""
    if source.subject is None or source.split is None:
        return [None] * len(units)
    try:
        runs = run_units(source.subject.trained.model, sample_batch(source.split, _SAMPLES))
    except (TypeError, ValueError):  # what cannot be run so is shown without them
        return [None] * len(units)
    found: list[np.ndarray | None] = []
    for run in runs:
        if run.unit.vector_field is None:
            found.append(None)
            continue
        matrices = jacobians_along(run).numpy()
        every = -(-matrices.shape[0] * matrices.shape[1] // _EIGENVALUES)
        found.append(matrices[::every])
    return found


def _over_epochs(source: Source, key: str) -> Drawing | None:
    if not source.history.units or not len(source.history.epochs):
        return None
    told = []
    for name, unit in source.history.units.items():
        for label, values in (("A", unit.spectral_abscissa_a), ("W", unit.spectral_abscissa_w)):
            known = values[np.isfinite(values)]
            if len(known):
                told.append(f"{label} of {name} from {known[0]:+.3g} to {known[-1]:+.3g}")
    alt = (
        f"Over {len(source.history.epochs)} epochs the largest real part of the eigenvalues went: "
    )
    return draw(history_figure(source.history), f"{key}-history", alt + "; ".join(told) + ".")


def _what(unit: UnitReport) -> str:
    gate = ", gated" if unit.gated else ""
    sub = f", {unit.substeps} sub-steps an input" if unit.substeps > 1 else ""
    return (
        f"{unit.size} features, {unit.method} steps of {unit.step_size:.4g}{sub}, "
        f"{unit.nonlinearity}{gate}"
    )


def _alt(unit: UnitReport) -> str:
    parts = [
        f"{name} with largest real part {matrix.spectral_abscissa:+.3g}"
        for name, matrix in (("A", unit.a), ("W", unit.w))
        if matrix is not None
    ]
    return (
        f"Eigenvalues in the complex plane of {' and of '.join(parts)}, each {unit.size}, over the "
        f"region in which a {unit.method} step of {unit.step_size:.4g} damps a linear mode."
    )
