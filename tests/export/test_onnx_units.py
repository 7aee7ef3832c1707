"""Every unit of the library and of torch as ONNX; padded sequences."""

import pytest
import torch
from export.onnx_models import assert_same, draw, layer_of, lipschitz, randomised, run_file
from matching import assert_matches
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lipschitz_rnn import LipschitzRNNCell, RecurrentLayer, SequenceClassifier, SequenceRegressor
from lipschitz_rnn.export import export_onnx, export_onnx_step
from lipschitz_rnn.nn import UNITS, make_layer

PAIRS = {"cornn", "lem", "lstm"}


def parts_of(name):
    return 2 if name in PAIRS else 1


@pytest.mark.parametrize("name", UNITS)
def test_a_unit(tmp_path, name):
    # torch's own start uniform within 1/sqrt(5); orthogonal matrices stay orthogonal
    model = SequenceClassifier(make_layer(name, 3, 5, 2), 4).double().eval()
    export_onnx(model, tmp_path / "model.onnx")
    assert_same(tmp_path / "model.onnx", model, parts=parts_of(name))


@pytest.mark.parametrize("name", [name for name in UNITS if UNITS[name].takes_dt])
def test_a_unit_along_irregular_times(tmp_path, name):
    model = make_layer(name, 3, 5).double().eval()
    export_onnx(model, tmp_path / "model.onnx", dt=True)
    assert_same(tmp_path / "model.onnx", model, parts=parts_of(name), dt=True)


@pytest.mark.parametrize("name", UNITS)
def test_a_step_of_a_unit(tmp_path, name):
    model = make_layer(name, 3, 5, 2).double().eval()
    made = export_onnx_step(model, tmp_path / "model.onnx")
    input, hx, _ = draw(model, 1, 4, parts=parts_of(name))
    with torch.no_grad():
        output, h_n = model(input, hx)
    known = [output[0], *(h_n if isinstance(h_n, tuple) else (h_n,))]
    found = run_file(tmp_path / "model.onnx", input[0], hx)
    for got, expected in zip(found, known, strict=True):
        assert_matches(name, got, expected)
    states = {"lstm": ["hx_h", "hx_c"], "cornn": ["hx_y", "hx_z"], "lem": ["hx_y", "hx_z"]}
    assert list(made.inputs)[1:] == states.get(name, ["hx"])
    assert list(made.outputs)[1:] == [f"{one[-1]}_n" for one in states.get(name, ["h"])]


CELLS = {
    "RNNCell": lambda: [nn.RNNCell(3, 5, nonlinearity="relu", bias=False), nn.RNNCell(5, 5)],
    "GRUCell": lambda: [nn.GRUCell(3, 5), nn.GRUCell(5, 5, bias=False)],
    "LSTMCell": lambda: [nn.LSTMCell(3, 5), nn.LSTMCell(5, 5)],
    "LipschitzRNNCell": lambda: [LipschitzRNNCell(3, 5), LipschitzRNNCell(5, 5, gated=True)],
    "mixed": lambda: [nn.GRUCell(3, 5), LipschitzRNNCell(5, 5)],
}


@pytest.mark.parametrize("name", CELLS)
def test_cells_in_a_layer(tmp_path, name):
    model = randomised(RecurrentLayer(CELLS[name](), batch_first=True))
    export_onnx(model, tmp_path / "model.onnx")
    assert_same(tmp_path / "model.onnx", model, parts=2 if name == "LSTMCell" else 1)


def test_layers_of_torch_with_all_their_options(tmp_path):
    options = {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 0.5}
    for layer, parts in (
        (nn.RNN(3, 5, nonlinearity="relu", **options), 1),
        (nn.GRU(3, 5, bias=False, **options), 1),
        (nn.LSTM(3, 5, **options), 2),
    ):
        model = SequenceRegressor(layer, 2, every_step=True).double().eval()
        export_onnx(model, tmp_path / "model.onnx")
        assert_same(tmp_path / "model.onnx", model, parts=parts)


LENGTHS = torch.tensor([6, 1, 4, 3])


def pack(model, value):
    first = layer_of(model).batch_first
    return pack_padded_sequence(value, LENGTHS, first, enforce_sorted=False)


@pytest.mark.parametrize("dt", [False, True], ids=["", "dt"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_lengths_are_a_packed_sequence(tmp_path, method, batch_first, dt):
    model = randomised(
        lipschitz(num_layers=2, bidirectional=True, batch_first=batch_first, method=method)
    )
    export_onnx(model, tmp_path / "model.onnx", lengths=True, dt=dt)
    input, hx, times = draw(model, 6, 4, dt=dt)
    packed = None if times is None else pack(model, times)
    with torch.no_grad():
        output, h_n = model(pack(model, input), hx, dt=packed)
    known = pad_packed_sequence(output, batch_first)[0], h_n
    found = run_file(tmp_path / "model.onnx", input, hx, times, LENGTHS)
    for got, expected in zip(found, known, strict=True):
        assert_matches("packed", got, expected, steps=6)


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("name", UNITS)
def test_lengths_of_every_unit(tmp_path, name, every_step):
    rnn = make_layer(name, 3, 5, bidirectional=True, batch_first=True)
    model = SequenceRegressor(rnn, 2, every_step=every_step).double().eval()
    export_onnx(model, tmp_path / "model.onnx", lengths=True)
    input, hx, _ = draw(model, 8, 4, parts=parts_of(name))  # longer than the longest
    with torch.no_grad():
        known = model(input, hx, lengths=LENGTHS)
    found = run_file(tmp_path / "model.onnx", input, hx, LENGTHS)[0]
    assert_matches(name, found, known, steps=8)
    if every_step:
        assert not found[1, 1:].any()
