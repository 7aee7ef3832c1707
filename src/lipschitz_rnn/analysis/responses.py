"""How one certified unit answers to inputs, with every number proved.

Note [Gain of a certified unit]
    Let F(h, x) be the map of one input and ρ its contraction in the metric P. For two trajectories
    with the difference δ_t, under inputs with the difference Δ_t,

        δ_t = [F(h, x) - F(h', x)] + [F(h', x) - F(h', x')],   ‖δ_t‖_P ≤ ρ ‖δ_{t-1}‖_P + κ ‖Δ_t‖₂ .

    The first bracket is what the certificate is about. In the second the state is the same, so the
    stages differ by d_j ‖Δ‖ at most, with d_j = ε Σ_l |a_jl| k_l and the slopes'
    k_j = (‖A‖ + L‖W‖) d_j + L‖U‖; with D_j the slopes of σ, which are diagonal,

        ε Σ_j b_j D_j U Δ + ε Σ_j b_j (A + D_j W) Δ_j

    has a P-norm of at most κ ‖Δ‖₂,

        κ = ε L Σ_j |b_j| ‖Q^{1/2} U‖₂ + ε ‖P‖₂^{1/2} Σ_j |b_j| (‖A‖ + L‖W‖) d_j ,

    for every diagonal Q ⪰ P, because Q^{1/2} commutes with D_j. With s substeps that is one of
    them, and an input's is κ (1 + ρ_s + ... + ρ_s^{s-1}). Unrolled, with the inequality of
    Cauchy-Schwarz for the last state and Young's for the whole sequence,

        ‖δ_T‖_P ≤ κ (Σ_{i<T} ρ^{2i})^{1/2} ‖Δ‖,    (Σ_t ‖δ_t‖²_P)^{1/2} ≤ κ (Σ_{i<T} ρ^i) ‖Δ‖ .

    The same two brackets with h' = 0 bound the state itself: ‖h_t‖_P ≤ ρ ‖h_{t-1}‖_P + ‖F(0, x)‖_P.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from torch import nn

from lipschitz_rnn.analysis.certificates import StabilityCertificate, UnitCertificate, recheck
from lipschitz_rnn.analysis.layers import UnitMatrices, find_units, system_of_unit
from lipschitz_rnn.analysis.norms import Metric, UnitNorms, geometric_sum, product, up
from lipschitz_rnn.analysis.rounding import nonlinearity_bounds


@dataclass(frozen=True, eq=False)
class UnitResponse:
    """How one certified unit answers; see Note [Gain of a certified unit].

    Attributes:
        unit: Its matrices.
        norms: Their norms.
        metric: P.
        sizes: Of U, b and a vector of ones in P, by :meth:`Metric.size`.
        step_contraction: ρ_s of one integrator step.
        contraction: ρ of one input.
        kick: κ of one input.
    """

    unit: UnitMatrices
    norms: UnitNorms
    metric: Metric
    sizes: tuple[float, float, float]
    step_contraction: float
    contraction: float
    kick: float

    def last(self, horizon: int) -> float:
        """P-norm of the last state's difference, per l2 norm of the inputs'."""
        square = up(self.contraction * self.contraction)
        return up(self.kick * math.sqrt(geometric_sum(square, horizon)))

    def whole(self, horizon: int) -> float:
        """l2 of the P-norms of all states' differences, per l2 norm of the inputs'."""
        return up(self.kick * geometric_sum(self.contraction, horizon))

    def drive(self, input_bound: float) -> float:
        """Bound on the P-norm of the state after one input, from zero."""
        one = _drive_of_step(self, input_bound)
        return up(one * geometric_sum(self.step_contraction, self.unit.substeps))

    def state_bound(self, input_bound: float, horizon: int | None) -> float:
        """Bound on the Euclidean norm of states from zero, in exact arithmetic."""
        total = geometric_sum(self.contraction, horizon)
        return self.metric.in_euclid(product(self.drive(input_bound), total))


def _weights(unit: UnitMatrices) -> tuple[float, list[list[float]]]:
    """ε of an integrator step, and |a_jl| of every stage, then |b_j|."""
    rows = [[], *unit.tableau.a_lower, unit.tableau.b]
    return unit.step_size / unit.substeps, [[abs(c) for c in row] for row in rows]


def _kick_of_step(unit: UnitMatrices, norms: UnitNorms, metric: Metric, size: float) -> float:
    step, rows = _weights(unit)
    slope = unit.nonlinearity.lipschitz_constant
    pull = norms.a + slope * norms.w
    slopes: list[float] = []
    moved: list[float] = []
    for row in rows[:-1]:
        moved.append(step * sum(c * k for c, k in zip(row, slopes, strict=True)))
        slopes.append(pull * moved[-1] + slope * norms.u)
    weights = rows[-1]
    direct = step * slope * sum(weights) * size
    rest = sum(b * pull * d for b, d in zip(weights, moved, strict=True))
    return up(direct + step * metric.ceiling * rest, 32 * len(rows) ** 2)


def _drive_of_step(response: UnitResponse, x: float) -> float:
    """Bound on the P-norm of one integrator step from zero, under an input of norm x at most."""
    unit, norms, metric = response.unit, response.norms, response.metric
    step, rows = _weights(unit)
    n, slope = len(unit.w), unit.nonlinearity.lipschitz_constant
    most, at_zero = nonlinearity_bounds(unit.nonlinearity)
    u, b, ones = response.sizes
    direct = product(u, x) + b
    reach, root = product(norms.u, x) + norms.b, math.sqrt(n)
    slopes: list[float] = []
    moved: list[float] = []
    values: list[float] = []
    for row in rows[:-1]:
        d = step * sum(product(c, k) for c, k in zip(row, slopes, strict=True))
        inner = root * at_zero + slope * (product(norms.w, d) + reach)
        outer = ones * at_zero + slope * (metric.ceiling * product(norms.w, d) + direct)
        slopes.append(product(norms.a, d) + min(root * most, inner))
        values.append(min(product(ones, most), outer))
        moved.append(metric.ceiling * product(norms.a, d))
    each = zip(rows[-1], values, moved, strict=True)
    return up(step * sum(product(c, v + m) for c, v, m in each), 64 * len(rows) ** 2)


def _check_matches(where: str, certificate: UnitCertificate, unit: UnitMatrices) -> None:
    if not certificate.holds or certificate.metric is None or certificate.growth is None:
        raise ValueError(
            f"{where}: expected a certificate that holds, got one that does not for "
            f"{unit.name}: {certificate.reason}."
        )
    system, same = certificate.system, system_of_unit(unit)
    fits = certificate.substeps == unit.substeps and (
        (system.step_size, system.tableau, system.nonlinearity, system.size)
        == (same.step_size, same.tableau, same.nonlinearity, same.size)
    )
    equal = np.array_equal(system.a, same.a) and np.array_equal(system.w, same.w)
    if not fits or not (equal or unit.constrained):
        raise ValueError(
            f"{where}: expected a certificate of this model's step, got one of other matrices, "
            f"step size or method for {unit.name}. Use certify(model), with max_dt at 1."
        )
    # a file may say anything; and what a constraint makes anew may differ in the last bits
    with np.errstate(all="ignore"):  # what overflows is not proved
        proved = recheck(dataclasses.replace(certificate, system=same))
    if unit.gated or not proved:
        raise ValueError(
            f"{where}: expected a certificate whose numbers prove what it says of this model, got "
            f"one that does not for {unit.name}. Use certify(model)."
        )


def _response(unit: UnitMatrices, metric: Metric, certificate: UnitCertificate) -> UnitResponse:
    norms, count = UnitNorms.of(unit), unit.substeps
    b = np.zeros(len(unit.w)) if unit.b is None else unit.b
    sizes = metric.size(unit.u), metric.size(b[:, None]), metric.size(np.ones((len(unit.w), 1)))
    rho = certificate.contraction_of_step
    assert rho is not None  # it holds
    kick = up(_kick_of_step(unit, norms, metric, sizes[0]) * geometric_sum(rho, count))
    return UnitResponse(unit, norms, metric, sizes, rho, up(rho**count, 2 * count), kick)


def unit_responses(
    where: str, certificate: StabilityCertificate, model: nn.Module
) -> list[list[UnitResponse]]:
    """What is proved of every unit, by layer and direction.

    Args:
        where: Name of the caller.
        certificate: Of the model.
        model: The model.

    Returns:
        A list for each layer.

    Raises:
        ValueError: If the certificate does not hold, is about other numbers or is not proved by its
            own, or the layer drops outputs in training mode.
    """
    layer = getattr(model, "rnn", model)
    if layer.training and getattr(layer, "dropout", 0):
        raise ValueError(
            f"{where}: expected a layer without dropout, got dropout in training mode; call "
            "model.eval()."
        )
    units = find_units(model, where=where)
    if len(units) != len(certificate.units):
        raise ValueError(
            f"{where}: expected a certificate of {len(units)} unit(s), got {len(certificate.units)}"
            "."
        )
    layers: list[list[UnitResponse]] = [[] for _ in range(1 + units[-1].layer)]
    for proof, unit in zip(certificate.units, units, strict=True):
        _check_matches(where, proof, unit)
        assert proof.metric is not None
        layers[unit.layer].append(_response(unit, Metric.of(proof.metric), proof))
    return layers
