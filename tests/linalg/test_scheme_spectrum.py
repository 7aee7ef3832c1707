"""The interval of the symmetric-skew scheme against eigenvalues that are known or drawn."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn.linalg.scheme_spectrum import imaginary_bound, scheme_interval
from lipschitz_rnn.nn import SymmetricSkew


def draw(n, seed):
    return torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rounding(s):
    """How far LAPACK moves what is compared here: a small multiple of N eps |S|."""
    return 8 * len(s) * torch.finfo(s.dtype).eps * (1 + s.norm().item())


@given(
    n=st.integers(1, 12),
    seed=st.integers(0, 999),
    beta=st.floats(0, 1),
    gamma=st.floats(0, 2),
)
@settings(max_examples=60, deadline=None)
def test_no_eigenvalue_leaves_the_interval(n, seed, beta, gamma):
    m = draw(n, seed)
    s = SymmetricSkew(beta, gamma)(m)
    low, high = scheme_interval(m, beta, gamma)
    values = torch.linalg.eigvals(s)
    # rounding moves a double eigenvalue of a matrix that is not normal by the root of eps
    slack = torch.finfo(s.dtype).eps ** 0.5 * (1 + s.norm().item())
    assert low - slack <= values.real.min() <= values.real.max() <= high + slack
    assert values.imag.abs().max() <= imaginary_bound(m, beta) + slack


@given(n=st.integers(1, 12), seed=st.integers(0, 999), beta=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_the_symmetric_part_attains_the_ends(n, seed, beta):
    m = draw(n, seed)
    s = SymmetricSkew(beta, 0.3)(m)
    attained = torch.linalg.eigvalsh((s + s.mT) / 2)
    low, high = scheme_interval(m, beta, 0.3)
    assert abs(low - attained[0].item()) <= rounding(m)
    assert abs(high - attained[-1].item()) <= rounding(m)


def test_without_the_factor_two_the_interval_would_be_wrong():
    """beta = 0, M = I: S = 2I, which the interval without the factor would place at 1."""
    m = torch.eye(3)
    assert scheme_interval(m, 0.0, 0.0) == (2.0, 2.0)
    assert torch.equal(torch.linalg.eigvals(SymmetricSkew(0.0, 0.0)(m)).real, torch.full((3,), 2.0))


def test_beta_of_one_leaves_the_damping():
    m = draw(5, 0)
    assert scheme_interval(m, 1.0, 0.25) == (-0.25, -0.25)


def test_skew_symmetric_matrix_attains_the_imaginary_bound():
    m = torch.tensor([[0.0, 3.0], [-3.0, 0.0]])
    values = torch.linalg.eigvals(SymmetricSkew(0.75, 0.0)(m))
    assert abs(imaginary_bound(m, 0.75) - 4.5) < 1e-14
    assert abs(values.imag.max().item() - 4.5) < 1e-6  # of a float32 matrix


@pytest.mark.parametrize(
    ("m", "beta", "gamma", "expected"),
    [
        (torch.ones(2, 3), 0.5, 0.0, "a square matrix `m`"),
        (torch.tensor([[float("nan")]]), 0.5, 0.0, "finite numbers in `m`, got 1"),
        (torch.ones(0, 0), 0.5, 0.0, "`m` of size 1 at least"),
        (torch.eye(2), 1.5, 0.0, "0 <= `beta` <= 1"),
        (torch.eye(2), 0.5, -1.0, "a finite `gamma` >= 0"),
    ],
)
def test_bad_values_are_named(m, beta, gamma, expected):
    with pytest.raises(ValueError, match=f"scheme_interval: expected {expected}"):
        scheme_interval(m, beta, gamma)


@pytest.mark.parametrize("m", [torch.eye(2, dtype=torch.int64), [[1.0]]])
def test_only_floating_point_tensors(m):
    with pytest.raises(TypeError, match="imaginary_bound: expected"):
        imaginary_bound(m, 0.5)
