"""Certificates against the steps they are about: what is certified contracts; what grows is not."""

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import torch
from contraction import assert_contracts, norms
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lipschitz_rnn.analysis import certify
from lipschitz_rnn.analysis.certificates import recheck
from lipschitz_rnn.analysis.conditions import check_conditions
from lipschitz_rnn.nn import (
    LipschitzRNN,
)
from lipschitz_rnn.ops import NONLINEARITIES, RK4, explicit_step, lipschitz_field

METHODS = ["euler", "midpoint", "heun", "rk4"]
STRENGTHS = ["norm", "diagonal", "full"]
F64 = torch.float64


def double(rows):
    return torch.tensor(rows, dtype=F64)


# SPEC §3.2: meets condition (b) as commonly stated, and has an unstable equilibrium
A = double([[-1.88, -2.92, -0.41], [-1.84, -3.23, 0.11], [1.15, 0.95, -0.22]])
W = double([[-5.1, -6.8, -22.2], [1.5, -2.3, 21.2], [25.5, -20.2, -4.7]])


def random_matrices(n, seed, damping):
    g = torch.Generator().manual_seed(seed)
    a, w = torch.randn(2, n, n, generator=g, dtype=F64) / n**0.5
    return g, a - damping * torch.eye(n, dtype=F64), 1.5 * w


systems = {
    "n": st.integers(1, 4),
    "seed": st.integers(0, 9999),
    "damping": st.floats(1, 5),
    "name": st.sampled_from(["tanh", "relu", "sine", "sigmoid"]),
    "strength": st.sampled_from(STRENGTHS),
}


@given(**systems, method=st.sampled_from(METHODS), step_size=st.floats(0.01, 0.4))
@settings(max_examples=25, deadline=None)
def test_a_certified_step_contracts(n, seed, damping, name, strength, method, step_size):
    g, a, w = random_matrices(n, seed, damping)
    options = {"step_size": step_size, "method": method, "nonlinearity": name}
    found = certify(a, w, **options, strength=strength)
    assume(found.holds)
    assert 0 < found.contraction < 1
    u, b = torch.randn(n, 2, generator=g, dtype=F64), torch.randn(n, generator=g, dtype=F64)
    tableau = found.units[0].system.tableau

    def step(h, x):
        held = x.expand(len(h), 2)

        def field(state):
            return lipschitz_field(held, state, a, w, u, b, nonlinearity=name)

        return explicit_step(tableau, field, h, step_size)

    assert tableau.name == method
    assert_contracts(step, n, g, found.metric, found.contraction)
    assert abs(found.contraction - math.exp(-found.rate * step_size)) < 1e-9


@given(**systems)
@settings(max_examples=20, deadline=None)
def test_a_certified_flow_contracts(n, seed, damping, name, strength):
    """RK4 at a fraction of the fields' own time: its local error is of fifth order."""
    g, a, w = random_matrices(n, seed, damping)
    found = certify(a, w, nonlinearity=name, strength=strength)
    assume(found.holds)
    assert found.contraction is None
    # relu has kinks, where RK4 is off by the square of a step that is short therefore
    share = 1e-4 if name == "relu" else 1e-2
    step_size = share / (a.norm() + w.norm()).item()

    def step(h, x):
        return flow(a, w, x[:1].expand(n), name, h, step_size)

    condition = np.linalg.cond(found.metric) if found.metric.ndim == 2 else 1e3
    local = 10 * condition**0.5 * (share**2 if name == "relu" else 1e-10)
    factor = math.exp(-10 * found.rate * step_size) + local
    assert_contracts(step, n, g, found.metric, factor)


def flow(a, w, c, name, h, step_size):
    """Ten steps of RK4 of the differential equation with the inputs c held."""
    held, none = c.expand(len(h), len(c)), torch.eye(len(c), dtype=F64)

    def field(state):
        return lipschitz_field(held, state, a, w, none, None, nonlinearity=name)

    for _ in range(10):
        h = explicit_step(RK4, field, h, step_size)
    return h


# where the slope is the smallest, and where it is the largest
EXTREMES = {"tanh": (40, 0), "relu": (-40, 40), "sine": (math.pi, 0), "sigmoid": (40, 0)}


def slowest_direction(a, w, metric, name):
    """Slopes at their ends for which a difference falls most slowly: its rate, it, the inputs.

    The logarithmic norm is convex in the slopes: nowhere in between does it fall more slowly.
    """
    sigma = NONLINEARITIES[name]
    best = (math.inf, None, None)
    for chosen in itertools.product((0, 1), repeat=len(w)):
        slopes = np.array([(sigma.slope_min, sigma.slope_max)[i] for i in chosen])
        jacobian = metric @ (a.numpy() + slopes[:, None] * w.numpy())
        values, vectors = scipy.linalg.eigh((jacobian + jacobian.T) / 2, metric)
        if -values[-1] < best[0]:
            best = (-values[-1], vectors[:, -1], [EXTREMES[name][i] for i in chosen])
    return best[0], *(torch.tensor(x, dtype=F64) for x in best[1:])


