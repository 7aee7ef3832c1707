"""Everything that is said about the stability of a model, in numbers."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lipschitz_rnn.analysis.certificates import StabilityCertificate, UnitCertificate
from lipschitz_rnn.analysis.certify import certify
from lipschitz_rnn.analysis.conditions import TheoremConditions, check_conditions
from lipschitz_rnn.analysis.layers import UnitMatrices, cell_options, find_units
from lipschitz_rnn.analysis.step_sizes import (
    EulerContraction,
    StepSizes,
    admissible_step_sizes,
    euler_contraction,
)
from lipschitz_rnn.linalg import log_norm
from lipschitz_rnn.linalg.scheme_spectrum import as_finite_double, imaginary_bound, scheme_interval
from lipschitz_rnn.nn import LipschitzRNN, RecurrentLayer
from lipschitz_rnn.nn.parametrizations import SymmetricSkew
from lipschitz_rnn.nn.unit import UnitOptions


@dataclass(frozen=True)
class SchemeBounds:
    """Where the symmetric-skew scheme lets the eigenvalues of its matrix lie.

    Attributes:
        low: Smallest real part.
        high: Largest real part.
        imaginary: Largest modulus of an imaginary part.
    """

    low: float
    high: float
    imaginary: float


@dataclass(frozen=True, eq=False)
class MatrixReport:
    """One matrix as it is run.

    Attributes:
        eigenvalues: (N,), complex, the largest real part first.
        spectral_abscissa: Their largest real part.
        log_norm: Largest eigenvalue of the symmetric part.
        sigma_max: Largest singular value.
        scheme: What the scheme bounds the eigenvalues by; None where the matrix does not come from
            it alone, or one of its scalars is learned.
    """

    eigenvalues: np.ndarray
    spectral_abscissa: float
    log_norm: float
    sigma_max: float
    scheme: SchemeBounds | None


@dataclass(frozen=True, eq=False)
class UnitReport:
    """One layer and direction.

    Attributes:
        name: ``"l0"``, ``"l0_reverse"``, ``"l1"``, ...
        size: N.
        step_size: ε of the longest integrator step that is asked about.
        substeps: Integrator steps an input.
        method: Name of the integrator.
        nonlinearity: Name of σ.
        gated: Whether a gate multiplies the right-hand side.
        a: α A; None without a linear term.
        w: W.
        conditions: Those of the stability theorem, about continuous time; None for a gated unit, of
            which it does not speak.
        step_sizes: The longest step that each mode of α A bears. A diagnostic, no certificate. None
            without a linear term.
        euler: Bound on one Euler step of size ε, whatever the method; None for a gated unit.
        certificate: Of strength ``"norm"``, for the step that is run.
    """

    name: str
    size: int
    step_size: float
    substeps: int
    method: str
    nonlinearity: str
    gated: bool
    a: MatrixReport | None
    w: MatrixReport
    conditions: TheoremConditions | None
    step_sizes: StepSizes | None
    euler: EulerContraction | None
    certificate: UnitCertificate


@dataclass(frozen=True, eq=False)
class StabilityReport:
    """All units of a model.

    Attributes:
        units: One for each layer and direction, from the input on.
        max_dt: The largest time ``dt`` that it is about.
    """

    units: tuple[UnitReport, ...]
    max_dt: float

    @property
    def certificate(self) -> StabilityCertificate:
        """The certificates of all units, as one."""
        return StabilityCertificate(tuple(unit.certificate for unit in self.units))


def stability_report(model: nn.Module, *, max_dt: float = 1.0) -> StabilityReport:
    """Spectra, conditions, step sizes and the cheapest certificate of every unit of a model.

    Args:
        model: A :class:`LipschitzRNN`, a cell that is an ODE of one state, a
            :class:`RecurrentLayer` of such cells, or a model with one of them as ``rnn``.
        max_dt: For a layer that gets times ``dt``: the largest of them. All step sizes of the
            report are stretched by it.

    Returns:
        The report. Only its certificates are proved; all else is computed in floating point.

    Raises:
        TypeError: If the model has no matrices A and W.
        ValueError: If a weight is not finite, or ``max_dt`` not a positive number.

    Examples:
        >>> report = stability_report(LipschitzRNN(1, 8, gamma_a=2.0))
        >>> unit = report.units[0]
        >>> unit.conditions.a.holds, unit.certificate.holds, unit.a.spectral_abscissa < -1.5
        (True, True, True)
    """
    if not 0 < max_dt < float("inf"):
        raise ValueError(f"stability_report: expected a positive number `max_dt`, got {max_dt}.")
    units = find_units(model)
    for unit in units:  # one error for all that would fail below, each in its own way
        for name, matrix in (("a", unit.a), ("w", unit.w)):
            if matrix is not None:
                as_finite_double("stability_report", name, torch.from_numpy(matrix))
    certificates = certify(model, strength="norm", max_dt=max_dt).units
    parts = zip(units, certificates, _schemes(model), strict=True)
    reports = [_report_unit(unit, proof, schemes, max_dt) for unit, proof, schemes in parts]
    return StabilityReport(tuple(reports), float(max_dt))


Schemes = tuple[SchemeBounds | None, SchemeBounds | None]


def _report_unit(
    unit: UnitMatrices, certificate: UnitCertificate, schemes: Schemes, max_dt: float
) -> UnitReport:
    a = None if unit.a is None else torch.from_numpy(unit.a)
    w = torch.from_numpy(unit.w)
    sigma, step = unit.nonlinearity, unit.step_size * max_dt / unit.substeps
    return UnitReport(
        name=unit.name,
        size=len(unit.w),
        step_size=step,
        substeps=unit.substeps,
        method=unit.tableau.name,
        nonlinearity=sigma.name,
        gated=unit.gated,
        a=None if a is None else _report_matrix(a, schemes[0]),
        w=_report_matrix(w, schemes[1]),
        conditions=None if unit.gated else check_conditions(a, w, nonlinearity=sigma),
        step_sizes=None if a is None else admissible_step_sizes(a, unit.tableau),
        euler=None if unit.gated else euler_contraction(a, w, step, sigma),
        certificate=certificate,
    )


def _report_matrix(matrix: Tensor, scheme: SchemeBounds | None) -> MatrixReport:
    exact = matrix.double()
    values = np.linalg.eigvals(exact.numpy())
    values = values[np.lexsort((-values.imag, -values.real))]
    return MatrixReport(
        eigenvalues=values,
        spectral_abscissa=float(values[0].real),
        log_norm=float(log_norm(exact)),
        sigma_max=float(torch.linalg.matrix_norm(exact, 2)),
        scheme=scheme,
    )


def _schemes(model: nn.Module) -> list[Schemes]:
    """Bounds on A and W of every unit, in the order of :func:`find_units`."""
    layer: nn.Module = getattr(model, "rnn", model)
    if isinstance(layer, LipschitzRNN):
        return [_schemes_of(layer, suffix, layer.options) for suffix in layer._suffixes]
    cells = list(layer.cells) if isinstance(layer, RecurrentLayer) else [layer]
    found = ((cell, cell_options(cell)) for cell in cells)
    return [_schemes_of(cell, "", options) for cell, options in found if options is not None]


def _schemes_of(module: nn.Module, suffix: str, options: UnitOptions) -> Schemes:
    if options.constraint is not None:  # damping moves the eigenvalues
        return None, None
    of_a, of_w = (_bounds(module, name + suffix) for name in ("weight_a", "weight_hh"))
    is_fixed = "alpha" not in options.trainable
    return (_scaled(of_a, options.alpha) if of_a is not None and is_fixed else None), of_w


def _bounds(module: nn.Module, name: str) -> SchemeBounds | None:
    if not parametrize.is_parametrized(module, name):
        return None
    chain = getattr(module.parametrizations, name)
    scheme = chain[0]
    if len(chain) != 1 or not isinstance(scheme, SymmetricSkew):
        return None
    beta, gamma = scheme.beta, scheme.gamma
    if isinstance(beta, Tensor) or isinstance(gamma, Tensor):
        return None
    low, high = scheme_interval(chain.original, beta, gamma)
    return SchemeBounds(low, high, imaginary_bound(chain.original, beta))


def _scaled(bounds: SchemeBounds, alpha: float) -> SchemeBounds:
    ends = sorted((alpha * bounds.low, alpha * bounds.high))
    return dataclasses.replace(
        bounds, low=ends[0], high=ends[1], imaginary=abs(alpha) * bounds.imaginary
    )
