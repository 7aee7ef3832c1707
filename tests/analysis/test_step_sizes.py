"""Step sizes against closed forms, against the integrator itself, and the Euler bound."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn.analysis.step_sizes import (
    admissible_step_sizes,
    euler_contraction,
    field_jacobian,
    stability_polynomial,
)
from lipschitz_rnn.ops import (
    EULER,
    NONLINEARITIES,
    TABLEAUX,
    ButcherTableau,
    explicit_step,
    lipschitz_field,
)

METHODS = tuple(TABLEAUX)


def rotation(mode):
    """A real matrix with eigenvalues ``mode`` and its conjugate."""
    x, y = mode.real, mode.imag
    return torch.tensor([[x, y], [-y, x]], dtype=torch.float64)


def limit(mode, method):
    return admissible_step_sizes(rotation(mode), method).smallest


def amplification(mode, method, step_size):
    """|R(z)| measured: one step of the integrator on h' = λ h."""
    h = torch.ones(1, dtype=torch.complex128)
    return explicit_step(TABLEAUX[method], lambda h: mode * h, h, step_size).abs().item()


@pytest.mark.parametrize("method", METHODS)
def test_polynomial_is_one_step_of_the_integrator(method):
    z = 0.3 - 1.1j
    value = sum(float(c) * z**k for k, c in enumerate(stability_polynomial(method)))
    h = torch.ones(1, dtype=torch.complex128)
    step = explicit_step(TABLEAUX[method], lambda h: z * h, h, 1.0).item()
    assert abs(value - step) < 1e-15 * 8


def test_irrational_coefficients_are_taken_as_they_are():
    root = math.sqrt(0.5)
    method = ButcherTableau("irrational", 2, ((root,),), (1 - root, root), (0.0, root))
    assert stability_polynomial(method)[:2] == (1, 1)
    assert abs(stability_polynomial(method)[2] - 0.5) < 1e-15


@given(real=st.floats(-2, -1e-3), imag=st.floats(-2, 2))
@settings(max_examples=40, deadline=None)
def test_euler_has_a_closed_form(real, imag):
    mode = complex(real, imag)
    expected = -2 * real / abs(mode) ** 2
    # eigvals of the 2x2 matrix are good to a few eps |λ|, and so is the numerator
    assert abs(limit(mode, "euler") - expected) <= 1e-14 * 2 / abs(mode) + 1e-14 * expected


@pytest.mark.parametrize(
    ("mode", "euler", "midpoint"), [(-0.1 + 1j, 0.198, 1.042), (-0.001 + 0.5j, 0.0080, 0.509)]
)
def test_figures_worked_out_by_hand(mode, euler, midpoint):
    assert abs(limit(mode, "euler") - euler) < 5e-5
    assert abs(limit(mode, "midpoint") - midpoint) < 5e-4


def test_real_axis():
    """The ends of the stability intervals: 2 to second order; a root of 1 + z/2 + z²/6 + z³/24."""
    roots = np.roots([1 / 24, 1 / 6, 1 / 2, 1])
    end = -roots[np.argmin(np.abs(roots.imag))].real  # 2.785
    for method, expected in zip(METHODS, (2, 2, 2, end), strict=True):
        assert abs(limit(-1 + 0j, method) - expected) < 1e-13


@pytest.mark.parametrize("frequency", [0.01, 1.0, 30.0])
def test_imaginary_axis(frequency):
    """|R|² is 1 + y² for Euler, 1 + y⁴/4 to second order, 1 - y⁶/72 + y⁸/576 for RK4."""
    mode = complex(0, frequency)
    assert [limit(mode, method) for method in METHODS[:3]] == [0, 0, 0]
    assert abs(limit(mode, "rk4") * frequency - math.sqrt(8)) < 1e-13


@pytest.mark.parametrize("method", METHODS)
def test_no_step_damps_growth_and_any_bears_rest(method):
    found = admissible_step_sizes(torch.tensor([[0.1, 0.0], [0.0, 0.0]]), method)
    assert sorted(found.step_sizes) == [0, math.inf]
    assert found.smallest == 0
    assert abs(found.limiting_mode - 0.1) < 1e-8  # 0.1 in float32
    assert admissible_step_sizes(torch.zeros(2, 2), method).smallest == math.inf


@given(
    real=st.floats(-2, -1e-2),
    imag=st.floats(0, 3),
    method=st.sampled_from(METHODS),
)
@settings(max_examples=60, deadline=None)
def test_the_integrator_amplifies_beyond_the_limit_and_not_before(real, imag, method):
    mode = complex(real, imag)
    found = limit(mode, method)
    assert 0 < found < math.inf
    for fraction in (0.01, 0.3, 0.7, 0.99, 1 - 1e-9):
        # what is found is good to about 1e-13, and |R| is computed to a few eps
        assert amplification(mode, method, fraction * found) <= 1 + 1e-13
    assert amplification(mode, method, 1.001 * found) > 1


def test_any_tableau_will_do():
    """Two midpoint steps of half the length as one method bear twice the step."""
    rows = ((0.25,), (0.0, 0.5), (0.0, 0.5, 0.25))
    twice = ButcherTableau("twice", 2, rows, (0.0, 0.5, 0.0, 0.5), (0.0, 0.25, 0.5, 0.75))
    for mode in (-0.1 + 1j, -1 + 0j, -0.3 + 2j):
        assert abs(limit(mode, twice) - 2 * limit(mode, "midpoint")) < 1e-12


