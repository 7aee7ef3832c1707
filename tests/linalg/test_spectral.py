"""Spectral quantities against matrices whose spectra are known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn.linalg import log_norm, spectral_abscissa


def test_rotation_with_damping():
    """[[-g, w], [-w, -g]] has eigenvalues -g ± iw and symmetric part -g I."""
    a = torch.tensor([[-0.1, 3.0], [-3.0, -0.1]], dtype=torch.float64)
    assert abs(spectral_abscissa(a).item() + 0.1) < 1e-14
    assert abs(log_norm(a).item() + 0.1) < 1e-14


@given(n=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_log_norm_is_the_initial_growth_rate(n, seed):
    """Its definition: the one-sided derivative of |exp(t A)| at t = 0, and a bound for all t."""
    a = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mu = log_norm(a).item()
    assert spectral_abscissa(a).item() <= mu + 1e-12
    t = 1e-6
    growth = torch.linalg.matrix_norm(torch.linalg.matrix_exp(t * a), 2).log().item() / t
    assert abs(growth - mu) < 1e-4 * (1 + a.norm().item() ** 2)
    norm = torch.linalg.matrix_norm(torch.linalg.matrix_exp(a), 2).log().item()
    assert norm <= mu + 1e-10


@pytest.mark.parametrize("function", [log_norm, spectral_abscissa])
def test_only_square_matrices(function):
    with pytest.raises(ValueError, match=rf"{function.__name__}: expected a square matrix `a`"):
        function(torch.ones(2, 3))
