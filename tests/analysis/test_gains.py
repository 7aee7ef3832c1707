"""Gains and state bounds of certified units: never beaten, and met where the answer is known."""

import dataclasses
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from lipschitz_rnn.analysis import certify, responses
from lipschitz_rnn.analysis.gains import input_gains, state_bound
from lipschitz_rnn.analysis.responses import unit_responses
from lipschitz_rnn.nn import (
    LanguageModel,
    LipschitzRNN,
    LipschitzRNNCell,
    RecurrentLayer,
    SequenceClassifier,
    SequenceRegressor,
)

F64 = torch.float64
STEPS = 4
ROUNDING = 1e-10  # of runs in float64, relative; gradients and powers of four steps lose far less


def linear_unit(rates, u, step=0.1):
    """h+ = h + ε (A h + U x), diagonal, σ = identity with W = 0."""
    size = len(rates)
    rnn = LipschitzRNN(
        u.shape[1], size, step_size=step, nonlinearity="identity", bias=False, dtype=F64
    )
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(u)
    rnn.weight_a_l0 = torch.diag(torch.tensor(rates, dtype=F64))
    rnn.weight_hh_l0 = torch.zeros(size, size, dtype=F64)
    return rnn


def random_layer(seed, size=3, **options):
    """Weights so large that units saturate, damped just so that most are certified."""
    torch.manual_seed(seed)
    defaults = {"gamma_a": 4.0, "step_size": 0.1, "init_std": 0.4 * size, "dtype": F64}
    return LipschitzRNN(2, size, **defaults | options)


def difference(model, x):
    """The model's answer, or the last state of a layer, as one vector."""
    answer = model(x)
    return (answer[1] if isinstance(answer, tuple) else answer).flatten()


def local_gain(function, x):
    """The largest singular value of the derivative at x."""
    jacobian = torch.autograd.functional.jacobian(function, x)
    return torch.linalg.matrix_norm(jacobian.reshape(jacobian.shape[0], -1), 2).item()


def climb(function, x, updates=4, rate=0.3):
    """Inputs where the derivative is larger, by ascent on the norm of a gradient."""
    x = x.clone().requires_grad_()
    for _ in range(updates):
        value = function(x)
        (gradient,) = torch.autograd.grad(value @ torch.ones_like(value), x, create_graph=True)
        (ascent,) = torch.autograd.grad(gradient.square().sum(), x, materialize_grads=True)
        x = (x + rate * ascent / ascent.norm().clamp_min(1e-9)).detach().requires_grad_()
    return x.detach()


OPTIONS = {
    "method": st.sampled_from(["euler", "midpoint", "rk4"]),
    "nonlinearity": st.sampled_from(["tanh", "sigmoid", "relu", "sine"]),
    "substeps": st.integers(1, 2),
    "num_layers": st.integers(1, 2),
    "bidirectional": st.booleans(),
}


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    strength=st.sampled_from(["norm", "diagonal", "full"]),
    options=st.fixed_dictionaries(OPTIONS),
)
def test_gains_are_never_beaten(seed, strength, options):
    layer = random_layer(seed, **options)
    certificate = certify(layer, strength=strength)
    assume(certificate.holds)
    model = SequenceRegressor(layer, 3)
    gains = input_gains(certificate, model, STEPS)
    last = layer.num_directions

    def head(x):
        return model(x[:, None])[0]

    def state(x):
        return layer(x[:, None])[1][-last:].flatten()

    def sequence(x):
        return layer(x[:, None])[0].flatten()

    def pair(x):
        return head(x)[1:2] - head(x)[2:3]

    bounds = {state: gains.state, sequence: gains.sequence, pair: gains.pairs[1, 2]}
    x = torch.randn(STEPS, 2, dtype=F64)
    for function, bound in bounds.items():
        for at in (0 * x, climb(function, x)):
            assert local_gain(function, at) <= bound * (1 + ROUNDING)
            change = torch.randn_like(x) * 3
            moved = (function(at + change) - function(at)).norm()
            assert moved <= bound * change.norm() * (1 + ROUNDING)
    assert local_gain(lambda x: head(x)[:1], x) <= gains.logits[0] * (1 + ROUNDING)


def test_most_random_units_are_certified():
    """So that the property above is not about nothing."""
    held = [certify(random_layer(seed), strength="diagonal").holds for seed in range(20)]
    assert sum(held) > 15


