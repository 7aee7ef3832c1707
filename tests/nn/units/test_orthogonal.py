"""The matrices of the Cayley and the exponential RNN, and the free entries behind them."""

import math

import pytest
import torch
from matching import assert_matches
from torch import nn
from torch.nn.utils import parametrize

from lipschitz_rnn.nn import (
    AntisymmetricRNNCell,
    CayleyRNNCell,
    ExponentialRNNCell,
    Positive,
    RecurrentLayer,
    UnreachableMatrixError,
)
from lipschitz_rnn.nn.parametrizations import SkewEntries

KINDS = [CayleyRNNCell, ExponentialRNNCell]


def distance_from_orthogonal(w):
    return (w.mT @ w - torch.eye(len(w), dtype=w.dtype)).abs().max().item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", [1, 2, 7, 64])
@pytest.mark.parametrize("kind", KINDS)
def test_w_is_a_rotation_before_and_after_training(kind, size, dtype):
    cell = kind(3, size, dtype=dtype)
    layer = RecurrentLayer(cell)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.02)
    # Entries of WᵀW are sums of N products, each rounded, and the solver of a linear system rounds
    # about as often; torch.matrix_exp truncates its series at some hundred units (measured: 930).
    truncation = 1000 if kind is ExponentialRNNCell else 0
    allowed = (8 * size + truncation) * torch.finfo(dtype).eps
    start = cell.weight_hh.detach().clone()
    assert distance_from_orthogonal(start) <= allowed
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.randn(5, 2, 3, dtype=dtype))[0].square().sum().backward()
        optimizer.step()
    assert distance_from_orthogonal(cell.weight_hh.detach()) <= allowed
    assert torch.linalg.det(cell.weight_hh.detach()) > 0.5  # of determinant 1, not -1
    if size > 1:
        assert (cell.weight_hh - start).abs().max() > 100 * torch.finfo(dtype).eps


def test_cayley_starts_with_c_orthogonal():
    """K = C - Cᵀ of an orthogonal C has eigenvalues between ±2i, in any other case it need not."""
    cell = CayleyRNNCell(3, 64, dtype=torch.float64)
    k = SkewEntries()(cell.parametrizations.weight_hh.original.detach())
    eye = torch.eye(64, dtype=torch.float64)
    assert_matches("W", cell.weight_hh, torch.linalg.solve(eye + k, eye - k), factor=500)
    assert 1.9 < torch.linalg.matrix_norm(k, 2) <= 2 + 1e-12
    # C = S + K/2 with KᵀK/4 + S² = I: of K alone it follows that half of the norm of C is in it
    assert 0.8 < k.square().sum() / 2 / 64 < 1.2


@pytest.mark.parametrize("size", [1, 2, 6, 7])
@pytest.mark.parametrize(
    ("init", "low", "high"), [("cayley", -1.0, 0.0), ("henaff", -math.pi, math.pi)]
)
def test_exponential_starts_with_blocks(init, low, high, size):
    cell = ExponentialRNNCell(3, size, init=init, dtype=torch.float64)
    a = SkewEntries()(cell.parametrizations.weight_hh.original.detach())
    expected = torch.zeros(size, size, dtype=torch.float64)
    for row in range(0, size - 1, 2):
        s = a[row, row + 1]
        assert low <= s <= high
        assert s != 0
        expected[row, row + 1], expected[row + 1, row] = s, -s
        block = cell.weight_hh.detach()[row : row + 2, row : row + 2]
        rotation = torch.tensor([[s.cos(), s.sin()], [-s.sin(), s.cos()]], dtype=torch.float64)
        assert_matches("block of W", block, rotation)
    assert torch.equal(a, expected)


