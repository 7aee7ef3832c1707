"""The sign-fixed QR factorisation against factors that are known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn.linalg.qr import positive_qr

EPS = torch.finfo(torch.float64).eps


def random_matrix(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(n=st.integers(1, 7), k=st.integers(1, 7), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_factors(n, k, seed):
    """Q has orthonormal columns, R is upper triangular without a negative diagonal, M = Q R."""
    m = random_matrix(2, n, k, seed=seed)
    q, r = positive_qr(m)
    assert q.shape == (2, n, min(n, k))
    assert r.shape == (2, min(n, k), k)
    tolerance = 8 * EPS * max(n, k)
    assert (q.mT @ q - torch.eye(q.shape[-1], dtype=torch.float64)).abs().max() < tolerance
    assert (q @ r - m).norm() < tolerance * m.norm()
    assert torch.equal(r, r.triu())
    assert (r.diagonal(dim1=-2, dim2=-1) >= 0).all()


def test_factors_that_were_multiplied_come_back():
    """Uniqueness: for a positive diagonal the factors of Q R are Q and R themselves."""
    reflection = torch.diag(torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64))
    rotation = torch.linalg.matrix_exp(random_matrix(3, 3) - random_matrix(3, 3).mT)
    q = rotation @ reflection  # both determinants occur over the two seeds below
    r = random_matrix(3, 3, seed=1).triu(1) + torch.diag(torch.tensor([3.0, 1.0, 2.0]).double())
    for one in (q, q @ torch.diag(torch.tensor([1.0, 1.0, -1.0]).double())):
        got_q, got_r = positive_qr(one @ r)
        assert (got_q - one).norm() < 100 * EPS
        assert (got_r - r).norm() < 100 * EPS


def test_a_column_that_adds_nothing_keeps_q_orthogonal():
    m = torch.tensor([[1.0, 2.0], [1.0, 2.0]], dtype=torch.float64)
    q, r = positive_qr(m)
    assert abs(r[1, 1].item()) < 8 * EPS
    assert (q.mT @ q - torch.eye(2)).abs().max() < 8 * EPS
    zero_q, zero_r = positive_qr(torch.zeros(3, 3))
    assert torch.equal(zero_q.abs(), torch.eye(3))
    assert not zero_r.any()


def test_what_it_refuses():
    with pytest.raises(TypeError, match=r"positive_qr: expected a floating-point `matrix`"):
        positive_qr(torch.ones(2, 2, dtype=torch.int64))
    with pytest.raises(
        ValueError, match=r"positive_qr: expected `matrix` of shape \(\.\.\., N, K\)"
    ):
        positive_qr(torch.ones(2))
