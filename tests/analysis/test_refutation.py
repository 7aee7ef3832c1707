"""The growth that no certificate can go below: closed forms, and against the searches."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn import LipschitzRNN
from lipschitz_rnn.analysis import certify, search
from lipschitz_rnn.analysis.growth import STRENGTHS
from lipschitz_rnn.analysis.increments import make_system
from lipschitz_rnn.analysis.refutation import least_growth, refute
from lipschitz_rnn.ops.nonlinearity import NONLINEARITIES, as_nonlinearity
from lipschitz_rnn.ops.tableau import as_tableau

METHODS = ["euler", "midpoint", "heun", "rk4"]


def system(a, w, step_size=None, method="euler", name="tanh"):
    a, w = (np.atleast_2d(np.array(matrix, float)) for matrix in (a, w))
    sigma = as_nonlinearity("test", name)
    return make_system(a, w, step_size, as_tableau("test", method), nonlinearity=sigma)


@pytest.mark.parametrize(
    ("a", "w", "slope"), [(0.5, -2.0, 0.0), (-2.0, 1.5, 1.0), (-1.0, 3.0, 1.0)]
)
def test_of_one_unit_in_closed_form(a, w, slope):
    mode = a + slope * w
    assert least_growth(system(a, w)) == (pytest.approx(2 * mode, rel=1e-14), slope)
    step = 0.1
    for method, factor in {
        "euler": 1 + step * mode,
        "midpoint": 1 + step * mode + (step * mode) ** 2 / 2,
        "heun": 1 + step * mode + (step * mode) ** 2 / 2,
        "rk4": sum((step * mode) ** k / math.factorial(k) for k in range(5)),
    }.items():
        expected = (factor**2 - 1) / step
        assert least_growth(system(a, w, step, method)) == (
            pytest.approx(expected, rel=1e-12),
            slope,
        )


def test_a_rotation_grows_by_eulers_step_alone():
    """|1 + iεω|² = 1 + ε²ω², so g = εω²; the flow keeps it, and R of rk4 shrinks it."""
    turn = [[0.0, 2.0], [-2.0, 0.0]]
    still = np.zeros((2, 2))
    assert least_growth(system(turn, still, 0.1))[0] == pytest.approx(0.1 * 4, rel=1e-12)
    assert abs(least_growth(system(turn, still))[0]) < 1e-14
    assert least_growth(system(turn, still, 0.1, "rk4"))[0] < 0
    assert "no metric proves less than +0.399," in refute(system(turn, still, 0.1))
    assert refute(system(turn, still)) == refute(system(turn, still, 0.1, "rk4")) == ""


@given(
    n=st.integers(1, 5),
    seed=st.integers(0, 10_000),
    damping=st.floats(0, 4),
    method=st.sampled_from([None, *METHODS]),
    strength=st.sampled_from(STRENGTHS),
    name=st.sampled_from(sorted(NONLINEARITIES)),
)
@settings(max_examples=60, deadline=None)
def test_no_search_finds_less(n, seed, damping, method, strength, name):
    generator = np.random.default_rng(seed)
    a = generator.normal(size=(n, n)) - damping * np.eye(n)
    one = system(a, generator.normal(size=(n, n)), method and 0.1, method or "euler", name)
    found = search.certify_system(one, strength, report=None)
    least = least_growth(one)[0]
    if found.growth is not None:  # a solver's best, and eigenvalues, to the rounding of both
        assert found.growth >= least - 1e-6 * (abs(least) + 1)
    if refute(one):
        assert not found.holds
        assert refute(one) in found.reason


@pytest.mark.parametrize(("n", "c"), [(6, 2.0**-9), (16, 1 / 16), (32, 1 / 8)])
def test_eigenvalues_that_are_computed_wrong_refute_nothing(n, c):
    """A Jordan block in other coordinates, held exactly: float64 sees eigenvalues above 0."""
    generator = np.random.default_rng(0)
    change = np.tril(generator.integers(-1, 2, (n, n)), -1) + np.eye(n)  # its inverse is whole too
    block = np.eye(n, k=1) - c * np.eye(n)
    one = system(change @ block @ np.round(np.linalg.inv(change)), np.zeros((n, n)))
    assert np.linalg.eigvals(one.a).real.max() > 0 > -c
    assert least_growth(one)[0] < -2 * c
    assert refute(one) == ""


def test_auto_stops_where_it_is_hopeless(monkeypatch):
    """A free unit of 64 has 2,080 numbers in its metric, and takes a minute to be given up."""
    tried = []
    monkeypatch.setattr(
        search, "search", lambda _, start, level, **__: tried.append(level) or start
    )
    torch.manual_seed(0)
    free = LipschitzRNN(1, 64, beta=0.75, gamma=0.001, init_std=1.0)
    found = certify(free)
    assert not found.holds
    assert tried == []
    assert "strength 'norm' finds growth" in found.reason
    assert "; by eigenvalues, no metric proves less than +" in found.reason
    certify(free, strength="diagonal")  # asked for, it is searched all the same
    assert tried == ["diagonal"]


def test_matrices_out_of_range_refute_nothing():
    huge = np.full((3, 3), 1e300)
    answer = search.certify_system(system(huge, huge, 0.1), "norm", report=None)
    assert not answer.holds
    assert "no metric" not in answer.reason
