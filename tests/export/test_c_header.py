"""Models as C: compiled without a warning, and compared with the models themselves."""

import copy
import ctypes
import shutil
import subprocess

import numpy as np
import pytest
import torch
from torch import nn

from lipschitz_rnn import LipschitzRNN, RecurrentLayer, SequenceClassifier, SequenceRegressor
from lipschitz_rnn.export import c_header
from lipschitz_rnn.export.c_compared import compare_c
from lipschitz_rnn.nn import AntisymmetricRNNCell, LanguageModel, ResidualRNNCell
from lipschitz_rnn.nn.pooled import PooledRegressor
from lipschitz_rnn.ops import NONLINEARITIES, RK4, ButcherTableau, Nonlinearity

COMPILER = shutil.which("cc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")

WRAPPER = """
#include "model.h"
void run(int steps, const model_real *input, const model_real *dt, model_real *states,
         model_real *answers) {
  model_real state[MODEL_STATE];
  model_reset(state);
  for (int t = 0; t < steps; t++) {
    model_step(state, input + t * MODEL_INPUTS, dt[t]);
    for (int i = 0; i < MODEL_STATE; i++) states[t * MODEL_STATE + i] = state[i];
  }
  ANSWER
}
"""
FLAGS = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-pedantic")


def compiled(folder, text, flags=FLAGS, answers=True):
    (folder / "model.h").write_text(text)
    answer = "model_answer(state, answers);" if answers else "(void)answers;"
    (folder / "run.c").write_text(WRAPPER.replace("ANSWER", answer))
    library = folder / "run.so"
    command = [COMPILER, *flags, "-shared", "-fPIC", folder / "run.c", "-o", library, "-lm"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def run_c(folder, model, input, dt, outputs):
    layer = getattr(model, "rnn", model)
    dtype = np.float64 if next(model.parameters()).dtype == torch.float64 else np.float32
    library = compiled(folder, c_header(model), answers=outputs > 0)
    x, times = input.numpy().astype(dtype), dt.numpy().astype(dtype)
    states = np.zeros((len(x), layer.hidden_size * layer.num_layers), dtype)
    answers = np.zeros(max(outputs, 1), dtype)
    pointers = (part.ctypes.data_as(ctypes.c_void_p) for part in (x, times, states, answers))
    library.run(ctypes.c_int(len(x)), *pointers)
    return torch.from_numpy(states), torch.from_numpy(answers)


def randomised(model, dtype):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.to(dtype).eval()


UNITS = {
    "euler": lambda: LipschitzRNN(3, 5, step_size=0.2),
    "midpoint": lambda: LipschitzRNN(3, 5, step_size=0.2, method="midpoint"),
    "heun": lambda: LipschitzRNN(3, 5, step_size=0.2, method="heun"),
    "rk4": lambda: LipschitzRNN(3, 5, step_size=0.2, method=RK4),
    "substeps": lambda: LipschitzRNN(3, 5, step_size=0.2, substeps=3, bias=False),
    "stacked": lambda: LipschitzRNN(3, 4, 3, step_size=0.2),
    "without A": lambda: LipschitzRNN(3, 5, step_size=0.2, alpha=0.0),
    "residual": lambda: RecurrentLayer(ResidualRNNCell(3, 5, step_size=0.2)),
    "antisymmetric": lambda: RecurrentLayer(AntisymmetricRNNCell(3, 5, step_size=0.2)),
    **{
        f"nonlinearity {name}": lambda name=name: LipschitzRNN(3, 4, nonlinearity=name)
        for name in NONLINEARITIES
    },
}


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("unit", UNITS)
def test_states_and_answers_are_those_of_the_model(tmp_path, unit, dtype):
    model = randomised(SequenceClassifier(UNITS[unit](), 4), dtype)
    generator = torch.Generator().manual_seed(1)
    input = torch.randn(12, 3, generator=generator).to(dtype)
    dt = (0.5 + torch.rand(12, generator=generator)).to(dtype)
    states, answers = run_c(tmp_path, model, input, dt, 4)
    with torch.no_grad():
        known = model(input.unsqueeze(1), dt=dt)[0]
        output = model.rnn(input.unsqueeze(1), dt=dt)[0][:, 0]
    top = states[:, -model.rnn.hidden_size :]
    # sums of some ten numbers, in another order, over twelve steps that amplify little
    bound = 256 * torch.finfo(dtype).eps
    difference, _ = compare_c(model, c_header(model, name="own"), "own")
    assert 0 < difference <= 8 * bound
    assert (top - output).abs().max() <= bound * output.abs().max().clamp_min(1)
    assert (answers - known).abs().max() <= bound * output.abs().max().clamp_min(1) * 8
    assert output.abs().max() > 0.1


@needs_compiler
def test_a_regressor_and_a_bare_layer(tmp_path):
    model = randomised(SequenceRegressor(LipschitzRNN(2, 3), 2, bias=False), torch.float64)
    input, dt = torch.randn(5, 2).double(), torch.ones(5).double()
    states, answers = run_c(tmp_path, model, input, dt, 2)
    with torch.no_grad():
        assert torch.allclose(answers, model(input.unsqueeze(1))[0], rtol=1e-13, atol=1e-14)
    (tmp_path / "bare").mkdir()
    alone, _ = run_c(tmp_path / "bare", model.rnn, input, dt, 0)
    assert torch.equal(alone, states)
    assert "ANSWERS" not in c_header(model.rnn)
    assert compare_c(model.rnn, c_header(model.rnn))[0] < 1e-13


@needs_compiler
def test_a_header_of_other_weights_is_found_out():
    model = SequenceClassifier(LipschitzRNN(2, 3), 2).half()
    header = c_header(model)
    assert compare_c(model, header)[0] < 1e-6
    assert compare_c(model, "no C") == (None, f"{COMPILER} could not compile it")
    with torch.no_grad():
        model.head.bias += 0.01
    with pytest.raises(RuntimeError, match=r"differs from the model by 0\.0.*nothing was written"):
        compare_c(model, header)


@needs_compiler
@pytest.mark.parametrize("kind", [SequenceClassifier, SequenceRegressor])
def test_a_model_that_answers_at_every_step(tmp_path, kind):
    """The same arithmetic: the head may be asked after any step."""
    model = randomised(kind(LipschitzRNN(2, 3, 2), 2, every_step=True, dropout=0.5), torch.float64)
    input, dt = torch.randn(5, 2).double(), torch.ones(5).double()
    for steps in (1, 3, 5):
        _, answers = run_c(tmp_path, model, input[:steps], dt[:steps], 2)
        with torch.no_grad():
            known = model(input.unsqueeze(1))[steps - 1, 0]
        assert torch.allclose(answers, known, rtol=1e-13, atol=1e-14)
    once = kind(model.rnn, 2).double().eval()
    once.head = model.head
    assert c_header(model) == c_header(once)


@needs_compiler
@pytest.mark.parametrize("language", ["c99", "c++11"])
def test_two_models_in_one_program(tmp_path, language):
    compiler = COMPILER if language == "c99" else shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    for name in ("one", "two"):
        text = c_header(SequenceClassifier(LipschitzRNN(2, 3), 2), name=name)
        (tmp_path / f"{name}.h").write_text(text)
    main = '#include "one.h"\n#include "one.h"\n#include "two.h"\n'
    main += "int main(void) { float h[3], x[2] = {0, 0}, y[2]; one_reset(h); one_step(h, x, 1);"
    main += " two_step(h, x, 1); one_answer(h, y); two_reset(h); two_answer(h, y); return 0; }\n"
    source = tmp_path / ("main.c" if language == "c99" else "main.cpp")
    source.write_text(main)
    command = [
        compiler,
        f"-std={language}",
        "-Wall",
        "-Werror",
        source,
        "-o",
        tmp_path / "x",
        "-lm",
    ]
    subprocess.run(command, check=True)
    subprocess.run([tmp_path / "x"], check=True)


def test_weights_come_back_to_the_last_bit():
    model = LipschitzRNN(2, 3)
    text = c_header(model)
    block = text.split("model_l0_u[3][2] = {")[1].split("};")[0]
    numbers = [float(part.strip(" {}\nf")) for part in block.split(",")]
    known = model.weight_ih_l0.detach().numpy().ravel()
    assert np.array_equal(np.array(numbers, np.float32), known)


RALSTON = ButcherTableau("ralston", 2, ((2 / 3,),), (0.25, 0.75), (0.0, 2 / 3))


@needs_compiler
def test_a_method_of_a_users_own(tmp_path):
    layer = randomised(LipschitzRNN(2, 3, step_size=0.3, method=RALSTON), torch.float64)
    input, dt = torch.randn(6, 2).double(), torch.ones(6).double()
    states, _ = run_c(tmp_path, layer, input, dt, 0)
    with torch.no_grad():
        output = layer(input.unsqueeze(1))[0][:, 0]
    assert torch.allclose(states, output, rtol=1e-13, atol=1e-14)


def with_deep_head():
    model = SequenceRegressor(LipschitzRNN(2, 3), 2)
    model.head = nn.Sequential(model.head, nn.ReLU())
    return model


OWN = Nonlinearity("tanh", lambda x: x.tanh() * 2, 0.0, 2.0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LipschitzRNN(2, 3, gated=True), ValueError, "gated"),
        (lambda: LipschitzRNN(2, 3, bidirectional=True), ValueError, "whole sequence"),
        (lambda: LipschitzRNN(2, 3, nonlinearity=OWN), ValueError, "C does not know"),
        (lambda: nn.GRU(2, 3), TypeError, "GRU"),
        (
            lambda: SequenceClassifier(LipschitzRNN(3, 3), 2, encoder=nn.Linear(2, 3)),
            ValueError,
            "an encoder Linear",
        ),
        (lambda: PooledRegressor(LipschitzRNN(2, 3), 2), ValueError, "got a PooledRegressor"),
        (lambda: LanguageModel(LipschitzRNN(2, 3), 9), ValueError, "got a LanguageModel"),
        (lambda: with_deep_head(), ValueError, "a head Sequential"),
        (lambda: SequenceRegressor(LipschitzRNN(2, 3), 2, dropout=0.1), ValueError, "model.eval"),
    ],
)
def test_what_has_no_header_says_why(make, error, message):
    with pytest.raises(error, match=message):
        c_header(make())


def test_names_and_weights_that_c_cannot_have():
    with pytest.raises(ValueError, match="C identifier"):
        c_header(LipschitzRNN(2, 3), name="my model")
    model = SequenceClassifier(LipschitzRNN(2, 3), 2)
    for name in (n for n, p in model.named_parameters() if p.numel() > 1):
        spoiled = copy.deepcopy(model)
        with torch.no_grad():
            spoiled.get_parameter(name).view(-1)[-1] = float("nan")
        with pytest.raises(ValueError, match="not finite"):
            c_header(spoiled)
