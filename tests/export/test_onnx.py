"""Lipschitz layers and whole models as ONNX, run in onnxruntime and compared with themselves."""

import json

import onnx
import pytest
import torch
from export.onnx_models import (
    UNITS,
    Slow,
    assert_same,
    draw,
    lipschitz,
    randomised,
    run_file,
    run_model,
)
from matching import assert_matches
from torch import nn

import lipschitz_rnn
from lipschitz_rnn import (
    LanguageModel,
    LipschitzRNN,
    RecurrentLayer,
    SequenceClassifier,
    SequenceRegressor,
)
from lipschitz_rnn.export import export_onnx, export_onnx_step


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("dt", [False, True], ids=["", "dt"])
@pytest.mark.parametrize("unit", UNITS)
def test_a_layer(path, unit, dt, dtype):
    model = randomised(lipschitz(**UNITS[unit]), dtype)
    made = export_onnx(model, path, dt=dt)
    assert_same(path, model, dt=dt)
    assert made.difference <= 64 * torch.finfo(dtype).eps
    assert made.compared_by.startswith("onnxruntime")
    assert made.size == path.stat().st_size


ENCODER = nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Dropout(0.5))
MODELS = {
    "classes": lambda: SequenceClassifier(lipschitz(num_layers=2), 4),
    "classes, both directions": lambda: SequenceClassifier(lipschitz(bidirectional=True), 4),
    "numbers": lambda: SequenceRegressor(lipschitz(batch_first=True), 2, bias=False, dropout=0.5),
    "numbers, every step": lambda: SequenceRegressor(
        lipschitz(batch_first=True, bidirectional=True), 2, every_step=True
    ),
    "encoder": lambda: SequenceClassifier(LipschitzRNN(4, 5), 4, encoder=ENCODER),
    "from matrices": lambda: LipschitzRNN.from_matrices(
        [[-1.0, 0.0], [1.0, -1.0]], [[0.5, 0.0], [0.0, 0.5]], [[1.0] * 3] * 2, step_size=0.1
    ),
}


@pytest.mark.parametrize("dt", [False, True], ids=["", "dt"])
@pytest.mark.parametrize("name", MODELS)
def test_a_model(path, name, dt):
    model = randomised(MODELS[name]())
    export_onnx(model, path, dt=dt)
    assert_same(path, model, dt=dt)


def test_an_encoder_in_single_precision(path):
    """Where ONNX has numbers of the model, such as the 1e-5 of a norm, in float32 always."""
    encoder = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.GELU())
    model = SequenceClassifier(LipschitzRNN(4, 5), 4, encoder=encoder)
    model = randomised(model, torch.float32)
    export_onnx(model, path)
    assert_same(path, model)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_language_model(path, batch_first):
    rnn = LipschitzRNN(6, 6, 2, step_size=0.2, batch_first=batch_first)
    model = randomised(LanguageModel(rnn, 11, tie_weights=True))
    made = export_onnx(model, path)
    assert_same(path, model, symbols=11)
    layout = ("B", "T") if batch_first else ("T", "B")
    assert made.inputs == {"tokens": layout, "hx": (2, "B", 6)}
    assert made.outputs == {"logits": (*layout, 11), "h_n": (2, "B", 6)}


