"""``export``: the model of a run in each format, compared with the model that the run loads."""

import json
import re

import numpy as np
import onnxruntime
import pytest
import torch

from lipschitz_rnn.cli import main
from lipschitz_rnn.experiments import load_trained
from lipschitz_rnn.export import c_header

NAMES = {
    "onnx": "model.onnx",
    "onnx-step": "model-step.onnx",
    "torch": "model.pt2",
    "c": "model.h",
}


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Make a run of a preset with few features, once for each set of settings."""
    made = {}

    def run(preset, *settings):
        key = (preset, *settings)
        if key not in made:
            folder = made[key] = tmp_path_factory.mktemp("runs") / "run"
            few = ("model.hidden_size=4", "training.epochs=1", "training.threads=1", *settings)
            options = [part for setting in few for part in ("--set", setting)]
            assert main(["train", preset, *options, "--quiet", "--out", str(folder)]) == 0
        return made[key]

    return run


@pytest.fixture
def digits(train):
    return train("digits", "data.train_size=64")


@pytest.fixture
def pendulum(train):
    return train("pendulum", "data.sample_count=60", "data.validation_size=6", "data.steps=12")


def output(capsys, *arguments):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def fail(capsys, *arguments):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_onnx_is_the_model(capsys, digits):
    out = output(capsys, "export", digits, "--format", "onnx")
    file = digits / "model.onnx"
    size = rf"{file.stat().st_size:,}"
    told = rf"{re.escape(str(file))}: {size} bytes\n"
    told += r"inputs: input \(B, T, 8\), hx \(1, B, 4\)\n"
    told += r"outputs: logits \(B, 10\), h_n \(1, B, 4\)\n"
    told += r"differs from the model by \d\S* at most \(onnxruntime \S+\)\n"
    assert re.fullmatch(told, out)
    input, hx = torch.rand(3, 8, 8), torch.zeros(1, 3, 4)
    feeds = {"input": input.numpy(), "hx": hx.numpy()}
    logits, _ = onnxruntime.InferenceSession(str(file)).run(None, feeds)
    with torch.no_grad():
        known = load_trained(digits).model(input).numpy()
    np.testing.assert_allclose(logits, known, rtol=1e-5, atol=1e-6)


def test_irregular_times_and_lengths_go_in(capsys, pendulum, tmp_path):
    command = ("export", pendulum, "--format", "onnx", "--lengths", "--weights", "last", "--json")
    found = json.loads(output(capsys, *command, "--output", tmp_path / "a.onnx"))
    assert list(found["inputs"]) == ["input", "hx", "dt", "lengths"]
    assert (found["weights"], found["format"]) == ("last", "onnx")
    assert found["path"] == str(tmp_path / "a.onnx")
    assert found["size"] == (tmp_path / "a.onnx").stat().st_size
    assert 0 <= found["difference"] < 1e-5
    assert not (pendulum / "model.onnx").exists()
    command = ("export", pendulum, "--format", "onnx-step", "--json")
    found = json.loads(output(capsys, *command))
    assert found["inputs"]["dt"] == ["B"]
    assert (pendulum / "model-step.onnx").exists()


@pytest.mark.slow
def test_torch(capsys, digits):
    out = output(capsys, "export", digits, "--format", "torch")
    assert f"differs from the model by 0 at most (torch {torch.__version__})" in out
    program = torch.export.load(digits / "model.pt2").module()
    input = torch.rand(3, 8, 8)
    with torch.no_grad():
        assert torch.equal(
            program(input, torch.zeros(1, 3, 4))[0], load_trained(digits).model(input)
        )


def test_c_has_the_name_of_its_file(capsys, digits, tmp_path):
    file = tmp_path / "gesture.h"
    out = output(capsys, "export", digits, "--format", "c", "--output", file)
    told = rf"{re.escape(str(file))}: {file.stat().st_size:,} bytes\n"
    told += r"(differs from the model by \d\S* at most \(\w+\)|not compared with the model: .*)\n"
    assert re.fullmatch(told, out)
    assert file.read_text() == c_header(load_trained(digits).model, name="gesture")
    output(capsys, "export", digits, "--format", "c", "--output", tmp_path / "my-model.h")
    assert "model_step(" in (tmp_path / "my-model.h").read_text()


@pytest.mark.parametrize("format", ["onnx", "onnx-step"])
def test_units_of_torch(capsys, train, format):
    run = train("digits", "data.train_size=64", "model.unit=lstm")
    out = output(capsys, "export", run, "--format", format)
    assert "hx_h (1, B, 4), hx_c (1, B, 4)" in out


@pytest.mark.parametrize(
    ("format", "message"),
    [("c", "error: c_header: .*GRU"), ("torch", "error: export_torch: .*GRU.*one length")],
)
def test_what_cannot_be_exported_is_one_line(capsys, train, format, message):
    run = train("digits", "data.train_size=64", "model.unit=gru")
    assert re.match(message, fail(capsys, "export", run, "--format", format))
    assert not (run / NAMES[format]).exists()


def test_lengths_are_for_sequences(capsys, digits):
    told = fail(capsys, "export", digits, "--format", "c", "--lengths")
    assert "--format onnx, got c" in told


def test_a_c_header_without_a_compiler_is_not_compared(capsys, monkeypatch, digits, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    command = "export", digits, "--format", "c", "--output", tmp_path / "a.h"
    out = output(capsys, *command)
    assert out.endswith("not compared with the model: no C compiler (cc, gcc, clang) was found\n")
    found = json.loads(output(capsys, *command, "--json"))
    assert found["difference"] is None


def test_a_folder_is_no_file(capsys, digits, tmp_path):
    told = fail(capsys, "export", digits, "--format", "onnx", "--output", tmp_path)
    assert "got a folder. Name one in it, such as" in told
    assert str(tmp_path / "model.onnx") in told
    assert not tmp_path.with_name(tmp_path.name + ".tmp").exists()


def test_no_run_and_no_folder(capsys, digits, tmp_path):
    fail(capsys, "export", tmp_path, "--format", "onnx")
    told = fail(
        capsys, "export", digits, "--format", "onnx", "--output", tmp_path / "no" / "a.onnx"
    )
    assert "No such file" in told