def test_initial_angles_have_their_distribution():
    """tan(t/2) and uniform: quartiles of 2000 draws, which scatter by about 1 %."""
    for init, quartiles in (
        ("cayley", [-math.tan(3 * math.pi / 16), -math.tan(math.pi / 8), -math.tan(math.pi / 16)]),
        ("henaff", [-math.pi / 2, 0.0, math.pi / 2]),
    ):
        cell = ExponentialRNNCell(1, 4000, init=init, device="meta")
        assert cell.parametrizations.weight_hh.original.shape == (4000 * 3999 // 2,)
        draws = [
            ExponentialRNNCell(1, 400, init=init, dtype=torch.float64)
            .parametrizations.weight_hh.original.detach()
            .neg()
            for _ in range(10)
        ]
        s = torch.cat([x[x != 0] for x in draws])
        assert len(s) == 2000
        got = s.quantile(torch.tensor([0.25, 0.5, 0.75]).double())
        scale = math.pi if init == "henaff" else 0.5
        # the standard error of a quartile of a uniform variable on an interval of length 2 scale
        assert (
            got - torch.tensor(quartiles).double()
        ).abs().max() < 5 * 2 * scale * 0.5 / 2000**0.5


def test_modrelu_starts_linear():
    """With b = 0 the state is rotated and keeps its length."""
    cell, h = ExponentialRNNCell(3, 8, dtype=torch.float64), torch.randn(2, 8).double()
    with torch.no_grad():
        cell.weight_ih.zero_()
        new = cell(torch.randn(2, 3).double(), h)
    assert_matches("length", new.norm(dim=1), h.norm(dim=1))
    assert_matches("state", new, h @ cell.weight_hh.T)


@pytest.mark.parametrize("gamma", [0.0, 0.3])
@pytest.mark.parametrize("scale", [1.0, -2.0])
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_free_entries_round_trip(size, scale, gamma):
    scheme, v = SkewEntries(gamma, scale), torch.randn(size * (size - 1) // 2).double()
    a = scheme(v)
    eye = torch.eye(size, dtype=torch.float64)
    assert torch.equal(a + a.mT, -2 * gamma * eye)
    assert_matches("v", scheme.right_inverse(a), v)
    rows = [a[i, j] / scale for i in range(size) for j in range(i)]
    assert torch.equal(torch.stack(rows) if rows else v, v)


@pytest.mark.parametrize("off", ["a symmetric part", "a diagonal", "too little damping"])
def test_what_is_not_antisymmetric_cannot_be_assigned(off):
    cell = AntisymmetricRNNCell(2, 4, gamma=0.5, dtype=torch.float64)
    before = cell.weight_hh.detach().clone()
    wrong = {
        "a symmetric part": before + 1e-6,
        "a diagonal": before + torch.diag(torch.tensor([1e-6, 0, 0, 0]).double()),
        "too little damping": before + 0.5 * torch.eye(4, dtype=torch.float64),
    }[off]
    with pytest.raises(
        UnreachableMatrixError, match=r"SkewEntries: expected a skew-symmetric .* off"
    ):
        cell.weight_hh = wrong
    assert torch.equal(cell.weight_hh, before)
    other = AntisymmetricRNNCell(2, 4, gamma=0.5, dtype=torch.float64).weight_hh.detach()
    cell.weight_hh = other
    assert torch.equal(cell.weight_hh, other)


def test_bad_schemes():
    with pytest.raises(ValueError, match="SkewEntries: expected a finite `gamma` >= 0"):
        SkewEntries(gamma=-1.0)
    with pytest.raises(ValueError, match=r"SkewEntries: expected a finite `abs\(scale\)` > 0"):
        SkewEntries(scale=0.0)
    with pytest.raises(ValueError, match="a square matrix `a`"):
        SkewEntries().right_inverse(torch.zeros(2, 3))


def test_positive_numbers_of_a_vector():
    module = nn.Module()
    start = torch.tensor([0.01, 1.0, 3.0], dtype=torch.float64)
    module.steps = nn.Parameter(start.clone())
    parametrize.register_parametrization(module, "steps", Positive())
    assert_matches("steps", module.steps, start)
    for wrong in ([0.1, 0.0, 1.0], [0.1, -2.0, 1.0], [0.1, math.nan, 1.0], [0.1, math.inf, 1.0]):
        with pytest.raises(ValueError, match="Positive: expected a finite `value`"):
            module.steps = torch.tensor(wrong, dtype=torch.float64)
    assert_matches("steps", module.steps, start)