def test_symbols_into_a_classifier(path):
    model = randomised(SequenceClassifier(LipschitzRNN(4, 5), 2, encoder=nn.Embedding(9, 4)))
    export_onnx(model, path)
    assert_same(path, model, symbols=9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("dt", [False, True], ids=["", "dt"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_steps_of_a_stream_are_the_whole_sequence(tmp_path, batch_first, dt, dtype):
    steps, batch = 30, 3
    rnn = lipschitz(num_layers=2, method="midpoint", batch_first=batch_first)
    model = randomised(SequenceRegressor(rnn, 4, every_step=True), dtype)
    made = export_onnx_step(model, tmp_path / "step.onnx", dt=dt)
    export_onnx(model, tmp_path / "whole.onnx", dt=dt)
    input, hx, times = draw(model, steps, batch, dt=dt)
    answers, h = [], hx
    axis = 1 if batch_first else 0
    for t in range(steps):
        now = None if times is None else times.select(axis, t)
        answer, h = run_file(tmp_path / "step.onnx", input.select(axis, t), h, now)
        answers.append(answer)
    streamed = [torch.stack(answers, axis), h]
    known = run_model(model, input, hx, times)
    whole = run_file(tmp_path / "whole.onnx", input, hx, times)
    for got, sequence, expected in zip(streamed, whole, known, strict=True):
        assert_matches("stream", got, expected, steps=steps)
        assert_matches("sequence", sequence, expected, steps=steps)
    assert made.inputs == {"input": ("B", 3), "hx": (2, "B", 5), **({"dt": ("B",)} if dt else {})}
    assert made.outputs == {"output": ("B", 4), "h_n": (2, "B", 5)}


@pytest.mark.parametrize("last", ["classes", "layer", "symbols"])
def test_a_step_is_that_of_the_layer(path, last):
    layer = randomised(lipschitz(num_layers=2))
    input, h = torch.randn(3, 3).double(), torch.randn(2, 3, 5).double()
    model = {"classes": SequenceClassifier(layer, 4), "layer": layer}.get(last)
    with torch.no_grad():
        if last == "symbols":
            model, input = LanguageModel(layer, 7), torch.tensor([0, 6, 3])
            output, h_n = layer.step(model.encoder(input), h)
        else:
            output, h_n = layer.step(input, h)
        known = output if last == "layer" else model.head(output)
    export_onnx_step(model, path)
    for got, expected in zip(run_file(path, input, h), (known, h_n), strict=True):
        assert_matches(last, got, expected)


def test_a_cell_of_a_users_own(path):
    model = randomised(RecurrentLayer([Slow()]))
    export_onnx(model, path)
    assert_same(path, model)


class Held(nn.Module):
    """A pair of which one part stays and the other is a copy of it: no input is read."""

    input_size, hidden_size = 3, 5

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(5))

    def forward(self, input, state=None):
        zeros = input.new_zeros(len(input), 5) if state is None else state[0]
        return zeros, zeros


def test_a_cell_that_does_nothing(path):
    model = RecurrentLayer([Held()]).double()
    export_onnx(model, path)
    assert_same(path, model, parts=2)


def test_what_the_file_says(path):
    model = SequenceClassifier(lipschitz(num_layers=2, bidirectional=True, batch_first=True), 4)
    made = export_onnx(model, path, dt=True, lengths=True)
    first = path.read_bytes()
    file = onnx.load(path)
    onnx.checker.check_model(file, full_check=True)
    assert [(one.domain, one.version) for one in file.opset_import] == [("", 17)]
    assert (file.ir_version, file.producer_name) == (8, "lipschitz-rnn")
    assert file.producer_version == lipschitz_rnn.__version__
    kinds = [node.op_type for node in file.graph.node]
    assert kinds.count("Scan") == 4  # a loop for each layer and direction, none unrolled
    told = {one.key: json.loads(one.value) for one in file.metadata_props}
    assert told["model"] == "SequenceClassifier"
    assert told["layer"].startswith("LipschitzRNN(3, 5, num_layers=2, step_size=0.2")
    assert told["step_size"] == [0.2] * 4
    assert told["inputs"] == {name: list(shape) for name, shape in made.inputs.items()}
    sizes = {
        value.name: tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in (*file.graph.input, *file.graph.output)
    }
    assert sizes == made.inputs | made.outputs
    weights = sum(p.numel() for p in model.parameters()) * 4
    assert made.size < weights + 12_000  # some thirty nodes for each of the four units
    export_onnx(model, path, dt=True, lengths=True)
    assert path.read_bytes() == first


def test_the_model_stays_as_it_was(path):
    model = lipschitz(num_layers=2, dropout=0.5, trainable=("step_size",)).train()
    before = {name: p.clone() for name, p in model.named_parameters()}
    export_onnx(model, path)
    assert model.training
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.requires_grad
    assert nn.utils.parametrize.is_parametrized(model, "weight_a_l0")
