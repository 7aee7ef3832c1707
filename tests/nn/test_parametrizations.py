"""The symmetric-skew scheme and the constrained scalars."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matching import assert_matches
from torch import nn
from torch.nn.utils import parametrize

from lipschitz_rnn.linalg import log_norm, spectral_abscissa
from lipschitz_rnn.nn import Positive, SymmetricSkew, UnitInterval, UnreachableMatrixError

ENDS = [0.0, 1.0]


def randn(n=5):
    return torch.randn(n, n, dtype=torch.float64)


def eye(n=5):
    return torch.eye(n, dtype=torch.float64)


@pytest.mark.parametrize("gamma", [0.0, 0.3])
@pytest.mark.parametrize("beta", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_forward_is_the_formula(beta, gamma):
    m = randn()
    expected = (1 - beta) * (m + m.T) + beta * (m - m.T) - gamma * eye()
    assert_matches("S", SymmetricSkew(beta, gamma)(m), expected)


def test_ends_and_middle_are_exactly_what_they_are_called():
    m = randn()
    skew = SymmetricSkew(1.0, 0.0)(m)
    assert torch.equal(skew, -skew.T)
    symmetric = SymmetricSkew(0.0, 0.0)(m)
    assert torch.equal(symmetric, symmetric.T)
    assert torch.equal(SymmetricSkew(0.5, 0.0)(m), m)


@given(
    beta=st.floats(0.01, 0.99), gamma=st.floats(0, 10), n=st.integers(1, 6), seed=st.integers(0, 99)
)
@settings(max_examples=50, deadline=None)
def test_right_inverse_inverts(beta, gamma, n, seed):
    """M is divided by at least 0.02, which lets rounding of S grow fiftyfold."""
    m = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    scheme = SymmetricSkew(beta, gamma)
    a = scheme(m)
    factor = 400 * (1 + gamma / m.norm().item())
    assert_matches("M", scheme.right_inverse(a), m, factor=factor)
    assert_matches("S", scheme(scheme.right_inverse(a)), a, factor=factor)


@given(beta=st.floats(0, 1), gamma=st.floats(0, 2), n=st.integers(1, 8), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_spectrum_lies_in_the_interval(beta, gamma, n, seed):
    """With the factor 2; and the ends are attained by the symmetric part."""
    m = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    s = SymmetricSkew(beta, gamma)(m)
    ends = torch.linalg.eigvalsh((m + m.T) / 2)[[0, -1]]
    low, high = (2 * (1 - beta) * ends - gamma).tolist()
    real = torch.linalg.eigvals(s).real
    slack = 1e-12 * (1 + s.norm().item())
    assert low - slack <= real.min()
    assert real.max() <= high + slack
    assert abs(log_norm(s).item() - high) <= slack
    assert spectral_abscissa(s) <= log_norm(s) + slack


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_registering_never_raises(beta):
    layer = nn.Linear(4, 4)
    weight = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", SymmetricSkew(beta, 0.1))
    if 0 < beta < 1:
        assert_matches("weight", layer.weight, weight)


@pytest.mark.parametrize("beta", ENDS)
def test_unreachable_matrix_cannot_be_assigned(beta):
    layer = nn.Linear(5, 5, dtype=torch.float64)
    parametrize.register_parametrization(layer, "weight", SymmetricSkew(beta, 0.1))
    before = layer.weight.detach().clone()
    with pytest.raises(ValueError, match=r"expected a .*symmetric matrix minus gamma\*I") as caught:
        layer.weight = randn()
    assert isinstance(caught.value, UnreachableMatrixError)
    assert "parametrizations.<name>.original" in str(caught.value)
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_reachable_matrix_can_be_assigned(beta):
    layer = nn.Linear(5, 5, dtype=torch.float64)
    parametrize.register_parametrization(layer, "weight", SymmetricSkew(beta, 0.1))
    target = SymmetricSkew(beta, 0.1)(randn())
    layer.weight = target
    assert_matches("weight", layer.weight, target)


@pytest.mark.parametrize("beta", ENDS)
def test_free_parameter_can_be_set_where_assignment_cannot(beta):
    layer = nn.Linear(5, 5, dtype=torch.float64)
    parametrize.register_parametrization(layer, "weight", SymmetricSkew(beta, 0.1))
    m = randn()
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(m)
    assert_matches("weight", layer.weight, SymmetricSkew(beta, 0.1)(m))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": -0.1}, "0 <= `beta` <= 1, got -0.1"),
        ({"beta": 1.1}, "0 <= `beta` <= 1, got 1.1"),
        ({"beta": float("nan")}, "got nan"),
        ({"gamma": -1.0}, "a finite `gamma` >= 0, got -1.0"),
        ({"gamma": float("inf")}, "a finite `gamma` >= 0, got inf"),
        ({"beta": 1.0, "trainable": ("beta",)}, "0 < `beta` < 1, got 1.0"),
        ({"gamma": 0.0, "trainable": ("gamma",)}, "a finite `gamma` > 0, got 0.0"),
        ({"trainable": ("bta",)}, "Did you mean 'beta'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SymmetricSkew(**arguments)


def test_matrix_must_be_square():
    with pytest.raises(ValueError, match=r"a square matrix `m`, got \(2, 3\)"):
        SymmetricSkew()(torch.ones(2, 3))


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str
)
def test_learned_scalars_start_where_they_are_told_and_stay_inside(dtype):
    scheme = SymmetricSkew(0.75, 0.001, trainable=("beta", "gamma"), dtype=dtype)
    kept = torch.promote_types(dtype, torch.float32)
    assert {p.dtype for p in scheme.parameters()} == {kept}
    dtype = kept
    # softplus and its inverse at 0.001 lose what log(0.001) loses: 7 units of eps
    assert abs(scheme.beta.item() - 0.75) < 8 * torch.finfo(dtype).eps
    assert abs(scheme.gamma.item() / 0.001 - 1) < 16 * torch.finfo(dtype).eps
    for raw in (-1e4, 1e4):
        with torch.no_grad():
            for parameter in scheme.parameters():
                parameter.fill_(raw)
        assert 0 < scheme.beta.item() < 1
        assert scheme.gamma.item() > 0


def test_learned_scalars_get_the_gradient_of_the_formula():
    m, weight = randn(), randn()
    scheme = SymmetricSkew(0.6, 0.2, trainable=("beta", "gamma"), dtype=torch.float64)
    (scheme(m) * weight).sum().backward()
    raw_beta, raw_gamma = scheme.parameters()
    # dS/dβ = -2 Mᵀ, dβ/dr = β (1 - β); dS/dγ = -I, dγ/dr = sigmoid(r) = 1 - exp(-γ)
    beta = (-2 * m.T * weight).sum() * 0.6 * 0.4
    gamma = -weight.trace() * (1 - torch.exp(torch.tensor(-0.2, dtype=torch.float64)))
    assert_matches("beta", raw_beta.grad, beta)
    assert_matches("gamma", raw_gamma.grad, gamma)


def test_learned_scalars_can_be_assigned_and_copied():
    scheme = SymmetricSkew(trainable=("beta",), dtype=torch.float64)
    scheme.beta = torch.tensor(0.9, dtype=torch.float64)
    assert abs(copy.deepcopy(scheme).beta.item() - 0.9) < 1e-15
    with pytest.raises(ValueError, match=r"0 < `value` < 1, got 1\.0"):
        scheme.beta = torch.tensor(1.0, dtype=torch.float64)


@pytest.mark.parametrize(
    ("map", "values"),
    [(UnitInterval(), [1e-9, 0.3, 0.999]), (Positive(), [1e-12, 1e-3, 1.0, 50.0])],
)
def test_scalar_maps_invert(map, values):
    # a relative error of the logarithm r becomes |r| times as large in exp(r); |log 1e-12| < 28
    x = torch.tensor(values, dtype=torch.float64)
    for value in x:
        assert_matches("value", map(map.right_inverse(value)), value, factor=8 * 28)
