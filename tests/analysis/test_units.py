"""One-step maps against the layers and cells that they were made of."""

import pytest
import torch
from closed_forms import random_problem
from torch import nn

from lipschitz_rnn.analysis.layers import find_units
from lipschitz_rnn.analysis.units import cell_of, layer_cells, run_layer, single_unit
from lipschitz_rnn.nn import (
    UNITS,
    AntisymmetricRNNCell,
    LipschitzRNN,
    LipschitzRNNCell,
    NoisyLipschitzRNNCell,
    RecurrentLayer,
    ResidualRNNCell,
    make_layer,
)
from lipschitz_rnn.nn.state import output_of
from lipschitz_rnn.ops import lipschitz_field, lipschitz_scan

F64 = torch.float64
EPS = torch.finfo(F64).eps
NAMES = [name for name in UNITS if name not in {"rnn", "gru", "lstm"}]
ODES = {"lipschitz", "lipschitz-gated", "residual", "antisymmetric", "antisymmetric-gated"}
ODES |= {"cornn", "lem"}


def close(got, expected, steps=1):
    return (got - expected).norm() <= 64 * EPS * steps * (1 + expected.norm())


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_what_the_layer_does(name):
    layer = make_layer(name, 3, 4, dtype=F64).eval()
    (unit,) = layer_cells(layer)
    x = torch.randn(6, 2, 3, dtype=F64)
    output, h_n = layer(x)
    states = unit.run(x)
    assert not states[0].any()
    assert close(states[1:, :, :4], output, 6)
    last = h_n if isinstance(h_n, torch.Tensor) else torch.cat(h_n, -1)
    assert close(states[-1], last[0], 6)
    assert (unit.vector_field is not None) == (name in ODES)
    assert (unit.step_size is not None) == (name in ODES)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_of_the_step(name):
    (unit,) = layer_cells(make_layer(name, 3, 4, dtype=F64))
    x = torch.randn(2, 3, dtype=F64)
    h = torch.randn(2, unit.state_size, dtype=F64)
    jacobian = unit.jacobian(x, h)
    for b in range(2):  # reverse mode, one sample at a time
        expected = torch.autograd.functional.jacobian(
            lambda state, b=b: unit.advance(x[b : b + 1], state[None], None)[0], h[b]
        )
        assert close(jacobian[b], expected)
    v = torch.randn(2, unit.state_size, 3, dtype=F64)
    assert close(unit.push(x, h, v), jacobian @ v)
    g = torch.randn(2, unit.state_size, dtype=F64)
    to_input, to_state = unit.pull(x, h, g)
    assert close(to_state, (g[:, None] @ jacobian)[:, 0])
    by_input = torch.autograd.functional.jacobian(lambda x: unit.advance(x, h, None), x)
    assert close(to_input, torch.einsum("bi,bicj->cj", g, by_input))


@pytest.mark.parametrize("name", ["lipschitz", "lipschitz-gated", "residual", "antisymmetric"])
def test_an_euler_step_follows_the_field(name):
    """h+ = h + ε f, hence J = I + ε ∂f/∂h, with the unit's own ε."""
    (unit,) = layer_cells(make_layer(name, 3, 4, step_size=0.25, dtype=F64))
    x, h = torch.randn(2, 3, dtype=F64), torch.randn(2, 4, dtype=F64)
    assert unit.step_size == 0.25
    assert close(unit.step(x, h), h + 0.25 * unit.vector_field(x, h))
    assert close(unit.step(x, h, 2.0), h + 0.5 * unit.vector_field(x, h))
    eye = torch.eye(4, dtype=F64)
    assert close(unit.jacobian(x, h), eye + 0.25 * unit.field_jacobian(x, h))