@given(**systems)
@settings(max_examples=20, deadline=None)
def test_no_certified_rate_is_twice_what_it_may_be(n, seed, damping, name, strength):
    """The slowest pair of all keeps what the rate allows, and more than twice the rate would."""
    _, a, w = random_matrices(n, seed, damping)
    found = certify(a, w, nonlinearity=name, strength=strength)
    assume(found.holds)
    metric = found.metric if found.metric.ndim == 2 else np.diag(found.metric)
    rate, direction, c = slowest_direction(a, w, metric, name)
    assert found.rate <= rate * (1 + 1e-9)
    size = (a.norm() + w.norm()).item()
    # tight for most systems: of 600 draws the norm missed by more for 6, the others for none
    assume(rate < 1.8 * found.rate and found.rate > 1e-3 * size)
    time = 1e-5 / size  # in which second-order terms are of 1e-10, and 2 - 1.8 rates 2e-9
    pair = torch.stack([torch.zeros(n, dtype=F64), 1e-3 * direction / direction.norm()])
    one, two = flow(a, w, c, name, pair, time / 10)
    before, after = norms(found.metric, pair[1]), norms(found.metric, two - one)
    kept = (after / before).item()
    assert math.exp(-2 * found.rate * time) < kept
    assert kept <= math.exp(-found.rate * time) + 1e-9


@given(**{k: v for k, v in systems.items() if k != "strength"}, flow=st.booleans())
@settings(max_examples=12, deadline=None)
def test_what_a_weaker_strength_certifies_every_stronger_does(n, seed, damping, name, flow):
    _, a, w = random_matrices(n, seed, damping)
    step = None if flow else 0.1
    found = [certify(a, w, step_size=step, nonlinearity=name, strength=s) for s in STRENGTHS]
    answers = [one.holds for one in found]
    assert answers == sorted(answers)
    rates = [one.rate for one in found if one.holds]
    # the proof gives up a share of 1e-9, or the next, 1e-7
    assert all(later >= before * (1 - 1e-6) for before, later in itertools.pairwise(rates))
    auto = certify(a, w, step_size=step, nonlinearity=name)
    assert auto.holds == answers[-1]
    if auto.holds:
        assert auto.strength == STRENGTHS[answers.index(True)]


@pytest.mark.parametrize(
    ("seed", "needed"), [(0, "norm"), (41, "diagonal"), (56, "full"), (5, None)]
)
def test_auto_goes_as_far_as_it_must(seed, needed):
    _, a, w = random_matrices(4, seed, 2.0)
    found = certify(a, w, step_size=0.1)
    assert found.holds == (needed is not None)
    assert found.strength == (needed or "full")
    assert found.metric is None or found.metric.ndim == (2 if needed == "full" else 1)


@pytest.mark.parametrize("strength", [*STRENGTHS, "auto"])
@pytest.mark.parametrize("step_size", [None, 0.001, 0.01, 0.03])
def test_the_counterexample_is_refused(step_size, strength):
    for method in METHODS if step_size else ["euler"]:
        found = certify(A, W, step_size=step_size, method=method, strength=strength)
        assert not found.holds
        assert found.rate is found.contraction is None
        assert str(found).startswith("not certified: strength")
        unit = found.units[0]
        assert not recheck(unit)
        assert unit.growth is None or unit.growth > 0


def test_the_published_default_misses_by_a_margin_that_is_named():
    torch.manual_seed(0)
    rnn = LipschitzRNN(1, 128, beta=0.75, gamma=0.001)
    found = certify(rnn, strength="norm")
    assert not found.holds
    needed = check_conditions(rnn.weight_a_l0, rnn.weight_hh_l0).a.quantities["gamma_a_increase"]
    # 0.0245 on the mean of draws; extreme eigenvalues of a single one spread by some 4 %
    assert abs(needed - 0.0245) < 0.001
    assert f"misses by {needed:.3g}" in found.reason
    torch.manual_seed(0)
    raised = LipschitzRNN(1, 128, beta=0.75, gamma_a=0.001 + 1.01 * needed, gamma_w=0.001)
    assert check_conditions(raised.weight_a_l0, raised.weight_hh_l0).a.holds
    assert certify(raised.weight_a_l0, raised.weight_hh_l0, strength="norm").holds


@given(n=st.integers(1, 4), seed=st.integers(0, 9999), damping=st.floats(0, 3))
@settings(max_examples=8, deadline=None)
@pytest.mark.parametrize("method", METHODS)
def test_an_unstable_linear_map_is_never_certified(method, n, seed, damping):
    """σ the identity: the step is a matrix, and no claim may beat its spectral radius."""
    _, a, w = random_matrices(n, seed, damping)
    z = 0.3 * (a + w).numpy()
    map_of = [np.eye(n), z, z @ z / 2, z @ z @ z / 6, z @ z @ z @ z / 24]
    order = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}[method]
    radius = abs(np.linalg.eigvals(sum(map_of[: order + 1]))).max()
    found = certify(a, w, step_size=0.3, method=method, nonlinearity="identity")
    if found.holds:
        assert found.contraction >= radius - 1e-12
    flow = certify(a, w, nonlinearity="identity")
    if flow.holds:
        assert -flow.rate >= np.linalg.eigvals((a + w).numpy()).real.max() - 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_a_linear_system_at_the_edge(method):
    """A = -aI, W = 0: Euler bears steps below 2/a, midpoint and Heun too, RK4 2.785/a."""
    edge = {"euler": 2.0, "midpoint": 2.0, "heun": 2.0, "rk4": 2.785}[method]
    w = 1e-3 * torch.eye(2, dtype=F64)
    for share, expected in ((0.95, True), (1.05, False)):
        a = -edge * share * torch.eye(2, dtype=F64)
        assert certify(a, w, step_size=1.0, method=method).holds == expected


@pytest.mark.parametrize("strength", ["strong", "none", ""])
def test_unknown_strengths(strength):
    with pytest.raises(ValueError, match="certify: expected `strength` to be one of"):
        certify(A, W, strength=strength)
