"""Programs of torch.export: the kernel inside, any length and batch, the same numbers."""

import subprocess
import sys

import pytest
import torch
from export.onnx_models import SIZES, UNITS, Slow, draw, lipschitz, randomised, run_model
from matching import assert_matches
from torch import nn

from lipschitz_rnn import (
    LanguageModel,
    LipschitzRNN,
    LipschitzRNNCell,
    RecurrentLayer,
    SequenceClassifier,
    SequenceRegressor,
    use_backend,
)
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.export import export_torch
from lipschitz_rnn.nn import UNITS as ALL
from lipschitz_rnn.nn import make_layer
from lipschitz_rnn.nn.patches import Patches, PatchModel
from lipschitz_rnn.nn.pooled import PooledRegressor
from lipschitz_rnn.ops import variants
from lipschitz_rnn.ops.backend import forced_name

HAS_KERNEL = variants() and forced_name() != "reference"
LOOP = "lipschitz_rnn.scan.default" if HAS_KERNEL else "scan"


def operators(program):
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


def assert_equal(path, model, **what):
    """The program that was saved, on batches and lengths of several sizes, to the last bit."""
    program = torch.export.load(path).module()
    for steps, batch in SIZES:
        input, hx, times = draw(model, steps, batch, **what)
        known = run_model(model, input, hx, times)
        with torch.no_grad():
            answers, h_n = program(input, hx, **({} if times is None else {"dt": times}))
        found = [answers, *(h_n if isinstance(h_n, tuple) else (h_n,))]
        for got, expected in zip(found, known, strict=True):
            assert torch.equal(got, expected)


def test_a_classifier_with_times(tmp_path):
    model = randomised(SequenceClassifier(lipschitz(batch_first=True), 4), torch.float32)
    made = export_torch(model, tmp_path / "model.pt2", dt=True)
    assert made.difference == 0
    assert made.compared_by == f"torch {torch.__version__}"
    assert made.inputs == {"input": ("B", "T", 3), "hx": (1, "B", 5), "dt": ("B", "T")}
    assert made.outputs == {"logits": ("B", 4), "h_n": (1, "B", 5)}
    assert_equal(tmp_path / "model.pt2", model, dt=True)
    found = operators(torch.export.load(tmp_path / "model.pt2"))
    assert found.count(LOOP) == 1
    assert nn.utils.parametrize.is_parametrized(model.rnn, "weight_a_l0")  # and still works:
    assert model.rnn.weight_a_l0.shape == (5, 5)


def test_the_loop_of_what_has_no_kernel(tmp_path):
    model = randomised(lipschitz(gated=True, method="heun"))
    export_torch(model, tmp_path / "model.pt2")
    assert_equal(tmp_path / "model.pt2", model)
    assert operators(torch.export.load(tmp_path / "model.pt2")).count("scan") == 1


@pytest.mark.slow
@pytest.mark.parametrize("dt", [False, True], ids=["", "dt"])
@pytest.mark.parametrize("unit", UNITS)
def test_every_option_of_a_layer(tmp_path, unit, dt):
    model = randomised(lipschitz(**UNITS[unit]))
    export_torch(model, tmp_path / "model.pt2", dt=dt)
    assert_equal(tmp_path / "model.pt2", model, dt=dt)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ALL if name not in {"rnn", "gru", "lstm"}])
def test_every_unit(tmp_path, name):
    model = SequenceRegressor(make_layer(name, 3, 5, 2, bidirectional=True), 2, every_step=True)
    model = model.eval()
    made = export_torch(model, tmp_path / "model.pt2")
    assert made.difference <= 64 * torch.finfo(torch.float32).eps  # not one order of sums


@pytest.mark.slow
def test_models_of_every_kind(tmp_path):
    path = tmp_path / "model.pt2"
    symbols = randomised(LanguageModel(LipschitzRNN(6, 6, 2, batch_first=True), 9))
    export_torch(symbols, path)
    assert_equal(path, symbols, symbols=9)
    encoder = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.LayerNorm(4))
    numbers = SequenceRegressor(LipschitzRNN(4, 5, bidirectional=True), 2, encoder=encoder)
    numbers = randomised(numbers)
    export_torch(numbers, path, dt=True)
    assert_equal(path, numbers, dt=True)
    cells = randomised(RecurrentLayer([LipschitzRNNCell(3, 5, constraint="contractive")]))
    export_torch(cells, path)
    assert_equal(path, cells)
    given = LipschitzRNN.from_matrices([[-1.0]], [[0.5]], [[1.0] * 3], step_size=0.1)
    export_torch(given, path)
    assert_equal(path, given)
    for cell in (nn.GRUCell(3, 5), nn.LSTMCell(3, 5), Slow()):
        layer = randomised(RecurrentLayer(cell))
        made = export_torch(layer, path)
        assert made.difference <= 64 * torch.finfo(torch.float64).eps


