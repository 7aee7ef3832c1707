"""What a certificate claims, what proves it, and which layers it can speak of."""

import math
from dataclasses import replace
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from contraction import assert_contracts

from lipschitz_rnn.analysis import certify, find_units
from lipschitz_rnn.analysis.certificates import UnitCertificate, proves, recheck
from lipschitz_rnn.analysis.increments import assemble, make_system, quadratic_form
from lipschitz_rnn.nn import (
    AntisymmetricRNNCell,
    LipschitzRNN,
    RecurrentLayer,
    ResidualRNNCell,
    make_layer,
)
from lipschitz_rnn.ops import EULER, NONLINEARITIES

F64 = torch.float64


def layer_of(**options):
    return LipschitzRNN(2, 4, gamma_a=2.0, gamma_w=0.5, step_size=0.2, **options)


def test_a_layer_brings_its_own():
    layer = layer_of(substeps=2, method="midpoint", nonlinearity="sine")
    found = certify(layer)
    (unit,) = found.units
    assert found.holds
    assert (unit.name, unit.substeps, unit.system.step_size) == ("l0", 2, 0.1)
    assert unit.system.tableau.name == "midpoint"
    assert np.array_equal(unit.system.a, layer.weight_a_l0.detach().double().numpy())
    assert np.array_equal(unit.system.w, layer.weight_hh_l0.detach().double().numpy())
    one = math.exp(-unit.rate * 0.1)
    assert abs(found.contraction - one**2) < 1e-9  # of one input, not of one step


def test_stacked_and_bidirectional_layers_are_certified_one_by_one():
    layer = layer_of(num_layers=2, bidirectional=True)
    found = certify(layer)
    assert found.holds
    assert [unit.name for unit in found.units] == ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert found.contraction == max(unit.contraction for unit in found.units)
    assert found.rate == min(unit.rate for unit in found.units)
    assert found.metric is None
    with torch.no_grad():
        layer.weight_a_l1 = torch.eye(4) - 0.5 * torch.ones(4, 4)
    found = certify(layer)
    assert [unit.holds for unit in found.units] == [True, True, False, True]
    assert not found.holds
    assert found.rate is found.contraction is None
    assert found.reason.startswith("l1: ")


@pytest.mark.parametrize(
    ("options", "max_dt", "reason"),
    [
        ({"gated": True}, 1.0, "it is gated"),
        ({}, math.inf, "its times dt have no bound; pass max_dt"),
        ({"method": "midpoint"}, 2.0, "its times dt vary, and a step by midpoint"),
        ({"method": "rk4"}, 0.5, "its times dt vary, and a step by rk4"),
    ],
)
def test_what_is_beyond_a_certificate_is_said(options, max_dt, reason):
    found = certify(layer_of(**options), max_dt=max_dt)
    assert not found.holds
    assert reason in found.reason
    assert not recheck(found.units[0])


def test_euler_with_times_covers_every_shorter_step():
    layer = layer_of(method="euler").double()
    found = certify(layer, max_dt=2.0)
    assert found.holds
    assert found.units[0].system.step_size == 0.4
    generator = torch.Generator().manual_seed(0)
    for share in (0.01, 0.3, 0.7, 1.0):

        def step(h, x, share=share):
            x = x.expand(1, len(h), 2)
            dt = torch.full((1,), 2.0 * share, dtype=F64)
            with torch.no_grad():
                return layer(x, h[None], dt=dt)[1][0]

        factor = 1 - share * (1 - found.contraction)
        assert_contracts(step, 4, generator, found.metric, factor)
    too_long = certify(layer, max_dt=20.0)
    assert not too_long.holds


@pytest.mark.parametrize(("step_size", "max_dt"), [(0.45, 2.0), (0.9, 1.001), (2.0, 0.45)])
@pytest.mark.parametrize("substeps", [1, 2])
def test_the_rate_holds_at_every_shorter_time(step_size, max_dt, substeps):
    """The longest step nearly forgets everything at once, which a share of it does not."""
    layer = LipschitzRNN(2, 3, step_size=step_size * substeps, substeps=substeps, dtype=F64)
    layer.weight_a_l0 = -torch.eye(3, dtype=F64)
    layer.weight_hh_l0 = 0.05 * torch.eye(3, dtype=F64)
    found = certify(layer, max_dt=max_dt)
    assert found.holds
    assert found.units[0].max_dt == max_dt
    assert found.contraction < 0.2**substeps
    generator = torch.Generator().manual_seed(0)
    for share in (1e-3, 0.1, 0.4, 0.8, 1.0):
        dt = torch.full((1,), max_dt * share, dtype=F64)

        def step(h, x, dt=dt):
            with torch.no_grad():
                return layer(x.expand(1, len(h), 2), h[None], dt=dt)[1][0]

        time = layer.options.step_size * dt.item()
        assert_contracts(step, 3, generator, found.metric, math.exp(-found.rate * time))
    assert found.rate > 0.9  # the slowest pull is 0.95: nothing is given away


def test_rates_of_extreme_steps_are_numbers():
    for step in (5e-324, 1e300):
        unit = replace(claim(-1.0 / step if step > 1 else -1.0, step), max_dt=2.0)
        assert unit.rate >= 0


@pytest.mark.parametrize("cell", [AntisymmetricRNNCell, ResidualRNNCell])
def test_units_without_a_linear_term_are_answered(cell):
    """Where σ is flat nothing pulls them together, so no answer but no is right."""
    found = certify(RecurrentLayer([cell(3, 4)]))
    assert not found.holds
    assert not found.units[0].system.a.any()
    assert "growth" in found.reason


