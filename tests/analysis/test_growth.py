"""The search: its derivatives, its closed forms, and that more search never finds less."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lipschitz_rnn.analysis.barrier import Barrier
from lipschitz_rnn.analysis.conditions import check_conditions
from lipschitz_rnn.analysis.growth import Candidate, evaluate_growth, search, search_norm
from lipschitz_rnn.analysis.increments import assemble, make_system, quadratic_form
from lipschitz_rnn.ops import NONLINEARITIES, TABLEAUX

seeds = st.integers(0, 2**32 - 1)
methods = st.sampled_from([*TABLEAUX, "flow"])


def system_of(a, w, method="flow", step_size=0.1, nonlinearity="tanh"):
    step = None if method == "flow" else step_size
    tableau = TABLEAUX["euler" if method == "flow" else method]
    return make_system(a, w, step, tableau, nonlinearity=NONLINEARITIES[nonlinearity])


def random_system(seed, n, method, nonlinearity="tanh", damping=2.0):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, n)) / n**0.5 - damping * np.eye(n)
    return system_of(a, rng.standard_normal((n, n)) / n**0.5, method, nonlinearity=nonlinearity)


def objective(system, growth, anchor, tau, *, full):
    """The barrier's value as a function that torch can differentiate; the last variable is s."""
    terms = quadratic_form(system, growth)
    rows = [[torch.from_numpy(z.copy()) for z in term.rows] for term in terms]
    n = system.size
    upper = torch.triu_indices(n, n)
    count = upper.shape[1] if full else n

    def value(x):
        if full:
            metric = x.new_zeros(n, n).index_put((upper[0], upper[1]), x[:count])
            metric = metric + metric.T - torch.diag(metric.diagonal())
        else:
            metric = torch.diag(x[:count])
        variables = [metric, *(torch.diag(t) for t in x[count:-1].reshape(-1, n))]
        form = sum(
            float(term.weights[p, q]) * z[p].T @ variable @ z[q]
            for term, z, variable in zip(terms, rows, variables, strict=True)
            for p in (0, 1)
            for q in (0, 1)
        )
        own = torch.logdet(metric) + x[count:-1].log().sum()
        return -tau * x[-1] - torch.logdet(form - x[-1] * torch.from_numpy(anchor)) - own

    return value


def barrier_of(system, *, full):
    """A barrier somewhere off the beaten track, and the growth that is proved there strictly."""
    start = search_norm(system)
    n, rng = system.size, np.random.default_rng(0)
    factor = np.eye(n) + 0.05 * rng.standard_normal((n, n))
    metric = factor @ factor.T if full else start.metric * (1 + 0.1 * rng.random(n))
    return Barrier(system, metric, start.multipliers), start.growth + 5