@pytest.mark.parametrize("kind", ["lipschitz", "cells"])
def test_layers_and_directions(kind):
    if kind == "lipschitz":
        layer = LipschitzRNN(3, 4, 2, bidirectional=True, dropout=0.5, dtype=F64)
    else:
        sizes = (3, 3, 8, 8)
        cells = [AntisymmetricRNNCell(size, 4, dtype=F64) for size in sizes]
        layer = RecurrentLayer(cells, bidirectional=True)
    x = torch.randn(5, 2, 3, dtype=F64)
    runs = run_layer(layer, x)
    assert [run.unit.name for run in runs] == ["l0", "l0_reverse", "l1", "l1_reverse"]
    output, h_n = layer.eval()(x)
    assert close(torch.cat([run.output for run in runs[2:]], -1), output, 10)
    assert close(torch.stack([run.states[-1] for run in runs]), h_n, 10)
    assert torch.equal(runs[1].input, x.flip(0))


@pytest.mark.parametrize("shared", [False, True])
def test_layers_and_directions_along_irregular_times(shared):
    layer = LipschitzRNN(3, 4, 2, bidirectional=True, dtype=F64)
    x, dt = torch.randn(5, 2, 3, dtype=F64), torch.rand(5, dtype=F64)
    dt = dt if shared else torch.rand(5, 2, dtype=F64)
    runs = run_layer(layer, x, dt=dt)
    output, h_n = layer.eval()(x, dt=dt)
    assert close(torch.cat([run.output for run in runs[2:]], -1), output, 10)
    assert close(torch.stack([run.states[-1] for run in runs]), h_n, 10)
    assert torch.equal(runs[0].dt, dt)
    assert torch.equal(runs[3].dt, dt.flip(0))
    assert torch.equal(runs[3].unit.run(runs[3].input, dt=runs[3].dt), runs[3].states)
    half = run_layer(layer, x, dt=0.5)
    assert half[1].dt == 0.5
    assert close(torch.stack([run.states[-1] for run in half]), layer(x, dt=0.5)[1], 10)


def test_matrices():
    p = random_problem()
    unit = cell_of(p.a, p.w, p.u, p.b, step_size=0.1, method="heun", nonlinearity="sine")
    options = {"step_size": 0.1, "method": "heun", "nonlinearity": "sine"}
    assert torch.equal(unit.run(p.input, p.h0)[1:], lipschitz_scan(*p.args, **options))
    expected = lipschitz_field(p.input[0], *p.args[1:], nonlinearity="sine")
    assert torch.equal(unit.vector_field(p.input[0], p.h0), expected)
    bare = cell_of(None, p.w, step_size=0.1)
    h = torch.randn(2, 4, dtype=F64)
    step = bare.step(torch.full((2, 1), 7.0, dtype=F64), h)
    assert close(step, h + 0.1 * torch.tanh(h @ p.w.T))


def test_the_weights_of_a_map_stay():
    for cell in (LipschitzRNNCell(3, 4), ResidualRNNCell(3, 4)):
        (unit,) = layer_cells(cell)
        x, h = torch.randn(2, 3), torch.randn(2, 4)
        before = unit.step(x, h)
        assert torch.equal(before, cell(x, h))
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.mul_(3)
        assert not torch.equal(cell(x, h), before)
        assert torch.equal(unit.step(x, h), before)
        assert next(cell.parameters()).requires_grad


def test_noise_is_off():
    cell = NoisyLipschitzRNNCell(3, 4).train()
    (unit,) = layer_cells(cell)
    x = torch.randn(2, 3)
    assert torch.equal(unit.step(x, unit.start(2)), cell.eval()(x))
    assert unit.step_size is None  # each feature has a step of its own


def test_double_precision_converts_the_weights_of_the_layer():
    layer = LipschitzRNN(3, 4, trainable=("step_size",), step_size=0.2)
    (unit,) = layer_cells(layer, dtype=F64)
    x, h = torch.randn(2, 3, dtype=F64), torch.randn(2, 4, dtype=F64)
    a, w = layer.weight_a_l0.double(), layer.weight_hh_l0.double()
    u, b = layer.weight_ih_l0.double(), layer.bias_l0.double()
    step = layer.step_size_l0.detach().double()
    expected = h + step * (h @ a.T + torch.tanh(h @ w.T + x @ u.T + b))
    assert close(unit.step(x, h), expected.detach())
    assert unit.step_size == float(step)