def test_an_island_of_stability_is_not_reached_through_growth():
    """R(-x) = 1 - x + x² - x³/5 exceeds 1 between (1 ± √0.2) / 0.4 and is back below thereafter."""
    method = ButcherTableau("island", 1, ((0.2,), (0.0, 1.0)), (0.0, 0.0, 1.0), (0.0, 0.2, 1.0))
    first = (1 - math.sqrt(0.2)) / 0.4
    assert abs(limit(-1 + 0j, method) - first) < 1e-12
    assert abs(1 - 4 + 16 - 64 / 5) < 1  # |R(-4)|: it is back


def test_skew_matrix_is_not_judged_by_rounding():
    """Eigenvalues of a skew matrix come with real parts of either sign, of the size of rounding."""
    m = torch.randn(40, 40, dtype=torch.float64)
    skew = m - m.mT
    largest = torch.linalg.matrix_norm(skew, 2).item()
    assert abs(admissible_step_sizes(skew, "rk4").smallest * largest - math.sqrt(8)) < 1e-12
    assert admissible_step_sizes(skew, "euler").smallest == 0


def test_the_limiting_mode_is_the_one_that_breaks():
    found = admissible_step_sizes(torch.diag(torch.tensor([-1.0, -8.0, -2.0])), EULER)
    assert found.method == "euler"
    assert found.limiting_mode == -8
    assert found.smallest == 0.25
    assert found.step_sizes == (2.0, 0.25, 1.0)


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_jacobian_is_that_of_the_field(name):
    n = 4
    a, w, u = (torch.randn(n, n, dtype=torch.float64) for _ in range(3))
    h, x = torch.randn(1, n, dtype=torch.float64), torch.randn(1, n, dtype=torch.float64)
    z = (h @ w.mT + x @ u.mT).squeeze(0)
    field = lambda h: lipschitz_field(x, h, a, w, u, None, nonlinearity=name)  # noqa: E731
    expected = torch.autograd.functional.jacobian(field, h).reshape(n, n)
    assert (field_jacobian(a, w, z, name) - expected).norm() <= 1e-14 * (1 + expected.norm())


def test_jacobian_needs_no_linear_term():
    w = torch.eye(2)
    assert torch.equal(field_jacobian(None, w, torch.zeros(2)), w.double())


@given(
    n=st.integers(1, 10),
    seed=st.integers(0, 999),
    damping=st.floats(-1, 3),
    step_size=st.floats(1e-3, 2),
    name=st.sampled_from(tuple(NONLINEARITIES)),
)
@settings(max_examples=80, deadline=None)
def test_no_euler_step_exceeds_its_bound(n, seed, damping, step_size, name):
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    a = draw(n, n) - (damping + 2 * n**0.5) * torch.eye(n, dtype=torch.float64)
    w, u = draw(n, n), draw(n, n)
    bound = euler_contraction(a, w, step_size, name)
    x, h = draw(1, n).expand(50, n), 3 * draw(50, n)
    other = h + draw(50, 1).exp() * draw(50, n)
    step = lambda h: explicit_step(  # noqa: E731
        EULER, lambda h: lipschitz_field(x, h, a, w, u, None, nonlinearity=name), h, step_size
    )
    before, after = (h - other).norm(dim=1), (step(h) - step(other)).norm(dim=1)
    # each state is rounded at about eps (1 + ε K) times its size
    slack = 64 * 2.3e-16 * (1 + step_size * bound.lipschitz_bound) * (h.norm() + other.norm())
    assert bool((after <= bound.factor * before * (1 + 1e-13) + slack).all())
    assert bound.contracts == (step_size < bound.largest_step_size)


def test_euler_bound_is_attained():
    """A = -kI, W = 0: the factor is |1 - ε k| and the largest step 2/k."""
    a, w = -4 * torch.eye(3), torch.zeros(3, 3)
    for step_size in (0.1, 0.25, 0.4, 0.6):
        found = euler_contraction(a, w, step_size)
        assert abs(found.factor - abs(1 - 4 * step_size)) < 1e-7  # a root of what cancels
        assert found.contracts == (step_size < 0.5)
    assert found.largest_step_size == 0.5


def test_euler_bound_knows_the_lipschitz_constant():
    found = euler_contraction(-torch.eye(2), 2 * torch.eye(2), 0.1, "sigmoid")
    assert (found.rate, found.lipschitz_bound) == (0.5, 1.5)


def test_without_condition_a_no_step_is_promised():
    found = euler_contraction(None, torch.eye(2), 0.1)
    assert found.rate == -1
    assert found.largest_step_size == 0
    assert not found.contracts
    assert found.factor > 1


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: admissible_step_sizes(torch.ones(2, 3)), "a square matrix `matrix`"),
        (lambda: admissible_step_sizes(torch.full((1, 1), math.inf)), "finite numbers in `matrix`"),
        (lambda: admissible_step_sizes(torch.eye(2), "eular"), "`method` to be one of"),
        (lambda: euler_contraction(torch.eye(3), torch.eye(2), 0.1), r"`a` of shape \(H, H\)"),
        (lambda: euler_contraction(None, torch.eye(2), 0.0), "a finite `step_size` > 0"),
        (lambda: field_jacobian(None, torch.eye(2), torch.ones(3)), r"`z` of shape \(H,\)"),
    ],
)
def test_bad_values_are_named(call, expected):
    with pytest.raises(ValueError, match=f"expected {expected}"):
        call()
