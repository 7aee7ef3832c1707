"""RecurrentLayer with cells that are not ours."""

import pytest
import torch
from matching import assert_matches
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from lipschitz_rnn.nn import LipschitzRNN, LipschitzRNNCell, RecurrentLayer


class Oscillator(nn.Module):
    """A cell whose state is a pair, with a step: position and velocity."""

    input_size, hidden_size = 3, 4

    def __init__(self):
        super().__init__()
        self.force = nn.Linear(3, 4, dtype=torch.float64)

    def forward(self, input, state=None, dt=None):
        if state is None:
            zeros = input.new_zeros(len(input), 4)
            state = zeros, zeros
        step = 0.1 if dt is None else 0.1 * dt.unsqueeze(-1)
        velocity = state[1] + step * (self.force(input) - state[0])
        return state[0] + step * velocity, velocity


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def test_lstm_cells_are_torchs_lstm():
    """A state that is a pair goes in and comes out as one, packed or not."""
    expected = nn.LSTM(3, 4, 2, dtype=torch.float64)
    cells = [nn.LSTMCell(3, 4, dtype=torch.float64), nn.LSTMCell(4, 4, dtype=torch.float64)]
    for flat, cell in zip(expected.all_weights, cells, strict=True):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        cell.load_state_dict(dict(zip(names, flat, strict=True)))
    ours = RecurrentLayer(cells)
    hx = randn(2, 3, 4), randn(2, 3, 4)
    output, (h_n, c_n) = ours(randn_input := randn(7, 3, 3), hx)
    want, (h, c) = expected(randn_input, hx)
    for name, g, e in (("output", output, want), ("h_n", h_n, h), ("c_n", c_n, c)):
        assert_matches(name, g, e, steps=7)
    packed = pack_sequence([randn(n, 3) for n in (2, 5, 4)], enforce_sorted=False)
    output, (h_n, c_n) = ours(packed, hx)
    want, (h, c) = expected(packed, hx)
    for name, g, e in (("output", output.data, want.data), ("h_n", h_n, h), ("c_n", c_n, c)):
        assert_matches(name, g, e, steps=7)


def test_stream_of_a_paired_state():
    layer, input = RecurrentLayer(Oscillator()), randn(6, 2, 3)
    dt = torch.rand(6, 2, dtype=torch.float64)
    whole, h_n = layer(input, dt=dt)
    state = None
    for x, time in zip(input, dt, strict=True):
        output, state = layer.step(x, state, time)
    assert_matches("output", output, whole[-1])
    for got, expected in zip(state, h_n, strict=True):
        assert_matches("state", got, expected)


def test_dt_scales_the_cells_own_step():
    layer, input = RecurrentLayer(Oscillator()), randn(6, 2, 3)
    assert_matches("output", layer(input, dt=torch.ones(6).double())[0], layer(input)[0])
    moved, still = layer(input, dt=torch.zeros(6, 2).double())[1]
    assert not moved.any()
    assert not still.any()


def test_dt_without_a_cell_that_takes_it():
    with pytest.raises(TypeError, match=r"whose forward takes `dt`.*got GRUCell"):
        RecurrentLayer(nn.GRUCell(3, 4))(torch.randn(6, 2, 3), dt=torch.ones(6, 2))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (lambda: (nn.Linear(3, 4),), TypeError, "cells with `input_size` and `hidden_size`"),
        (lambda: ([],), ValueError, r"expected 1 cell\(s\) for each layer.*got 0"),
        (
            lambda: ([nn.GRUCell(3, 4), nn.GRUCell(3, 4)],),
            ValueError,
            r"cell 1 .* \(4, 4\), got \(3, 4\)",
        ),
        (lambda: ([nn.GRUCell(3, 4), nn.GRUCell(4, 5)],), ValueError, r"\(4, 4\), got \(4, 5\)"),
    ],
)
def test_cells_that_do_not_fit(arguments, error, message):
    with pytest.raises(error, match=message):
        RecurrentLayer(*arguments())


def test_bidirectional_needs_pairs():
    with pytest.raises(ValueError, match=r"expected 2 cell\(s\) .* bidirectional=True, got 1"):
        RecurrentLayer(LipschitzRNNCell(3, 4), bidirectional=True)


def test_compiles_without_a_graph_break():
    layer, input = RecurrentLayer(Oscillator()), randn(4, 2, 3)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert_matches("output", compiled(input)[0], layer(input)[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_cells_and_layer_agree_in_every_precision(dtype):
    """The state is carried in float32 in both; 800 steps of bfloat16 would be 9 % off."""
    layer = LipschitzRNN(3, 4, step_size=0.01, dtype=dtype)
    cells = RecurrentLayer(LipschitzRNNCell(3, 4, step_size=0.01, dtype=dtype))
    flat = {k.replace("_l0", ""): v for k, v in layer.state_dict().items()}
    cells.cells[0].load_state_dict(flat)
    input = torch.randn(800, 2, 3, dtype=dtype)
    output, h_n = cells(input)
    assert output.dtype == dtype
    assert_matches("output", output, layer(input)[0], steps=800)
    assert_matches("h_n", h_n, layer(input)[1], steps=800)


def test_dt_reaches_a_compiled_cell():
    cell = LipschitzRNNCell(3, 4, dtype=torch.float64)
    input, dt = randn(3, 2, 3), torch.rand(3, 2).double()
    compiled = RecurrentLayer(torch.compile(cell, backend="eager"))
    with torch.no_grad():
        got, _ = compiled(input, dt=dt)
        assert_matches("output", got, RecurrentLayer(cell)(input, dt=dt)[0])
