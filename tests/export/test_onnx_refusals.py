"""What cannot be a graph is refused, and then no file is touched."""

import subprocess
import sys

import onnx
import pytest
import torch
from export.onnx_models import lipschitz, randomised
from torch import nn

from lipschitz_rnn import LanguageModel, LipschitzRNN, SequenceClassifier
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.export import export_onnx, export_onnx_step
from lipschitz_rnn.nn import make_layer
from lipschitz_rnn.ops import Nonlinearity


class Cube(nn.Module):
    def forward(self, x):
        return x.clamp(-1, 1)


def spoilt():
    layer = LipschitzRNN(2, 3)
    with torch.no_grad():
        layer.weight_ih_l0[0, 0] = float("nan")
    return layer


ODD = Nonlinearity("odd", torch.erfinv, 0.0, 1.0)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda: lipschitz().bfloat16(), {}, r"float32 or float64, got torch.bfloat16.*\.float"),
        (lambda: LanguageModel(LipschitzRNN(3, 3), 5), {"dt": True}, "LanguageModel"),
        (lambda: LanguageModel(LipschitzRNN(3, 3), 5), {"lengths": True}, "LanguageModel"),
        (lambda: make_layer("cayley", 3, 4), {"dt": True}, "takes `dt`"),
        (lambda: nn.LSTM(3, 4, proj_size=2), {}, "without projections.*LSTM"),
        (lambda: nn.Linear(3, 4), {}, "expected a LipschitzRNN.*Linear"),
        (spoilt, {}, "finite weights"),
        (lambda: lipschitz(nonlinearity=ODD), {}, "'erfinv'.*torch.onnx.export"),
        (
            lambda: SequenceClassifier(lipschitz(), 2, encoder=Cube()),
            {},
            "'clamp'",
        ),
        (
            lambda: SequenceClassifier(
                LipschitzRNN(4, 3), 2, encoder=nn.Embedding(5, 4, max_norm=1.0)
            ),
            {},
            "max_norm",
        ),
        (
            lambda: SequenceClassifier(lipschitz(), 2, encoder=nn.GELU()).double(),
            {},
            r"Erf.*model\.float",
        ),
    ],
)
def test_what_has_no_graph_says_why(tmp_path, make, options, message):
    path = tmp_path / "model.onnx"
    path.write_text("before")
    with pytest.raises(InputError, match=message):
        export_onnx(make(), path, **options)
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]


def test_a_stream_has_no_future(tmp_path):
    with pytest.raises(InputError, match=r"export_onnx_step.*bidirectional=False"):
        export_onnx_step(lipschitz(bidirectional=True), tmp_path / "model.onnx")


@pytest.mark.parametrize("runtime", ["onnxruntime", "reference"])
def test_a_graph_that_is_not_the_model_is_not_written(tmp_path, monkeypatch, runtime):
    if runtime == "reference":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = lipschitz()
    model.register_forward_hook(lambda module, args, result: (result[0] * 1.01, result[1]))
    with pytest.raises(RuntimeError, match=r"differs from the model by 0\.0.*hooks"):
        export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        export_onnx(lipschitz(), tmp_path / "no" / "model.onnx")


@pytest.mark.parametrize(
    "options",
    [{}, {"num_layers": 2, "bidirectional": True}, {"nonlinearity": "softplus", "gated": True}],
    ids=str,
)
def test_without_onnxruntime_the_reference_of_onnx_compares(tmp_path, monkeypatch, options):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = randomised(lipschitz(**options))
    made = export_onnx(model, tmp_path / "model.onnx", dt=True, lengths=True)
    assert made.compared_by == f"onnx.reference {onnx.__version__}"
    assert made.difference <= 64 * torch.finfo(torch.float64).eps


def test_without_onnx_one_line_says_what_to_install(tmp_path):
    """In a process of its own: the rest of the package is imported and works without it."""
    code = (
        "import sys\n"
        "sys.modules['onnx'] = sys.modules['onnxruntime'] = sys.modules['onnxscript'] = None\n"
        "from lipschitz_rnn import LipschitzRNN\n"
        "from lipschitz_rnn.export import c_header, export_onnx\n"
        "c_header(LipschitzRNN(2, 3))\n"
        "try:\n"
        "    export_onnx(LipschitzRNN(2, 3), 'model.onnx')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert found.stdout == (
        "export_onnx: expected the package onnx, but it is not installed. "
        'Try `pip install "lipschitz-rnn[onnx]"`.\n'
    )
    assert not list(tmp_path.iterdir())