@pytest.mark.parametrize("options", [{}, {"alpha": 0.5}, {"trainable": ("alpha",)}], ids=str)
@pytest.mark.parametrize("constraint", ["contractive", "contractive-flow"])
def test_a_constrained_unit_is_looked_at_as_it_is_run(constraint, options):
    layer = LipschitzRNN(
        3, 4, step_size=0.2, init_std=8.0, constraint=constraint, rate=0.1, dtype=F64, **options
    )
    (unit,), (matrices,) = layer_cells(layer), find_units(layer)
    x = torch.randn(6, 2, 3, dtype=F64)
    assert close(unit.run(x)[1:], layer(x)[0], 6)
    h, a, w = torch.randn(2, 4, dtype=F64), torch.tensor(matrices.a), torch.tensor(matrices.w)
    z = h @ w.T + x[0] @ layer.weight_ih_l0.T + layer.bias_l0
    expected = a + (1 - z.tanh() ** 2).unsqueeze(-1) * w
    assert close(unit.field_jacobian(x[0], h), expected.detach())
    single = LipschitzRNN(3, 4, step_size=0.2, constraint=constraint, **options)
    (wide,), (matrices,) = layer_cells(single, dtype=F64), find_units(single)
    scale = torch.full((2, 4), 20.0, dtype=F64)  # sigma is flat there: what is left is A
    saturated = wide.field_jacobian(1e6 * x[0], scale)
    assert close(saturated, torch.tensor(matrices.a).double().expand(2, 4, 4))


def test_cells_of_torch():
    for cell in (nn.GRUCell(3, 4), nn.LSTMCell(3, 4), nn.RNNCell(3, 4)):
        (unit,) = layer_cells(cell)
        x = torch.randn(2, 3)
        assert torch.equal(unit.step(x, unit.start(2))[:, :4], output_of(cell(x)))
        assert unit.vector_field is None
        with pytest.raises(TypeError, match="expected no `dt` for"):
            unit.step(x, unit.start(2), 0.5)
        with pytest.raises(TypeError, match="expected a unit that is an ODE"):
            unit.field_jacobian(x, unit.start(2))


def test_times():
    unit = cell_of(-torch.eye(1), torch.zeros(1, 1), step_size=0.5)
    h0 = torch.ones(2, 1)
    each = unit.run(torch.zeros(2, 2, 1), h0, torch.tensor([[1.0, 0.0], [2.0, 1.0]]))
    assert torch.equal(each[:, :, 0], torch.tensor([[1.0, 1.0], [0.5, 1.0], [0.0, 0.5]]))
    shared = unit.run(torch.zeros(2, 2, 1), h0, torch.tensor([0.0, 1.0]))
    assert torch.equal(shared[:, 0, 0], torch.tensor([1.0, 1.0, 0.5]))
    with pytest.raises(ValueError, match=r"expected `dt` of shape \(T,\) = \(2,\)"):
        unit.run(torch.zeros(2, 2, 1), h0, torch.ones(3))


def test_what_is_refused():
    with pytest.raises(TypeError, match="layer_cells: expected a LipschitzRNN"):
        layer_cells(nn.GRU(3, 4))
    with pytest.raises(ValueError, match="f: expected one unit, got a layer of 2"):
        single_unit("f", LipschitzRNN(3, 4, 2))
    unit = cell_of(None, torch.eye(2), step_size=1.0)
    with pytest.raises(TypeError, match="expected `h` of the dtype of the weights"):
        unit.step(torch.zeros(1, 1), torch.zeros(1, 2, dtype=F64))
    with pytest.raises(ValueError, match=r"expected `h` of shape \(B, N\) = \(1, 2\)"):
        unit.step(torch.zeros(1, 1), torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"cell_of: expected `b` of shape \(H,\) = \(2,\)"):
        cell_of(None, torch.eye(2), b=torch.zeros(3), step_size=1.0)
    with pytest.raises(ValueError, match="cell_of: expected a finite `step_size` > 0"):
        cell_of(None, torch.eye(2), step_size=0.0)
    with pytest.raises(ValueError, match="cell_of: expected `method` to be one of"):
        cell_of(None, torch.eye(2), step_size=1.0, method="leapfrog")