def test_units_without_matrices_are_refused():
    wanted = "expected Lipschitz, residual or antisymmetric units"
    with pytest.raises(TypeError, match=f"^certify: {wanted}, got GRU"):
        certify(make_layer("gru", 2, 3))
    with pytest.raises(TypeError, match=f"^find_units: {wanted}, got GRU"):
        find_units(make_layer("gru", 2, 3))
    hidden = torch.nn.Sequential(layer_of())
    with pytest.raises(TypeError, match=r"got Sequential.* pass the recurrent layer itself"):
        certify(hidden)


def test_numbers_that_are_not_finite_are_not_certified():
    w = torch.eye(2)
    w[0, 0] = math.nan
    found = certify(-torch.eye(2), w)
    assert not found.holds
    assert "not finite" in found.reason


def claim(growth, step_size=0.1, substeps=1, *, holds=True):
    sigma = NONLINEARITIES["tanh"]
    system = make_system(-np.eye(1), np.eye(1), step_size, EULER, nonlinearity=sigma)
    return UnitCertificate("l0", holds, "", growth, "norm", system, substeps)


@pytest.mark.parametrize("growth", [-1e-17, -1e-9, -0.3, -9.0, -10 * (1 - 2.0**-40), -10.0])
@pytest.mark.parametrize("substeps", [1, 7, 5000])
def test_rates_and_factors_err_on_the_safe_side(growth, substeps):
    """Against 60 digits of sqrt(1 + ε g)^s: above it, and the rate below, by little."""
    unit = claim(growth, substeps=substeps)
    step = Decimal(unit.system.step_size)
    with localcontext() as context:
        context.prec = 60
        square = 1 + step * Decimal(growth)
        true = max(square, Decimal(0)).sqrt() ** substeps
        assert Decimal(unit.contraction) + Decimal("1e-300") >= true
        if square > 0:
            rate = -square.ln() / (2 * step)
            assert Decimal(unit.rate) <= rate
        if square > Decimal("0.01"):
            assert unit.contraction <= float(true) * (1 + 1e-12 * substeps) + 1e-300
            assert unit.rate >= float(rate) * (1 - 1e-12) - 4e-16 / unit.system.step_size
    assert unit.contraction <= 1


def test_rounding_near_a_factor_of_0_is_on_the_safe_side():
    """There 1 + ε g is what is left of two numbers, and their rounding is a large share of it."""
    for growth in -10 * (1 - 2.0 ** -np.random.default_rng(0).uniform(20, 45, 300)):
        unit = claim(float(growth))
        with localcontext() as context:
            context.prec = 60
            square = 1 + Decimal(unit.system.step_size) * Decimal(unit.growth)
            assert Decimal(unit.contraction) >= max(square, Decimal(0)).sqrt()
            if square > 0:
                assert Decimal(unit.rate) <= -square.ln() / (2 * Decimal(unit.system.step_size))


def test_nothing_follows_from_what_does_not_hold():
    for unit in (claim(-1.0, holds=False), claim(None)):
        assert unit.rate is unit.contraction is None
    assert claim(-1.0, None).contraction is None
    assert claim(-1.0, None).rate == 0.5


def test_a_proof_needs_valid_variables():
    """N = 1, A = -1, W = 0.5, Euler at 0.1: g = -0.9 with P = 1 and T = 2, and nothing else."""
    sigma = NONLINEARITIES["tanh"]
    system = make_system(-np.eye(2), 0.5 * np.eye(2), 0.1, EULER, nonlinearity=sigma)
    ones = np.ones(2)
    assert proves(system, -0.9, ones, (2 * ones,))
    assert proves(system, -0.9, np.eye(2), (2 * ones,))
    assert not proves(system, -0.98, ones, (2 * ones,))  # (1 - 0.05)² = 1 - 0.1 · 0.975
    for metric in (-ones, 0 * ones, np.array([1.0, -1.0]), np.ones((2, 2)), np.eye(2) * math.nan):
        assert not proves(system, -0.9, metric, (2 * ones,))
    lopsided = np.eye(2)
    lopsided[0, 1] = 1e-12
    assert not proves(system, -0.9, lopsided, (2 * ones,))
    for multiplier in (-2 * ones, 0 * ones, ones * math.inf, np.array([2.0, -2.0])):
        assert not proves(system, -0.9, ones, (multiplier,))
    assert not proves(system, math.nan, ones, (2 * ones,))


@pytest.mark.parametrize(("growth", "expected"), [(-0.9, True), (0.0, False), (1.0, False)])
def test_a_growth_that_is_proved_is_no_contraction_unless_below_0(growth, expected):
    unit = replace(claim(growth), metric=np.ones(1), multipliers=(2 * np.ones(1),))
    unit = replace(unit, system=replace(unit.system, w=0.5 * np.eye(1)))
    assert proves(unit.system, growth, unit.metric, unit.multipliers)
    assert recheck(unit) == expected
    assert not recheck(replace(unit, metric=None))


@pytest.mark.parametrize("negative", [-np.ones(2), -np.eye(2)], ids=["diagonal", "full"])
def test_a_negative_metric_proves_nothing(negative):
    """A = I is unstable, and the form is positive definite all the same."""
    sigma = NONLINEARITIES["tanh"]
    system = make_system(np.eye(2), 0.5 * np.eye(2), 0.1, EULER, nonlinearity=sigma)
    form = assemble(quadratic_form(system, -0.9), [negative, 2 * np.ones(2)])
    assert np.linalg.eigvalsh(form)[0] > 0.1
    assert not proves(system, -0.9, negative, (2 * np.ones(2),))


@pytest.mark.parametrize("max_dt", [0.0, -1.0, math.nan])
def test_times_are_above_0(max_dt):
    with pytest.raises(ValueError, match="certify: expected `max_dt` above 0"):
        certify(layer_of(), max_dt=max_dt)
