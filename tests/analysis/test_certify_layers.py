"""What certify is asked of layers: their own constraints, their flow, and what would help."""

import re

import pytest
import torch

from lipschitz_rnn.analysis import certify, check_conditions, search
from lipschitz_rnn.analysis.growth import Candidate
from lipschitz_rnn.nn import LipschitzRNN, RecurrentLayer, ResidualRNNCell

STRENGTHS = ["norm", "diagonal", "full"]
F64 = torch.float64


def constrained(method="euler", **options):
    """A unit that contracts in a metric far from the identity."""
    torch.manual_seed(0)
    layer = LipschitzRNN(
        2, 5, step_size=0.1, method=method, constraint="contractive", rate=0.05, **options
    )
    with torch.no_grad():
        layer.log_metric_l0.copy_(torch.linspace(-3, 3, 5))
        layer.parametrizations.weight_hh_l0.original.mul_(20)
    return layer


@pytest.mark.parametrize("strength", ["auto", *STRENGTHS])
@pytest.mark.parametrize("method", ["euler", "midpoint"])
def test_no_strength_denies_what_a_unit_is_built_on(method, strength):
    layer = constrained(method)
    found = certify(layer, strength=strength)
    assert found.holds
    assert found.rate >= 0.05 * (1 - 1e-6)
    if strength == "norm":
        assert found.strength == "construction"
        assert not certify(layer.weight_a_l0, layer.weight_hh_l0, strength="norm").holds


def test_the_faster_proof_is_kept(monkeypatch):
    """A stronger search that promises more than it can prove."""

    def boast(system, start, level, *, seconds):
        return Candidate(1.05 * start.growth, start.metric, start.multipliers)

    a, w = -2 * torch.eye(3, dtype=F64), torch.eye(3, dtype=F64)
    honest = certify(a, w, strength="norm")
    monkeypatch.setattr(search, "search", boast)
    found = certify(a, w, strength="full")
    assert (found.strength, found.rate) == ("norm", honest.rate)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("options", [{}, {"method": "rk4", "substeps": 2, "num_layers": 2}])
def test_the_flow_of_a_layer(options, nonlinearity):
    torch.manual_seed(0)
    layer = LipschitzRNN(
        2, 6, step_size=5.0, constraint="contractive-flow", rate=0.01, nonlinearity=nonlinearity,
        init_std=6.0, **options,
    )  # fmt: skip
    found = certify(layer, continuous=True)
    assert found.holds
    assert all(unit.system.step_size == 0 for unit in found.units)
    assert all(unit.substeps == 1 for unit in found.units)
    assert found.rate >= 0.01 * (1 - 1e-4)
    assert found.contraction is None
    assert "the flow contracts at rate" in found.reason
    assert not certify(layer, strength="norm").holds  # a step of 5 is too long


def test_the_flow_of_what_has_none_is_not_certified():
    assert "gated" in certify(LipschitzRNN(2, 3, gated=True), continuous=True).reason
    assert not certify(RecurrentLayer([ResidualRNNCell(3, 4)]), continuous=True).holds
    assert certify(constrained(), continuous=True).holds  # Euler's proof is one of the flow


@pytest.mark.parametrize(
    "options",
    [
        {"w": torch.eye(3)},
        {"step_size": 0.1},
        {"method": "euler"},
        {"nonlinearity": "tanh"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_layer_takes_no_questions_about_matrices(options):
    (name,) = options
    message = f"certify: expected `{name}` beside matrices alone, got it beside a layer. A layer"
    with pytest.raises(ValueError, match=message):
        certify(LipschitzRNN(2, 3), **options)


@pytest.mark.parametrize("options", [{"max_dt": 2.0}, {"continuous": True}], ids=str)
def test_matrices_take_no_questions_about_layers(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"expected `{name}` beside a layer alone, got it beside"):
        certify(-torch.eye(3), torch.eye(3), **options)


def test_a_flow_has_no_times():
    with pytest.raises(ValueError, match="no `max_dt` beside continuous=True, got 2"):
        certify(LipschitzRNN(2, 3), continuous=True, max_dt=2.0)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_the_damping_that_is_named_satisfies_a(alpha):
    def layer(gamma_a):
        torch.manual_seed(0)
        return LipschitzRNN(2, 16, gamma_a=gamma_a, gamma_w=0.001, alpha=alpha)

    def condition(gamma_a):
        one = layer(gamma_a)
        return check_conditions(alpha * one.weight_a_l0, one.weight_hh_l0).a

    reason = certify(layer(0.01), strength="norm").reason
    named = float(re.search(r"; gamma_a above (\S+) would satisfy \(a\)$", reason)[1])
    assert condition(named).holds
    assert not condition(0.99 * named).holds


@pytest.mark.parametrize(
    "options",
    [{"alpha": -1.0}, {"constraint": "contractive-flow", "step_size": 9.0, "init_std": 30.0}],
    ids=str,
)
def test_no_damping_is_named_where_it_would_not_help(options):
    found = certify(LipschitzRNN(2, 16, **options), strength="norm")
    assert not found.holds
    assert "gamma_a" not in found.reason
