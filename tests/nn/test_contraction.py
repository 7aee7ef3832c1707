"""Constrained units: never outside their constraint, differentiable, and the same in every form."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn.analysis import certify
from lipschitz_rnn.analysis.certificates import proves
from lipschitz_rnn.analysis.increments import make_system
from lipschitz_rnn.nn import LipschitzRNN, LipschitzRNNCell, contraction
from lipschitz_rnn.nn.contraction import (
    contractive_flow,
    contractive_step,
    make_metric,
    make_multipliers,
    make_proof,
)
from lipschitz_rnn.nn.contraction_search import Target, step_growth
from lipschitz_rnn.nn.unit import unit_weights
from lipschitz_rnn.ops import NONLINEARITIES, TABLEAUX


def target_of(method="euler", sigma="tanh", rate=0.05, step_size=0.1):
    return Target(rate, step_size, TABLEAUX[method], NONLINEARITIES[sigma])


def free_parts(size, stages, *, seed, scale=1.0, spread=0.5, dtype=torch.float64):
    """Free A, W, log metric and log multipliers."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((size, size), (size, size), (size,), (stages, size))
    scales = (scale, scale, spread, spread)
    return [
        (torch.randn(shape, generator=generator, dtype=torch.float64) * factor).to(dtype)
        for shape, factor in zip(shapes, scales, strict=True)
    ]


def reached(parts, made, target):
    """Growth of the matrices that were made, as they are stored, in their own metric."""
    p = make_metric(parts[2])
    back = [p[:, None] / p * matrix.double() for matrix in made]
    times = make_multipliers(parts[3], parts[1], target)
    return float(step_growth(*back, times, target))


def is_proved(parts, made, target):
    """In rigorous arithmetic, of the stored numbers, at the very rate that was asked."""
    a, w = (matrix.detach().double().numpy() for matrix in made)
    system = make_system(a, w, target.step_size, target.tableau, nonlinearity=target.nonlinearity)
    metric, times = make_proof(parts[2], parts[3], parts[1], target)
    return proves(system, target.growth, metric.numpy(), tuple(times.numpy()))


