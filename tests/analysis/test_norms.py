"""Norms in a metric against dense linear algebra, and sums against exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn.analysis.norms import Metric, geometric_sum, product, together, up
from lipschitz_rnn.linalg.balls import BallMatrix


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 8), spread=st.floats(0, 3))
def test_a_metric_keeps_its_promises(seed, size, spread):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((size, size)))[0]
    matrix = basis * 10.0 ** rng.uniform(-spread, spread, size) @ basis.T
    matrix = (matrix + matrix.T) / 2
    metric = Metric.of(matrix)
    values = np.linalg.eigvalsh(matrix)
    assert values[-1] * (1 - 1e-13) <= metric.ceiling**2 <= values[-1] * (1 + 1e-9)
    assert values[0] * (1 - 1e-6) <= metric.floor**2 <= values[0] + 1e-13 * values[-1]
    for cover in metric.covers:
        assert np.linalg.eigvalsh(np.diag(cover) - matrix)[0] >= -1e-13 * values[-1]
    w = rng.standard_normal((size, 1))
    exact = math.sqrt(float(w[:, 0] @ np.linalg.solve(matrix, w[:, 0])))
    assert exact * (1 - 1e-9) <= metric.dual(BallMatrix.exact(w)) <= exact * 1.01
    u = rng.standard_normal((size, 2))
    for _ in range(20):
        signs = rng.choice([-1.0, 1.0], (size, 1)) * u
        reached = math.sqrt(np.linalg.eigvalsh(signs.T @ matrix @ signs)[-1])
        assert reached <= metric.size(u) * (1 + 1e-9)


def test_size_is_met_by_a_diagonal_metric():
    metric = Metric.of(np.array([1.0, 4.0]))
    assert metric.size(np.array([[3.0], [2.0]])) == pytest.approx(5.0, rel=1e-9)
    assert metric.dual(BallMatrix.exact(np.array([[3.0], [8.0]]))) == pytest.approx(5.0, rel=1e-9)
    assert metric.dual(BallMatrix.exact(np.zeros((2, 1)))) == 0


@settings(max_examples=40, deadline=None)
@given(ratio=st.floats(0, 1).map(lambda r: round(r, 3)), count=st.integers(1, 60))
def test_geometric_sum_is_an_upper_bound(ratio, count):
    exact = sum(Fraction(ratio) ** i for i in range(count))
    assert exact <= Fraction(geometric_sum(ratio, count)) <= exact * (1 + Fraction(1, 10**12))
    if ratio < 1:
        assert 1 / (1 - Fraction(ratio)) <= Fraction(geometric_sum(ratio, None))
    else:
        assert geometric_sum(ratio, None) == math.inf


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=8))
def test_together_is_an_upper_bound(bounds):
    exact = sum(Fraction(bound) ** 2 for bound in bounds)
    assert Fraction(together(bounds)) ** 2 >= exact
    assert together(bounds) <= math.hypot(*bounds) * (1 + 1e-13) + 1e-250


def test_small_helpers():
    assert up(1.0) > 1.0
    assert up(1.0) < 1 + 1e-13
    assert up(0.0) > 0.0
    assert product(0.0, math.inf) == product(math.inf, 0.0) == 0
    assert product(2.0, 3.0) == 6
