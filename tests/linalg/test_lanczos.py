import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn.linalg.lanczos import lanczos

EPS = np.finfo(float).eps


def symmetric(values, seed=0):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    return q * values @ q.T


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_all_steps_find_every_eigenvalue(size, seed):
    rng = np.random.default_rng(seed)
    values = np.sort(
        np.arange(size) + rng.uniform(0, 0.5, size)
    )  # distinct: one vector reaches all
    h = symmetric(values, seed)
    found = lanczos(lambda v: h @ v, rng.standard_normal(size), size).ritz()
    assert len(found.nodes) == size
    # backward stable: eigenvalues within a few roundings of the norm, times the size
    assert np.abs(found.nodes - values).max() <= 64 * size * EPS * (size + 1)
    assert found.weights.sum() == pytest.approx(1, abs=64 * EPS * size)


def test_moments_are_those_of_the_operator():
    """After k steps the quadrature is exact for polynomials of degree 2k - 1."""
    h = symmetric(np.linspace(-1, 1, 40))
    v = np.random.default_rng(1).standard_normal(40)
    found = lanczos(lambda x: h @ x, v, 5).ritz()
    unit, power = v / np.linalg.norm(v), v / np.linalg.norm(v)
    for degree in range(10):
        assert unit @ power == pytest.approx(found.weights @ found.nodes**degree, abs=1e-13)
        power = h @ power
    assert unit @ power != pytest.approx(found.weights @ found.nodes**10, abs=1e-6)


def test_an_eigenvalue_lies_within_the_residual_of_each_node():
    values = np.concatenate([np.linspace(0, 1, 60), [3.0, 10.0]])
    h = symmetric(values)
    tridiagonal = lanczos(lambda x: h @ x, np.random.default_rng(2).standard_normal(62), 20)
    for steps in (3, 8, 20):
        found = tridiagonal.ritz(steps)
        distances = np.abs(found.nodes[:, None] - values).min(1)
        assert (distances <= found.residuals + 64 * EPS * 10).all()
    assert found.residuals[-1] < 1e-6  # the outermost has converged
    assert found.residuals.max() > 1e-3


def test_no_copies_of_a_value_that_stands_far_out():
    """Without orthogonalisation 1e4 comes twice among 60 steps."""
    h = symmetric(np.concatenate([np.linspace(0, 1, 199), [1e4]]))
    found = lanczos(lambda x: h @ x, np.random.default_rng(3).standard_normal(200), 60).ritz()
    assert (found.nodes > 2).sum() == 1


def test_a_space_that_ends_ends_the_steps():
    h = np.diag([1.0, 1.0, 2.0, 2.0])
    found = lanczos(lambda x: h @ x, np.array([1.0, 2.0, 3.0, 4.0]), 4)
    assert len(found) == 2
    assert found.ritz().nodes == pytest.approx([1, 2], abs=8 * EPS)
    assert len(lanczos(lambda x: 0 * x, np.ones(3), 3)) == 1


def test_the_first_steps_are_those_of_a_shorter_run():
    h = symmetric(np.linspace(1, 2, 30))
    v = np.random.default_rng(4).standard_normal(30)
    long, short = lanczos(lambda x: h @ x, v, 12), lanczos(lambda x: h @ x, v, 7)
    assert np.array_equal(long.ritz(7).nodes, short.ritz().nodes)
    assert np.array_equal(long.ritz(99).nodes, long.ritz().nodes)
