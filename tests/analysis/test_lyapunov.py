"""Lyapunov exponents of units whose exponents are known."""

import math

import pytest
import torch
from scipy.optimize import brentq
from torch import nn

from lipschitz_rnn.analysis.lyapunov import lyapunov_exponents
from lipschitz_rnn.analysis.units import cell_of, layer_cells
from lipschitz_rnn.nn import LipschitzRNN, LipschitzRNNCell

F64 = torch.float64
EPS = torch.finfo(F64).eps
STEP = 0.2
RATES = torch.tensor([-0.5, -2.0, -3.0, -3.75, -5.75], dtype=F64)  # 1 + ε a: .9 .6 .4 .25 -.15
LOGS = (1 + STEP * RATES).abs().log()  # the largest first
# What is not aligned shrinks at each step by the ratio of neighbouring factors, 2/3 at most.
ALIGNED = math.ceil(math.log(1e-18) / math.log(2 / 3))


def matrix_with_rates(kind):
    """A matrix with the eigenvalues RATES."""
    g = torch.Generator().manual_seed(1)
    noise = torch.randn(5, 5, generator=g, dtype=F64)
    if kind == "diagonal":
        return torch.diag(RATES)
    if kind == "triangular":
        return torch.diag(RATES) + 3 * noise.triu(1)
    basis = torch.linalg.qr(noise)[0]
    if kind == "non-normal":
        basis = basis @ (torch.eye(5, dtype=F64) + noise.triu(1))
    return basis @ torch.diag(RATES) @ torch.linalg.inv(basis)


def no_input(steps, batch=1):
    return torch.zeros(steps, batch, 1, dtype=F64)


@pytest.mark.parametrize("kind", ["diagonal", "normal", "non-normal", "triangular"])
def test_a_linear_unit_grows_by_its_eigenvalues(kind):
    """J = I + ε (A + W) at every step: exponents ln|eig J|, whatever the eigenvectors are."""
    k = matrix_with_rates(kind)
    w = torch.full((5, 5), 0.3, dtype=F64)
    unit = cell_of(k - w, w, step_size=STEP, nonlinearity="identity")
    found = lyapunov_exponents(unit, no_input(ALIGNED + 10), warmup=ALIGNED)
    condition = torch.linalg.cond(torch.linalg.eig(k)[1]).item()
    tolerance = 100 * EPS * condition**2
    assert (found.exponents - LOGS).abs().max() < tolerance
    assert (found.exponents_per_time - LOGS / STEP).abs().max() < tolerance / STEP
    assert found.drift.abs().max() < tolerance
    assert (found.steps, found.warmup, found.sequences) == (10, ALIGNED, 1)
    assert found.standard_error is None
    norm = torch.linalg.matrix_norm(torch.eye(5, dtype=F64) + STEP * k, 2).log()
    if kind in {"non-normal", "triangular"}:  # a mistaken singular value would be seen
        assert norm > LOGS[0] + 0.1


def test_leading_exponents_are_those_of_the_whole():
    unit = cell_of(matrix_with_rates("triangular"), torch.zeros(5, 5, dtype=F64), step_size=STEP)
    found = lyapunov_exponents(unit, no_input(ALIGNED + 3), count=2, warmup=ALIGNED)
    assert found.exponents.shape == (2,)
    assert found.state_size == 5
    assert (found.exponents - LOGS[:2]).abs().max() < 1e-11


def test_times_and_standard_error():
    """With dt constant in a sequence, each one has the exponent ln|1 + ε dt a|."""
    a = torch.tensor([[-1.0]], dtype=F64)
    unit = cell_of(a, torch.zeros(1, 1, dtype=F64), step_size=STEP)
    held = torch.tensor([1.0, 2.0, 4.0], dtype=F64)
    found = lyapunov_exponents(unit, no_input(6, 3), dt=held.expand(6, 3))
    each = (1 - STEP * held).log()
    assert torch.allclose(found.per_sequence[:, 0], each, rtol=1e-13)
    assert torch.allclose(found.exponents, each.mean(), rtol=1e-13)
    spread = (each - each.mean()).square().sum() / 2
    assert torch.allclose(found.standard_error, (spread / 3).sqrt(), rtol=1e-13)
    in_time = each / (STEP * held)
    assert torch.allclose(found.exponents_per_time, in_time.mean(), rtol=1e-13)
    assert torch.allclose(found.standard_error_per_time, in_time.std() / 3**0.5, rtol=1e-12)


def test_drift_is_seen():
    unit = cell_of(-torch.eye(1, dtype=F64), torch.zeros(1, 1, dtype=F64), step_size=STEP)
    held = torch.tensor([1.0, 1.0, 4.0, 4.0], dtype=F64)
    found = lyapunov_exponents(unit, no_input(4), dt=held)
    expected = math.log(1 - 4 * STEP) - math.log(1 - STEP)
    assert abs(found.drift.item() - expected) < 1e-13
    both = (math.log(1 - 4 * STEP) + math.log(1 - STEP)) / 2
    assert abs(found.exponents_per_time.item() - both / (2.5 * STEP)) < 1e-12


