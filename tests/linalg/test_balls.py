"""Balls against rational arithmetic: they hold the true matrix, and little else."""

from fractions import Fraction

import numpy as np
import pytest
from exact import encloses, exact
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn.linalg.balls import UNIT, BallMatrix, error_factor

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 6)
spreads = st.sampled_from([0, 3, 40])


def draw(rng, shape, spread, *, radius):
    """A ball with entries over many orders of magnitude, and a true matrix inside it."""
    center = rng.standard_normal(shape) * 2.0 ** rng.integers(-spread, spread + 1, shape)
    wide = abs(center) * 2.0 ** rng.integers(-50, -2, shape) if radius else np.zeros(shape)
    ball = BallMatrix(center, wide)
    where = exact(rng.choice([-1.0, -0.5, 0.0, 1.0], shape))  # on the rim, too
    return ball, exact(center) + where * exact(wide)


def narrowness(ball, scale):
    """Largest radius, in roundings of the size of the terms that were added."""
    return float((ball.radius / (UNIT * scale)).max())


@given(seed=seeds, m=sizes, k=sizes, n=sizes, spread=spreads, radius=st.booleans())
@settings(max_examples=100, deadline=None)
def test_products_hold_the_true_one(seed, m, k, n, spread, radius):
    rng = np.random.default_rng(seed)
    left, x = draw(rng, (m, k), spread, radius=radius)
    right, y = draw(rng, (k, n), spread, radius=radius)
    product = left @ right
    assert encloses(product, x @ y)
    if not radius:  # γ_k |X| |Y|, with a little for the bound's own rounding
        assert narrowness(product, abs(left.center) @ abs(right.center)) <= 1.1 * (k + 2)


@given(seed=seeds, m=sizes, n=sizes, spread=spreads, radius=st.booleans())
@settings(max_examples=100, deadline=None)
def test_sums_and_multiples_hold_the_true_ones(seed, m, n, spread, radius):
    rng = np.random.default_rng(seed)
    left, x = draw(rng, (m, n), spread, radius=radius)
    right, y = draw(rng, (m, n), spread, radius=radius)
    factors = rng.standard_normal((m, 1))
    assert encloses(left + right, x + y)
    assert encloses(left - right, x - y)
    assert encloses(left.scaled(1 / 3), x * Fraction(1 / 3))
    assert encloses(left.scaled(factors), x * exact(factors))
    assert encloses(left.T, x.T)
    if not radius:
        scale = abs(left.center) + abs(right.center)
        assert narrowness(left + right, scale) <= 1.1
        assert narrowness(left.scaled(1 / 3), abs(left.center)) <= 1.1


@given(seed=seeds, n=sizes, length=st.integers(2, 6))
@settings(max_examples=50, deadline=None)
def test_long_expressions_hold_the_true_one(seed, n, length):
    rng = np.random.default_rng(seed)
    ball, true = draw(rng, (n, n), 2, radius=False)
    for _ in range(length):
        other, y = draw(rng, (n, n), 2, radius=False)
        ball, true = (ball @ other).scaled(0.1) + other.T, true @ y * Fraction(0.1) + y.T
        ball, true = ball - other @ ball, true - y @ true
    assert encloses(ball, true)


def test_cancellation_is_seen():
    """1 + 2^-60 - 1: nothing is left of the center, and the radius says so."""
    row, ones = np.array([[1.0, 2.0**-60, -1.0]]), np.ones((3, 1))
    product = BallMatrix.exact(row) @ BallMatrix.exact(ones)
    assert encloses(product, exact([[2.0**-60]]))
    assert product.radius[0, 0] >= 2.0**-60


@pytest.mark.parametrize("size", [1e-170, 1e-200, 5e-324])
def test_underflow_is_covered(size):
    left = BallMatrix.exact(np.full((2, 2), size))
    assert encloses(left @ left, exact(left.center) @ exact(left.center))
    assert encloses(left.scaled(0.3), exact(left.center) * Fraction(0.3))
    assert (left @ left).radius.max() < 1e-290


def test_overflow_is_not_hidden():
    huge = BallMatrix.exact(np.full((2, 2), 1e200))
    with np.errstate(over="ignore", invalid="ignore"):
        product = huge @ huge
    assert not np.isfinite(product.center).any()


def test_float32_widens_exactly():
    third = np.array([[1 / 3]], np.float32)
    ball = BallMatrix.exact(third)
    assert ball.center.dtype == np.float64
    assert ball.center[0, 0] == float(third[0, 0])
    assert ball.radius[0, 0] == 0


def test_the_lower_triangle_is_what_counts():
    ball = BallMatrix(np.array([[1.0, 9.0], [2.0, 3.0]]), np.array([[0.1, 9.0], [0.2, 0.3]]))
    both = ball.symmetrized()
    assert both.center.tolist() == [[1, 2], [2, 3]]
    assert both.radius.tolist() == [[0.1, 0.2], [0.2, 0.3]]


@pytest.mark.parametrize("n", [1, 10, 1000, 10**6])
def test_the_error_factor_is_an_upper_bound(n):
    """γ_n = n u / (1 - n u) in rational arithmetic."""
    u = Fraction(1, 2**53)
    assert n * u / (1 - n * u) <= Fraction(error_factor(n)) <= Fraction(21, 10) * n * u