@given(
    size=st.integers(1, 24),
    seed=st.integers(0, 10**6),
    scale=st.floats(0.01, 30),
    spread=st.floats(0, 4),
    rate=st.floats(0, 1),
    step_size=st.floats(1e-3, 0.3),
    method=st.sampled_from(["euler", "midpoint", "heun", "rk4"]),
    sigma=st.sampled_from(["tanh", "relu", "sigmoid", "softplus", "sine"]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=60, deadline=None)
def test_the_stored_matrices_contract_whatever_the_free_ones(
    size, seed, scale, spread, rate, step_size, method, sigma, dtype
):
    target = target_of(method, sigma, rate, step_size)
    parts = free_parts(
        size, len(target.tableau.b), seed=seed, scale=scale, spread=spread, dtype=dtype
    )
    made = contractive_step(*parts, target)
    assert [matrix.dtype for matrix in made] == [dtype, dtype]
    assert reached(parts, made, target) < target.growth
    assert is_proved(parts, made, target)


@pytest.mark.parametrize("method", ["euler", "midpoint", "heun", "rk4"])
def test_trajectories_approach_each_other_at_the_rate(method):
    """Of the layer itself, in the metric it was built in, under one random input."""
    torch.manual_seed(3)
    layer = LipschitzRNN(
        2, 6, method=method, constraint="contractive", rate=0.3, step_size=0.1, init_std=6.0,
        dtype=torch.float64,
    )  # fmt: skip
    with torch.no_grad():
        layer.log_metric_l0.normal_(std=0.5)
    metric = make_metric(layer.log_metric_l0).square()
    input = torch.randn(200, 1, 2).double().expand(-1, 8, -1)
    starts = torch.randn(1, 8, 6).double()
    with torch.no_grad():
        states = torch.cat([starts, layer(input, starts)[0]])
    gaps = ((states - states[:, :1])[:, 1:].square() * metric).sum(-1).sqrt()  # (T + 1, 7)
    clear = gaps[:-1] > 1e-9  # above rounding
    factors = (gaps[1:] / gaps[:-1])[clear]
    assert factors.numel() > 20
    assert factors.max() <= math.exp(-0.3 * 0.1)
    assert factors.max() > math.exp(-40 * 0.1)  # not by killing the unit


@pytest.mark.parametrize("method", ["euler", "midpoint"])
@pytest.mark.parametrize("sigma", ["tanh", "sine"])
def test_derivatives(method, sigma):
    target = target_of(method, sigma)
    parts = free_parts(4, len(target.tableau.b), seed=1)
    parts = [part.requires_grad_() for part in parts]
    # the scale of a step of several stages is found to 1e-10, so differences are taken over 1e-5
    assert torch.autograd.gradcheck(
        lambda *args: contractive_step(*args, target), parts, eps=1e-5, atol=1e-3, rtol=1e-3
    )


def test_nothing_is_damped_more_than_the_certificate_asks_for():
    """With A skew every direction of the tight step uses up the whole rate."""
    target = target_of(rate=0.05)
    a, w, _, logs = free_parts(5, 1, seed=2)
    parts = [(a - a.T) / 2, 0.3 * w, torch.zeros(5, dtype=torch.float64), logs]
    made_a, made_w = contractive_step(*parts, target)
    times = make_multipliers(logs, parts[1], target)[0][:, None]
    b = torch.eye(5) + 0.1 * made_a
    y = b + times * made_w
    total = b.T @ b + 0.1 * y.T @ (y / (2 * times - 0.1))
    expected = (1 + 0.1 * target.growth) * torch.eye(5, dtype=torch.float64)
    assert (total - expected).abs().max() < 1e-6  # the margin kept for float32 is 2e-6 times 0.1


def test_the_free_w_is_the_one_that_is_run_but_for_a_change_of_the_size_of_a_step():
    parts = free_parts(6, 1, seed=4, scale=0.3)
    for step_size in (0.1, 0.01, 0.001):
        parts[2] = torch.zeros(6, dtype=torch.float64)
        made_a, made_w = contractive_step(*parts, target_of(step_size=step_size))
        change = torch.linalg.matrix_norm(made_w - parts[1], 2)
        times = make_multipliers(parts[3], parts[1], target_of(step_size=step_size))
        bound = step_size * torch.linalg.matrix_norm(made_a, 2) / times.min()
        assert change <= bound * (1 + 1e-9)
    assert change < 0.01


def test_an_odd_sector_uses_up_the_whole_rate_too():
    """With A skew and a W that is small: B'MB + 2 ε W'TW is ρ² I, M = 2T / (2T - ε)."""
    target = target_of(sigma="sine", rate=0.3)
    a, w, _, logs = free_parts(5, 1, seed=2, spread=2.0)
    parts = [(a - a.T) / 2, 0.3 * w, torch.zeros(5, dtype=torch.float64), logs]
    made_a, made_w = contractive_step(*parts, target)
    times = make_multipliers(logs, parts[1], target)[0][:, None]
    b = torch.eye(5) + 0.1 * made_a
    total = b.T @ (2 * times / (2 * times - 0.1) * b) + 0.2 * made_w.T @ (times * made_w)
    expected = (1 + 0.1 * target.growth) * torch.eye(5, dtype=torch.float64)
    assert (total - expected).abs().max() < 1e-6


@given(
    size=st.integers(1, 10),
    seed=st.integers(0, 10**6),
    scale=st.floats(0.01, 100),
    larger=st.sampled_from([0.01, 1.0, 1e2, 1e4, 1e6]),
)
@settings(max_examples=80, deadline=None)
def test_flow_satisfies_condition_a_as_stored(size, seed, scale, larger):
    """Also where W is much larger than A, whose stored diagonal is then rounded at W's size."""
    a, w, *_ = free_parts(size, 1, seed=seed, scale=scale, dtype=torch.float32)
    w = larger * w
    made = contractive_flow(a, w, 0.2, 1.0).double()
    top = torch.linalg.eigvalsh((made + made.T) / 2)[-1] + torch.linalg.matrix_norm(w.double(), 2)
    assert top <= -0.2
    shift = made - a.double()
    assert torch.allclose(shift, shift[0, 0] * torch.eye(size).double(), atol=1e-5 * scale)


def test_flow_leaves_alone_what_is_damped_enough():
    a, w = -2 * torch.eye(3), torch.eye(3)
    assert torch.equal(contractive_flow(a, w, 0.5, 1.0), a)


def test_published_method_is_certified_by_construction():
    torch.manual_seed(0)
    layer = LipschitzRNN(1, 32, constraint="contractive", rate=0.02, init_std=8.0)
    certificate = certify(layer)
    assert certificate.holds
    assert certificate.strength == "construction"
    assert certificate.rate >= 0.02


def test_cell_layer_stream_and_unit_weights_agree():
    torch.manual_seed(1)
    options = {"constraint": "contractive", "rate": 0.1, "init_std": 2.0, "step_size": 0.1}
    layer = LipschitzRNN(3, 8, **options)
    cell = LipschitzRNNCell(3, 8, **options)
    state = {name.replace("_l0", ""): value for name, value in layer.state_dict().items()}
    cell.load_state_dict(state)
    input = torch.randn(4, 2, 3)
    with torch.no_grad():
        output, _ = layer(input)
        h = hx = None
        for x in input:
            h, hx = cell(x, h), layer.step(x, hx)[1]
    assert torch.allclose(output[-1], h, atol=1e-6)
    assert torch.allclose(output[-1], hx[0], atol=1e-6)
    a, w = unit_weights(layer, "_l0", layer.options)[:2]
    assert not torch.equal(a, layer.weight_a_l0)
    assert np.isfinite(w.detach().numpy()).all()


def test_training_stays_inside_at_every_update():
    torch.manual_seed(2)
    layer = LipschitzRNN(2, 8, constraint="contractive", rate=0.05, step_size=0.1)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.2)  # wild on purpose
    input, wanted = torch.randn(20, 4, 2), 3 * torch.randn(20, 4, 8)
    losses = []
    for _ in range(25):
        loss = (layer(input)[0] - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        assert certify(layer).holds
        assert certify(layer).rate >= 0.05
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("step_size", "spread", "logs"),
    [(0.03, 2.0, None), (0.03, 3.0, None), (1e-3, 2.0, None), (0.03, 0.0, 20.0)],
)
def test_extreme_metrics_and_multipliers_are_certified_at_the_rate(step_size, spread, logs):
    torch.manual_seed(4)
    layer = LipschitzRNN(1, 64, step_size=step_size, constraint="contractive", rate=0.01)
    with torch.no_grad():
        layer.log_metric_l0.normal_(std=spread)
        layer.log_multiplier_l0.normal_(std=spread)
        if logs is not None:
            layer.log_multiplier_l0.fill_(logs)
    certificate = certify(layer)
    assert certificate.holds
    assert certificate.strength == "construction"
    assert certificate.rate >= 0.01