@pytest.mark.parametrize("steps", [1, 7, 200])
def test_scalar_linear_unit_is_met(steps):
    """h_T = ε u Σ ρ^(T-i) x_i: by Cauchy-Schwarz the gain is ε |u| (Σ ρ^2i)^(1/2)."""
    rnn = linear_unit([-2.0], torch.tensor([[3.0]], dtype=F64))
    model = SequenceClassifier(rnn, 2)
    certificate = certify(rnn)
    gains = input_gains(certificate, model, steps)
    assert 0.8 <= certificate.contraction <= 0.8 * (1 + 1e-4)  # what the search and proof leave

    def gain(rho):
        return 0.3 * math.sqrt(sum(rho ** (2 * i) for i in range(steps)))

    below, above = gain(0.8) * (1 - 1e-13), gain(certificate.contraction) * (1 + 1e-10)
    assert below <= gains.state <= above
    d = model.head.weight.detach().flatten()
    for factor, found in ((d[0], gains.logits[0]), (d[0] - d[1], gains.pairs[1, 0])):
        assert below * abs(factor) * (1 - 1e-15) <= found <= above * abs(factor)
    assert gains.pairs[0, 0] == 0
    assert gains.pairs[1, 0] == gains.pairs[0, 1]
    powers = torch.tensor([0.8**i for i in range(steps)], dtype=F64)
    rows = [torch.cat((powers.new_zeros(i), powers[: steps - i])) for i in range(steps)]
    whole = 0.3 * torch.linalg.matrix_norm(torch.stack(rows), 2).item()
    assert whole * (1 - 1e-13) <= gains.sequence
    if steps == 200:  # Young's inequality is met by a constant input that lasts
        assert gains.sequence <= whole * 1.005


@pytest.mark.parametrize("strength", ["norm", "diagonal", "full"])
def test_diagonal_linear_unit_is_close(strength):
    g = torch.Generator().manual_seed(0)
    u = torch.randn(3, 2, generator=g, dtype=F64)
    rnn = linear_unit([-1.0, -1.5, -2.0], u)
    gains = input_gains(certify(rnn, strength=strength), rnn, 50)
    k = torch.tensor([0.9, 0.85, 0.8], dtype=F64)
    exact = torch.linalg.matrix_norm(
        torch.cat([(k**i)[:, None] * 0.1 * u for i in range(50)], 1), 2
    )
    assert exact <= gains.state <= 1.3 * exact  # one ρ for three rates
    assert gains.logits is gains.pairs is None


def test_two_layers_multiply():
    """Two scalar linear layers in a row, and the last state of the second."""
    torch.manual_seed(0)
    cells = []
    for u in (4.0, 3.0):
        one = linear_unit([-2.0], torch.tensor([[u]], dtype=F64))
        cell = LipschitzRNNCell(1, 1, step_size=0.1, nonlinearity="identity", bias=False, dtype=F64)
        cell.weight_a, cell.weight_hh = one.weight_a_l0.detach(), one.weight_hh_l0.detach()
        with torch.no_grad():
            cell.weight_ih.copy_(one.weight_ih_l0)
        cells.append(cell)
    layer = RecurrentLayer(cells)
    gains = input_gains(certify(layer), layer, 40)
    whole, last = 0.4 / 0.2 * (1 - 0.8**40), 0.3 * math.sqrt((1 - 0.64**40) / 0.36)
    # the proved rates of both are up to 1e-4 too slow, 5e-4 in a sum of squares
    assert whole * last * (1 - 1e-13) <= gains.state <= whole * last * (1 + 1e-3)
    x = torch.zeros(40, 1, 1, dtype=F64)
    assert gains.state / 1.5 < local_gain(lambda x: layer(x)[1][-1, 0], x) <= gains.state


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    options=st.fixed_dictionaries(OPTIONS),
    size=st.sampled_from([0.1, 1.0, 1000.0]),
)
def test_states_stay_below_their_bound(seed, options, size):
    layer = random_layer(seed, **options)
    certificate = certify(layer, strength="diagonal")
    assume(certificate.holds)
    x = size * torch.randn(40, 8, 2, dtype=F64)
    reach = x.norm(dim=-1).max().item()
    bound = state_bound(certificate, layer, input_bound=reach)
    output, last = layer(x)
    assert output.norm(dim=-1).max() <= bound.state * (1 + ROUNDING)
    assert torch.all(last.norm(dim=-1).amax(1) <= torch.tensor(bound.units) * (1 + ROUNDING))
    short = state_bound(certificate, layer, input_bound=reach, horizon=40)
    assert output.norm(dim=-1).max() <= short.state * (1 + ROUNDING)
    assert short.state <= bound.state * (1 + ROUNDING)
    if options["nonlinearity"] != "relu":
        assert bound.state <= state_bound(certificate, layer).state * (1 + ROUNDING)


@pytest.mark.parametrize("method", ["euler", "midpoint"])
def test_saturated_scalar_unit_meets_the_bound(method):
    """h+ = h + ε (a h ± 1) ends at ±1/|a|; by midpoint too, with A ε (a h ± 1) / 2 taken apart."""
    rnn = LipschitzRNN(1, 1, step_size=0.1, method=method, bias=False, dtype=F64)
    rnn.weight_a_l0, rnn.weight_hh_l0 = -torch.eye(1, dtype=F64), 1e-3 * torch.eye(1, dtype=F64)
    with torch.no_grad():
        rnn.weight_ih_l0.fill_(1.0)
    bound = state_bound(certify(rnn), rnn).state
    reached = rnn(torch.full((400, 1, 1), 50.0, dtype=F64))[1].item()
    assert reached <= bound <= reached * {"euler": 1.002, "midpoint": 1.2}[method]


