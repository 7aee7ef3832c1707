"""Proved definiteness against rational arithmetic: never a yes that is wrong."""

from fractions import Fraction

import numpy as np
import pytest
from exact import exact, is_positive_definite
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn.linalg.balls import BallMatrix
from lipschitz_rnn.linalg.definite import (
    _cholesky_succeeds,
    eigenvalue_lower_bound,
    is_certainly_positive_definite,
    norm_upper_bound,
)

seeds = st.integers(0, 2**32 - 1)


def proved(matrix):
    return is_certainly_positive_definite(BallMatrix.exact(matrix))


def singular(rng, n):
    """A Gram matrix of n vectors in n - 1 dimensions; integers, so it is exact."""
    factor = rng.integers(-9, 10, (n, max(n - 1, 1)))
    return np.zeros((1, 1)) if n == 1 else (factor @ factor.T).astype(float)


@given(seed=seeds, n=st.integers(1, 7), power=st.integers(-60, -1), sign=st.sampled_from([-1, 1]))
@settings(max_examples=200, deadline=None)
def test_yes_is_never_wrong_near_the_singular_ones(seed, n, power, sign):
    rng = np.random.default_rng(seed)
    matrix = singular(rng, n) + sign * 2.0**power * np.eye(n)
    if proved(matrix):
        assert is_positive_definite(exact(matrix))
    elif sign > 0:  # no is said only within rounding: the trace's, some n times
        assert 2.0**power <= 8 * (n + 6) * 2.0**-53 * matrix.trace()


@given(seed=seeds, n=st.integers(2, 7))
@settings(max_examples=50, deadline=None)
def test_singular_matrices_are_refused(seed, n):
    matrix = singular(np.random.default_rng(seed), n)
    assert not proved(matrix)
    assert not is_positive_definite(exact(matrix))


def arrow(rng, n):
    """[[I, a], [a', x]] with the largest x up to |a|²: not positive definite, by a hair."""
    a = rng.uniform(0.1, 0.2, n)
    a[-1] = 30.0  # so that the last pivot stays large, and with it what is rounded off
    square = sum(exact(a) ** 2)
    x = float(square)
    x = x if Fraction(x) <= square else np.nextafter(x, 0)
    matrix = np.eye(n + 1)
    matrix[-1, :-1] = matrix[:-1, -1] = a
    matrix[-1, -1] = x
    return matrix


def test_what_a_factorisation_alone_lets_through_is_refused():
    """Rounding lets it end well for many of these, even with the diagonal rounded down."""
    let_through = 0
    for seed in range(20):
        matrix = arrow(np.random.default_rng(seed), 300)
        lowered = matrix.copy()
        lowered.flat[:: len(matrix) + 1] = np.nextafter(matrix.diagonal(), 0)
        let_through += _cholesky_succeeds(lowered)
        assert not proved(matrix)
    assert let_through > 2


@given(seed=seeds, n=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_clearly_definite_matrices_are_proved(seed, n):
    factor = np.random.default_rng(seed).standard_normal((n, n))
    gram = factor @ factor.T
    matrix = gram + 1e-10 * gram.trace() * np.eye(n)
    assert proved((matrix + matrix.T) / 2)
    assert not proved(-matrix)


@given(n=st.integers(1, 8), power=st.integers(-40, 40), share=st.floats(0.1, 4))
@settings(max_examples=100, deadline=None)
def test_all_of_the_ball_counts(n, power, share):
    """c I with radius r holds c I - r 11ᵀ, whose smallest eigenvalue is c - r n."""
    c = 2.0**power
    r = share * c / n
    answer = is_certainly_positive_definite(BallMatrix(c * np.eye(n), np.full((n, n), r)))
    assert answer <= (c - Fraction(r) * n > 0)
    assert answer >= (share < 0.49)  # the bound is twice the row sums


def test_only_the_lower_triangle_is_read():
    assert proved(np.array([[1.0, 7.0], [0.0, 1.0]]))
    assert not proved(np.array([[1.0, 0.0], [7.0, 1.0]]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["center", "radius"])
def test_what_is_not_finite_is_not_proved(value, where):
    parts = {"center": np.eye(3), "radius": np.zeros((3, 3))}
    parts[where][1, 1] = value
    assert not is_certainly_positive_definite(BallMatrix(**parts))


def test_extremes():
    assert proved(np.zeros((0, 0)))
    assert not proved(np.zeros((3, 3)))
    for size in (1e-270, 1e-100, 1e100, 1e290):
        assert proved(size * (np.eye(3) + 0.1))
    assert not proved(np.full((2, 2), 1.7e308))  # whose trace is no float


def norm_is_at_most(matrix, bound):
    """Whether bound² I - XᵀX is positive definite, in rational arithmetic."""
    x = exact(matrix)
    eye = exact(np.eye(matrix.shape[1]))
    return is_positive_definite(Fraction(bound) ** 2 * eye - x.T @ x)


@given(seed=seeds, m=st.integers(1, 6), n=st.integers(1, 6), spread=st.sampled_from([0, 3, 30]))
@settings(max_examples=100, deadline=None)
def test_norms_are_bounded_and_closely(seed, m, n, spread):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((m, n)) * 2.0 ** rng.integers(-spread, spread + 1, (m, n))
    bound = norm_upper_bound(matrix)
    assert norm_is_at_most(matrix, bound)
    assert bound <= np.linalg.norm(matrix, 2) * (1 + 1e-11)


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e-200, 1e-160, 1e-150, 1e150])
def test_norms_of_extreme_sizes(size):
    """Squares that underflow must not make a bound of 0."""
    matrix = np.array([[size, 0.0], [size, size]])
    assert norm_is_at_most(matrix, norm_upper_bound(matrix))


def test_norms_that_are_known():
    assert norm_upper_bound(np.zeros((2, 3))) == 0
    assert norm_upper_bound(np.zeros((0, 3))) == 0
    assert norm_upper_bound(np.array([[1.0, np.nan]])) == np.inf
    assert 5 <= norm_upper_bound(np.array([[3.0, 4.0]])) <= 5 * (1 + 1e-11)


@given(seed=seeds, n=st.integers(1, 6), spread=st.sampled_from([0, 3, 20]))
@settings(max_examples=100, deadline=None)
def test_eigenvalues_are_bounded_and_closely(seed, n, spread):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n, n)) * 2.0 ** rng.integers(-spread, spread + 1, (n, n))
    matrix = np.tril(matrix) + np.tril(matrix, -1).T
    bound = eigenvalue_lower_bound(matrix)
    assert is_positive_definite(exact(matrix) - Fraction(bound) * exact(np.eye(n)))
    values = np.linalg.eigvalsh(matrix)
    assert bound >= values[0] - 1e-10 * abs(values).max()


def test_eigenvalues_that_are_known():
    assert -1e-100 <= eigenvalue_lower_bound(np.zeros((2, 2))) <= 0
    assert -1 - 1e-9 <= eigenvalue_lower_bound(np.diag([-1.0, 3.0])) <= -1
    assert eigenvalue_lower_bound(np.full((2, 2), np.nan)) == -np.inf