@pytest.mark.parametrize("nonlinearity", ["tanh", "sine"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("method", [*TABLEAUX, "flow"])
def test_derivatives_are_those_of_the_barrier(method, full, nonlinearity):
    system = random_system(0, 3, method, nonlinearity)
    barrier, growth = barrier_of(system, full=full)
    size = 3 * (1 + system.stages)
    anchor = np.zeros((size, size))
    anchor[:3, :3] = np.diag([1.0, 2.0, 0.5])
    barrier._anchor, barrier._tau, barrier._x[-1] = anchor, 3.0, -0.7
    terms = quadratic_form(system, growth)
    gradient, hessian = barrier._derivatives(terms)
    x = torch.from_numpy(barrier._x.copy())
    value = objective(system, growth, anchor, 3.0, full=full)
    assert torch.isfinite(value(x))
    expected = torch.autograd.functional.jacobian(value, x).numpy()
    curvature = torch.autograd.functional.hessian(value, x).numpy()
    # both invert S once or twice, whose condition number is some hundreds here
    assert abs(gradient - expected).max() <= 1e-11 * abs(expected).max()
    assert abs(hessian - curvature).max() <= 1e-11 * abs(curvature).max()
    assert abs(barrier._value(terms, barrier._x) - value(x)) < 1e-11


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("method", [*TABLEAUX, "flow"])
def test_the_slack_that_is_found_is_there(method, full):
    """S - s E0' P0 E0 is positive definite, at the scale of the start; and little more is there."""
    system = random_system(1, 3, method)
    barrier, _ = barrier_of(system, full=full)
    (metric, multipliers), scale = barrier.variables, barrier._weight @ barrier._x
    first = evaluate_growth(system, metric, multipliers)
    slack = barrier.improve(first, 1.0)
    assert slack > 0
    terms = quadratic_form(system, first)
    form = assemble(terms, [*barrier.variables[:1], *barrier.variables[1]])
    rows = terms[0].rows[0]
    full_metric = metric if metric.ndim == 2 else np.diag(metric)
    assert np.linalg.eigvalsh(form - slack * rows.T @ full_metric @ rows)[0] > 0
    assert abs(barrier._weight @ barrier._x - scale) < 1e-9 * scale
    again = Barrier(system, *barrier.variables)
    reached = evaluate_growth(system, *barrier.variables)
    assert reached < first
    assert again.improve(reached, 1.0) < slack


@given(seed=seeds, n=st.integers(1, 5), method=methods, full=st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_smallest_growth_is_the_smallest(seed, n, method, full):
    """S is positive semidefinite there, and no longer just below."""
    system = random_system(seed, n, method)
    found = search_norm(system)
    rng = np.random.default_rng(seed)
    factor = np.eye(n) + 0.1 * rng.standard_normal((n, n))
    metric = factor @ factor.T if full else found.metric * (1 + 0.1 * rng.random(n))
    growth = evaluate_growth(system, metric, found.multipliers)
    assume(np.isfinite(growth))  # the other metric may ask for larger multipliers
    scale = 1 + abs(growth)
    for change, definite in ((1e-6, True), (-1e-6, False)):
        form = assemble(
            quadratic_form(system, growth + change * scale), [metric, *found.multipliers]
        )
        assert (np.linalg.eigvalsh(form)[0] > 0) == definite


@pytest.mark.slow
@given(
    seed=seeds,
    n=st.integers(1, 6),
    method=methods,
    name=st.sampled_from(["tanh", "sigmoid", "sine", "identity"]),
)
@settings(max_examples=25, deadline=None)
def test_more_search_never_finds_less(seed, n, method, name):
    system = random_system(seed, n, method, name)
    found = [search_norm(system)]
    for strength in ("diagonal", "full"):
        found.append(search(system, found[-1], strength))
    growths = [one.growth for one in found]
    assert growths == sorted(growths, reverse=True)
    for one in found:  # and each is what its metric and multipliers give
        again = evaluate_growth(system, one.metric, one.multipliers)
        assert abs(again - one.growth) <= 1e-9 * (1 + abs(one.growth))


@given(
    seed=seeds, n=st.integers(1, 8), name=st.sampled_from(["tanh", "sigmoid", "sine", "identity"])
)
@settings(max_examples=25, deadline=None)
def test_the_norm_strength_covers_condition_a(seed, n, name):
    """Condition (a) proves growth 2(λ_max(A^sym) + L σ_max(W)) of the flow, and it does as well."""
    system = random_system(seed, n, "flow", name)
    a, w = torch.from_numpy(system.a), torch.from_numpy(system.w)
    margin = check_conditions(a, w, nonlinearity=name).a.quantities["margin"]
    # the multiplier ends at e^12 / |W|, where some want it to go to infinity
    scale = abs(system.a).sum() + abs(system.w).sum()
    assert search_norm(system).growth <= -2 * margin + 2 * np.exp(-12) * scale


@pytest.mark.parametrize("strength", ["norm", "diagonal", "full"])
@pytest.mark.parametrize("w", [-3.0, -0.5, 0.4, 1.5])
@pytest.mark.parametrize("n", [1, 3])
def test_scalar_flow(n, w, strength):
    """A = -aI, W = wI, slopes of σ in [0, 1]: growth -2a + 2 max(w, 0), and no less."""
    system = system_of(-1.7 * np.eye(n), w * np.eye(n))
    found = found_by(system, strength).growth
    expected = -2 * 1.7 + 2 * max(w, 0)
    assert -1e-9 <= found - expected <= 1e-4 * (1 + abs(w))


@pytest.mark.parametrize("strength", ["norm", "diagonal", "full"])
@pytest.mark.parametrize("w", [-3.0, -0.5, 0.4, 1.5])
@pytest.mark.parametrize("step_size", [0.01, 0.5, 1.2])
def test_scalar_euler_step(step_size, w, strength):
    """N = 1: the worst slope's growth, ((1 - εa + εdw)² - 1)/ε, by the lossless S-procedure."""
    system = system_of(np.array([[-1.7]]), np.array([[w]]), "euler", step_size)
    found = found_by(system, strength).growth
    slopes = np.linspace(0, 1, 1001)
    expected = (((1 - 1.7 * step_size + step_size * slopes * w) ** 2 - 1) / step_size).max()
    assert -1e-9 <= found - expected <= 1e-4 * (1 + abs(expected))


@pytest.mark.parametrize("damping", [2.0, 4.0])
@pytest.mark.parametrize("method", ["euler", "midpoint", "heun", "rk4", "flow"])
def test_linear_systems_reach_their_spectral_radius(method, damping):
    """σ the identity: a full metric finds the growth of the map's own eigenvalues, nearly."""
    system = random_system(3, 3, method, "identity", damping)
    values = np.linalg.eigvals(system.a + system.w)
    order = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}.get(method)
    if order is None:
        limit = 2 * values.real.max()
    else:  # of these methods the stability function is exp's series, cut off
        factors = sum((0.1 * values) ** k / math.factorial(k) for k in range(order + 1))
        limit = (abs(factors).max() ** 2 - 1) / 0.1
    weakest, found = (found_by(system, strength).growth for strength in ("norm", "full"))
    assert weakest - limit > 0.3
    # multipliers of 1e5 bring S near a singular matrix: rounding, times their square
    assert -1e-6 <= found - limit <= 1e-3


def found_by(system, strength):
    found = search_norm(system)
    for level in ("diagonal", "full"):
        if strength == "norm":
            break
        found = search(system, found, level)
        if level == strength:
            break
    return found


def test_without_a_start_there_is_no_search():
    system = system_of(-np.eye(2), np.eye(2))
    nothing = Candidate(np.inf, np.ones(2), (np.ones(2),))
    assert search(system, nothing, "full") is nothing
    assert evaluate_growth(system, np.ones(2), (np.zeros(2),)) == np.inf


def test_a_search_only_improves_and_stops_at_its_time():
    system = random_system(5, 6, "euler")
    start = search_norm(system)
    told = []
    best = search(system, start, "full", report=told.append)
    assert best.growth < start.growth
    assert told == sorted(told, reverse=True)
    assert told[-1] == best.growth
    assert search(system, start, "full", seconds=0.0).growth <= start.growth


@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4", "flow"])
def test_a_change_of_units_costs_a_diagonal_metric_nothing(method):
    """W → D W D⁻¹ is certified by P = D⁻² at the same rate, however different the units are."""
    system = random_system(2, 6, method, "tanh", 4.0)
    plain = found_by(system, "diagonal").growth
    assert plain < 0
    units = 10.0 ** np.linspace(-2, 2, 6)
    a, w = (matrix * units[:, None] / units for matrix in (system.a, system.w))
    moved = dataclasses.replace(system, a=a, w=w)
    assert search_norm(moved).growth > 0  # the identity proves nothing there
    found = found_by(moved, "diagonal").growth
    assert abs(found - plain) <= 0.01 * abs(plain)