def test_bounds_on_the_logarithms_are_the_identity_near_zero_and_never_flat():
    logs = torch.tensor([0.0, 0.01, 9.0], dtype=torch.float64, requires_grad=True)
    made = make_metric(logs).log()
    assert torch.allclose(made[:2], logs[:2], rtol=1e-4)
    (slopes,) = torch.autograd.grad(made.sum(), logs)
    assert slopes[0] == 1
    assert 1e-3 < slopes[2] < 0.1
    assert made[2] <= 3


@pytest.mark.parametrize("method", ["euler", "midpoint", "heun", "rk4"])
def test_where_no_margin_is_enough_the_most_damped_pair_is_run(method, monkeypatch):
    target = target_of(method, rate=0.99 * target_of(method).largest_rate)
    parts = free_parts(5, len(target.tableau.b), seed=6, dtype=torch.float32)
    with monkeypatch.context() as patch:
        patch.setattr(contraction, "step_growth", lambda *_, **__: torch.tensor(math.inf))
        a, w = contractive_step(*parts, target)
    assert torch.equal(a, torch.diag(torch.full((5,), -1.0) / 0.1))
    assert not w.any()
    assert is_proved(parts, (a, w), target)


@pytest.mark.parametrize(
    ("method", "value"), [("euler", 1e-3), ("midpoint", 0.5), ("heun", 0.5), ("rk4", 0.375)]
)
def test_rates_that_no_step_gives_are_refused(method, value):
    """The stability functions at -1 are 0 (and then a floor), 1/2, 1/2 and 3/8."""
    options = {"method": method, "constraint": "contractive", "step_size": 0.2, "substeps": 2}
    most = -math.log(value) / 0.1
    with pytest.raises(ValueError, match=f"expected `rate` < {0.999 * most:.4g}"):
        LipschitzRNN(1, 4, rate=most, **options)
    layer = LipschitzRNN(1, 4, rate=0.998 * most, **options)
    certificate = certify(layer)
    assert certificate.rate >= 0.998 * most
    LipschitzRNN(1, 4, rate=most, **options | {"constraint": "contractive-flow"})


@pytest.mark.parametrize("constraint", ["contractive", "contractive-flow"])
@pytest.mark.parametrize("weight", ["weight_a_l0", "weight_hh_l0"])
def test_weights_that_are_not_finite_give_nan_and_no_error(constraint, weight):
    layer = LipschitzRNN(1, 4, constraint=constraint)
    with torch.no_grad():
        layer.parametrizations[weight].original[0, 0] = math.nan
    assert layer(torch.ones(3, 1, 1))[0].isnan().all()
    assert not certify(layer).holds


def test_the_flow_may_learn_its_step_size():
    layer = LipschitzRNN(1, 4, constraint="contractive-flow", trainable=("step_size",))
    layer(torch.ones(3, 1, 1))[0].sum().backward()
    assert layer.parametrizations.step_size_l0.original.grad != 0


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"gated": True}])
def test_flows_that_cannot_be_damped_are_refused(options):
    with pytest.raises(ValueError, match="expected a linear term and no gate"):
        LipschitzRNN(1, 4, constraint="contractive-flow", **options)


@pytest.mark.parametrize(
    "options",
    [{"alpha": 0.0}, {"gated": True}, {"trainable": ("step_size",)}],
)
def test_units_that_cannot_be_made_to_contract_are_refused(options):
    with pytest.raises(ValueError, match="expected a linear term, no gate and a fixed step size"):
        LipschitzRNN(1, 4, constraint="contractive", **options)


@pytest.mark.parametrize(("name", "value"), [("constraint", "contracting"), ("rate", -1.0)])
def test_arguments(name, value):
    with pytest.raises(ValueError, match=f"`{name}`"):
        LipschitzRNN(1, 4, **{"constraint": "contractive", name: value})