@pytest.mark.parametrize(
    ("patch", "window"), [(3, 5), pytest.param(1, 4, marks=pytest.mark.slow)], ids=str
)
def test_the_model_of_an_estimator(tmp_path, patch, window):
    layer = LipschitzRNN(2 * window, 5, step_size=0.3, batch_first=True, bidirectional=True)
    model = PatchModel(Patches(patch, window), PooledRegressor(layer, 3)).eval()
    made = export_torch(model, tmp_path / "model.pt2", dt=True)
    assert made.inputs == {"input": ("B", "T", 2), "dt": ("B", "T")}
    assert made.outputs == {"output": ("B", 3)}
    program = torch.export.load(tmp_path / "model.pt2").module()
    for batch, steps in ((3, 7), (1, patch + 1), (2, 40)):
        input, dt = torch.randn(batch, steps, 2), torch.rand(batch, steps)
        with torch.no_grad():
            assert torch.equal(program(input, dt=dt), model(input, dt=dt))
    if patch > 1:
        with pytest.raises(AssertionError, match=f"size.*1.* >= {patch + 1}"):
            program(torch.randn(1, patch, 2), dt=torch.rand(1, patch))


def test_layers_of_torch_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"GRU.*one length.*RecurrentLayer"):
        export_torch(SequenceClassifier(nn.GRU(3, 4), 2), tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


T, B = torch.export.Dim("T", min=1), torch.export.Dim("B", min=1)


@pytest.mark.parametrize(
    ("strict", "options"),
    [
        (False, {}),
        pytest.param(False, {"method": "rk4"}, marks=pytest.mark.slow),
        pytest.param(True, {}, marks=pytest.mark.slow),
        pytest.param(True, {"method": "rk4"}, marks=pytest.mark.slow),
        pytest.param(False, {"method": "midpoint", "memory": "recompute"}, marks=pytest.mark.slow),
        pytest.param(True, {"num_layers": 2, "bidirectional": True}, marks=pytest.mark.slow),
        pytest.param(False, {"trainable": ("step_size",)}, marks=pytest.mark.slow),
    ],
    ids=str,
)
# torch's, while it traces its own loop
@pytest.mark.filterwarnings("ignore:torch.compile is ignored when called inside torch.export")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_model_by_torchs_own_hands_trains(strict, options):
    """Exported as it is, with its parameters under their names: values and gradients."""
    model = randomised(SequenceClassifier(lipschitz(**options), 4))
    axes = ({0: T, 1: B},)
    example = (torch.randn(5, 4, 3).double(),)
    program = torch.export.export(model, example, dynamic_shapes=axes, strict=strict)
    found = program.module()
    assert dict(found.named_parameters()).keys() == dict(model.named_parameters()).keys()
    used = operators(program)
    assert ("scan" if options.get("method") == "rk4" else LOOP) in used
    for steps, batch in SIZES:
        input = torch.randn(steps, batch, 3).double()
        got, expected = found(input), model(input)
        assert_matches("logits", got, expected, steps=steps)
        grads = [
            dict(zip(names, torch.autograd.grad(y.square().sum(), parameters), strict=True))
            for y, (names, parameters) in (
                (got, zip(*found.named_parameters(), strict=True)),
                (expected, zip(*model.named_parameters(), strict=True)),
            )
        ]
        for name in grads[0]:
            assert_matches(name, grads[0][name], grads[1][name], steps=steps * batch)


def test_a_cell_that_begins_in_its_own_way_wants_a_state():
    model = RecurrentLayer(Slow()).eval()
    with pytest.raises(Exception, match=r"Slow: expected `hx` under torch.export"):
        torch.export.export(model, (torch.randn(5, 4, 3),), dynamic_shapes=({0: T, 1: B},))


def test_another_process_needs_the_library_alone(tmp_path):
    model = randomised(lipschitz(), torch.float32)
    export_torch(model, tmp_path / "model.pt2")
    input, hx, _ = draw(model, 6, 2)
    torch.save((input, hx, model(input, hx)[0]), tmp_path / "known.pt")
    code = (
        "import sys, torch, lipschitz_rnn.ops\n"
        "program = torch.export.load(sys.argv[1]).module()\n"
        "input, hx, known = torch.load(sys.argv[2])\n"
        "assert torch.equal(program(input, hx)[0], known)\n"
    )
    files = [str(tmp_path / name) for name in ("model.pt2", "known.pt")]
    subprocess.run([sys.executable, "-c", code, *files], check=True)


class Clamp(nn.Module):
    def forward(self, x):
        return x.clamp(-1, 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter's own making
def test_torchs_own_exporter_to_onnx(tmp_path):
    """The way out for what ``export_onnx`` refuses: it meets one loop as well."""
    from export.onnx_models import run_file

    model = SequenceClassifier(lipschitz(), 4, encoder=Clamp()).eval()
    path = tmp_path / "model.onnx"
    with use_backend("reference"):
        example = torch.randn(5, 4, 3)
        torch.onnx.export(
            model, (example,), path, dynamo=True, dynamic_shapes=({0: T, 1: B},), verbose=False
        )
    for steps, batch in SIZES:
        input = torch.randn(steps, batch, 3)
        with torch.no_grad():
            assert_matches("logits", run_file(path, input)[0], model(input), steps=steps)