@pytest.mark.parametrize("substeps", [1, 3])
def test_stages_that_turn_and_substeps_that_add(substeps):
    """Midpoint steps of a rotation: (I + K/2) (I + (I + K + K²/2) + ..) ε U, K = ε A."""
    rnn = LipschitzRNN(2, 2, step_size=0.1 * substeps, method="midpoint", substeps=substeps,
                       nonlinearity="sine", bias=False, dtype=F64)  # fmt: skip
    rnn.weight_a_l0 = torch.tensor([[-1.0, 10.0], [-10.0, -1.0]], dtype=F64)
    rnn.weight_hh_l0 = torch.zeros(2, 2, dtype=F64)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(torch.eye(2))
    k, one = 0.1 * rnn.weight_a_l0.detach(), torch.eye(2, dtype=F64)
    step = one + k + k @ k / 2
    rho = torch.linalg.matrix_norm(step, 2).item()  # normal matrices: 0.99
    kick = 0.1 * (one + k / 2) @ sum(torch.linalg.matrix_power(step, i) for i in range(substeps))
    exact = torch.linalg.matrix_norm(kick, 2).item()
    certificate = certify(rnn, strength="norm")
    assert certificate.contraction == pytest.approx(rho**substeps, rel=1e-4)
    gains = input_gains(certificate, rnn, 1)
    assert exact * (1 - 1e-9) <= gains.state <= exact * 2.5
    assert substeps > 1 or exact > 0.1 * 1.05  # more than ε U: the second stage matters
    largest = (math.pi / 2) * torch.ones(1, 1, 2, dtype=F64)  # sin = 1 in both units
    reached = rnn(largest)[1].norm().item()
    assert reached == pytest.approx(exact * math.sqrt(2), rel=1e-9)
    bound = state_bound(certificate, rnn, horizon=1).state
    assert reached * (1 - 1e-9) <= bound <= 2.5 * reached


def test_state_bound_needs_an_input_bound():
    rnn = random_layer(0, nonlinearity="relu")
    certificate = certify(rnn)
    with pytest.raises(ValueError, match="expected `input_bound` for 'relu'"):
        state_bound(certificate, rnn)
    with pytest.raises(ValueError, match="at least 0"):
        state_bound(certificate, rnn, input_bound=-1.0)


@settings(max_examples=30, deadline=None)
@given(step=st.floats(1e-3, 1), near=st.floats(0, 1e-12))
def test_contraction_is_rounded_up_where_it_nearly_vanishes(step, near):
    rnn = linear_unit([-0.5 / step], torch.ones(1, 1, dtype=F64), step)
    whole = certify(rnn, strength="norm")
    changed = dataclasses.replace(whole.units[0], growth=-(1 - near) / step)
    certificate = dataclasses.replace(whole, units=(changed,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(responses, "recheck", lambda _: True)  # it is about the rounding alone
        ((response,),) = unit_responses("test", certificate, rnn)
    exact = 1 + Fraction(changed.system.step_size) * Fraction(changed.growth)
    assert Fraction(response.step_contraction) ** 2 >= exact


def test_refusals():
    rnn = random_layer(0)
    certificate = certify(rnn)
    cases = [
        (SequenceClassifier(rnn, 2, encoder=nn.Linear(2, 2)), "an encoder Linear"),
        (SequenceClassifier(rnn, 2, every_step=True), "every_step=True"),
        (SequenceClassifier(rnn, 2, dropout=0.5), "dropout in training mode"),
        (LanguageModel(rnn, 5), "got LanguageModel"),
        (random_layer(1), "of other matrices"),
        (random_layer(0, step_size=0.11), "of other matrices"),
        (random_layer(0, gated=True), "one that does not for l0"),
        (random_layer(0, num_layers=2), r"of 2 unit\(s\), got 1"),
    ]
    for model, message in cases:
        with pytest.raises(ValueError, match=message):
            input_gains(certificate, model, 5)
    assert input_gains(certificate, SequenceClassifier(rnn, 2, dropout=0.5).eval(), 5).state > 0
    wild = certify(random_layer(0, gamma_a=0.0))
    with pytest.raises(ValueError, match="a certificate that holds"):
        input_gains(wild, random_layer(0, gamma_a=0.0), 5)
    flow = certify(rnn, continuous=True)
    assert flow.holds
    with pytest.raises(ValueError, match="of other matrices"):
        input_gains(flow, rnn, 5)
    with pytest.raises(ValueError, match="`horizon` >= 1"):
        input_gains(certificate, rnn, 0)