def test_at_a_fixed_point_of_a_diagonal_unit():
    """h' = -h + tanh(w h): J = 1 + ε (-1 + w (1 - h*²)) since tanh(w h*) = h*.

    At ε = 0.8 neighbours differ by the factor 0.86 at least: 200 steps align to 1e-13.
    """
    step_size = 0.8
    gains = [3.0, 2.0, 1.5, 0.5]
    rest = [brentq(lambda h, w=w: h - math.tanh(w * h), 0.1, 1, xtol=1e-15) for w in gains[:3]]
    h = torch.tensor([[*rest, 0.0]], dtype=F64)
    w = torch.tensor(gains, dtype=F64)
    logs = (1 + step_size * (-1 + w * (1 - h[0] ** 2))).log().sort(descending=True).values
    unit = cell_of(-torch.eye(4, dtype=F64), torch.diag(w), step_size=step_size)
    found = lyapunov_exponents(unit, no_input(210), h, warmup=200)
    assert (found.exponents - logs).abs().max() < 1e-12


def test_a_rotation_neither_grows_nor_decays():
    """A = (R - I)/ε makes each step the rotation R; every R factor is then the identity."""
    g = torch.Generator().manual_seed(2)
    m = torch.randn(6, 6, generator=g, dtype=F64)
    rotation = torch.linalg.matrix_exp(m - m.mT)
    a = (rotation - torch.eye(6)) / STEP
    unit = cell_of(a, torch.zeros(6, 6, dtype=F64), step_size=STEP)
    found = lyapunov_exponents(unit, no_input(50, 2), torch.ones(2, 6, dtype=F64))
    assert found.exponents.abs().max() < 20 * EPS
    assert found.standard_error.max() < 20 * EPS


@pytest.mark.parametrize("method", ["euler", "midpoint"])
def test_the_sum_is_the_mean_change_of_volume(method):
    torch.manual_seed(3)
    cell = LipschitzRNNCell(2, 5, step_size=0.3, method=method, init_std=5.0, dtype=F64)
    x, h = 3 * torch.randn(40, 3, 2, dtype=F64), torch.zeros(3, 5, dtype=F64)
    found = lyapunov_exponents(cell, x)
    volumes = torch.zeros(3, dtype=F64)
    for one in x:
        volumes += torch.linalg.slogdet(cell.jacobian(one, h).detach())[1]
        h = cell(one, h).detach()
    assert (found.per_sequence.sum(-1) - volumes / 40).abs().max() < 100 * EPS
    assert abs(found.exponents.sum() - volumes.mean() / 40) < 100 * EPS
    assert found.exponents[0] - found.exponents[-1] > 0.05  # not trivially alike
    assert found.standard_error.max() > 1e-4


def test_a_direction_that_dies_at_once():
    eye = torch.eye(2, dtype=F64)
    unit = cell_of(-eye, 0 * eye, step_size=1.0)  # J = 0
    found = lyapunov_exponents(unit, no_input(3))
    assert torch.equal(found.exponents, torch.full((2,), -math.inf, dtype=F64))


def test_a_map_has_no_time():
    found = lyapunov_exponents(nn.GRUCell(2, 3), torch.randn(4, 2, 2))
    assert found.exponents_per_time is None
    assert found.standard_error_per_time is None
    assert found.kind == "GRUCell"


@pytest.mark.parametrize("make", [LipschitzRNN, LipschitzRNNCell, nn.GRUCell])
def test_whatever_the_dtype_of_the_layer_it_is_looked_at_in_double(make):
    """The weights that a float32 layer runs, in float64: to the last digit what a map of them has.

    In float32 the sum of the exponents is off by roundings of each step; here it is not.
    """
    layer = make(2, 5)
    x, h = torch.randn(30, 3, 2), torch.randn(3, 5)
    found = lyapunov_exponents(layer, x, h)
    (unit,) = layer_cells(layer, dtype=F64)
    wanted = lyapunov_exponents(unit, x.double(), h.double())
    assert found.exponents.dtype == F64
    assert torch.equal(found.per_sequence, wanted.per_sequence)
    volumes, state = torch.zeros(3, dtype=F64), h.double()
    for one in x.double():
        volumes += torch.linalg.slogdet(unit.jacobian(one, state))[1]
        state = unit.step(one, state)
    assert (found.per_sequence.sum(-1) - volumes / 30).abs().max() < 100 * EPS
    assert all(parameter.dtype == torch.float32 for parameter in layer.parameters())


def test_what_is_refused():
    unit = layer_cells(LipschitzRNN(2, 3))[0]
    x = torch.randn(4, 1, 2)
    with pytest.raises(TypeError, match=r"lyapunov_exponents: expected a unit in float64, got"):
        lyapunov_exponents(unit, x)
    unit = layer_cells(LipschitzRNN(2, 3), dtype=F64)[0]
    with pytest.raises(ValueError, match=r"expected `input` of shape \(T, B, P\)"):
        lyapunov_exponents(unit, x[0])
    with pytest.raises(ValueError, match=r"expected 1 <= `count` <= 3, got 4"):
        lyapunov_exponents(unit, x, count=4)
    with pytest.raises(ValueError, match=r"expected 0 <= `warmup` < 4"):
        lyapunov_exponents(unit, x, warmup=4)
    with pytest.raises(ValueError, match=r"expected a `dt` above 0 somewhere"):
        lyapunov_exponents(unit, x, dt=0.0)
