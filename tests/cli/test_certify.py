"""The verbs certify and verify, on small runs of digits."""

import dataclasses
import json
import math
import re
import shutil

import pytest

from lipschitz_rnn import analysis
from lipschitz_rnn.analysis.certificate_file import load_certificate
from lipschitz_rnn.cli import main
from lipschitz_rnn.experiments import load_trained
from lipschitz_rnn.training.checkpoint import load_checkpoint, save_checkpoint

SMALL = [
    "--set",
    "training.epochs=1",
    "--set",
    "training.threads=1",
    "--set",
    "model.hidden_size=6",
]
STABLE = ["--set", "model.gamma_a=6", "--set", "model.step_size=0.1"]


def trained(folder, *settings, preset="digits"):
    assert main(["train", preset, *SMALL, *settings, "--quiet", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certify")
    trained(folder / "stable", *STABLE)
    trained(folder / "wild", "--set", "model.step_size=0.5")
    return folder


@pytest.fixture
def run(runs, tmp_path):
    """Of a unit that contracts; and its certificate's path."""
    folder = shutil.copytree(runs / "stable", tmp_path / "run")
    return folder, folder / "certificate.json"


def call(capsys, *arguments):
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def fails(capsys, *arguments, expected):
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: .*\n", err), err
    assert re.search(expected, err), err


def test_a_stable_run_is_certified_and_verified(capsys, run):
    folder, path = run
    code, out, err = call(capsys, "certify", folder)
    assert (code, err) == (0, "")
    unit = load_certificate(path).units[0]
    row = rf"l0 +yes +{unit.rate:.4g} +{unit.contraction:.6g} +norm +\d+\.\d"
    assert re.search(row, out)
    assert "l0: the euler step contracts at rate" in out
    assert out.endswith(f"certificate: {path}\n")
    for model in ([], ["--model", folder]):
        code, out, err = call(capsys, "verify", path, *model)
        assert (code, err) == (0, "")
        assert "l0: certified: rate" in out
        whose = ", of the best weights" if model else ""
        line = rf"^certified: proved again for 1 unit{whose} \(\d+\.\d s\)$"
        assert re.search(line, out, re.MULTILINE)


def test_verify_finds_out_which_weights_a_file_is_of(capsys, run):
    folder, path = run
    tensors, meta = load_checkpoint(folder / "last.safetensors")
    tensors["model/rnn.weight_ih_l0"] *= 2
    save_checkpoint(folder / "last.safetensors", tensors, meta)
    assert call(capsys, "certify", folder, "--weights", "last")[0] == 0
    last = folder / "certificate-last.json"
    assert not path.exists()
    code, out, _ = call(capsys, "verify", last, "--model", folder)
    assert code == 0
    assert "of the last weights" in out
    code, out, _ = call(capsys, "verify", last, "--model", folder, "--weights", "best")
    assert code == 1
    assert "other weights" in out
    (folder / "last.safetensors").unlink()
    code, out, err = call(capsys, "verify", last, "--model", folder)
    assert (code, err) == (1, "")
    assert "other weights" in out


def test_the_flow_of_a_run(capsys, run):
    folder, path = run
    code, out, err = call(capsys, "certify", folder, "--continuous")
    assert (code, err) == (0, "")
    assert "l0: the flow contracts at rate" in out
    code, out, _ = call(capsys, "verify", path, "--model", folder)
    assert code == 0
    assert re.search(r"l0: certified: rate \S+ \(flow, 6 units, tanh, norm\)", out)
    options = ["--continuous", "--max-dt", "2"]
    fails(capsys, "certify", folder, *options, expected="no `max_dt` beside continuous=True")


def test_a_certificate_may_have_any_name(capsys, run, tmp_path):
    folder, _ = run
    for name in ("proof", "proof.txt", "results.json.bak"):
        path = tmp_path / name
        assert call(capsys, "certify", folder, "--output", path)[0] == 0
        code, out, _ = call(capsys, "verify", path, "--model", folder)
        assert code == 0
        assert "certified: proved again for 1 unit" in out
    named = tmp_path / "results.json"
    named.mkdir()  # a folder is one of results, whatever its name, and has no cards
    fails(capsys, "verify", named, expected="expected finished runs with their card.json")
    fails(capsys, "verify", tmp_path / "absent", expected="No such file")


def test_an_unstable_run_is_not_and_says_why(capsys, runs, tmp_path):
    path = tmp_path / "c.json"
    code, out, err = call(capsys, "certify", runs / "wild", "--output", path)
    assert (code, err) == (1, "")
    assert re.search(r"l0 +no +norm ", out)
    why = r"^l0: strength 'norm' finds growth \+.*no metric proves less"
    assert re.search(why, out, re.MULTILINE)
    assert not (runs / "wild" / "certificate.json").exists()
    code, out, err = call(capsys, "verify", path)
    assert (code, err) == (1, "")
    assert "not certified: l0: strength 'norm' finds growth" in out


@pytest.mark.parametrize("strength", ["norm", "diagonal", "full"])
def test_json_strength_weights_and_output(capsys, run, tmp_path, strength):
    folder, _ = run
    arguments = ["--strength", strength, "--weights", "last", "--output", tmp_path / "c.json"]
    code, out, _ = call(capsys, "certify", folder, "--json", *arguments)
    assert code == 0
    found = json.loads(out)
    (unit,) = found["units"]
    assert unit["strength"] == strength
    assert unit["holds"] is found["holds"] is True
    assert found["rate"] == unit["rate"] == load_certificate(tmp_path / "c.json").rate
    assert found["certificate"] == str(tmp_path / "c.json")
    model = ["--model", folder, "--weights"]
    assert call(capsys, "verify", tmp_path / "c.json", *model, "last")[0] == 0


def test_another_model_is_refused(capsys, run, runs):
    folder, path = run
    call(capsys, "certify", folder)
    code, out, _ = call(capsys, "verify", path, "--model", runs / "wild")
    assert code == 1
    assert "not certified: it is of another model: another A of l0" in out


def test_a_changed_certificate_is_refused(capsys, run):
    folder, path = run
    call(capsys, "certify", folder)
    content = json.loads(path.read_text())
    content["units"][0]["step_size"] = 0.05
    content["units"][0] |= {"rate": None, "contraction": None, "holds": False}
    path.write_text(json.dumps(content))
    code, out, _ = call(capsys, "verify", path)
    assert code == 1
    assert "l0: not certified: expected the A, W, step" in out


@pytest.mark.parametrize("text", ["", "{}", "[" * 9999, '{"format": 1e999}', "\0"])
def test_a_file_that_is_no_certificate_is_one_line(capsys, tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    fails(capsys, "verify", tmp_path / "c.json", expected="c.json: expected a certificate")


def test_wrong_arguments(capsys, run, tmp_path):
    folder, path = run
    fails(capsys, "verify", tmp_path / "absent.json", expected="No such file")
    fails(capsys, "certify", tmp_path / "absent", expected="expected a run folder")
    fails(capsys, "certify", folder, "--max-dt", "0", expected="expected `max_dt` above 0")
    fails(capsys, "certify", folder, "--output", tmp_path / "no" / "c", expected="No such file")
    fails(capsys, "verify", folder, "--model", folder, expected="--model: expected a certificate")
    call(capsys, "certify", folder)
    fails(capsys, "verify", path, "--model", tmp_path, expected="expected a run folder")
    assert main(["certify", str(folder), "--strength", "great"]) == 2


def test_a_unit_without_matrices_is_one_line(capsys, tmp_path, run):
    folder = trained(tmp_path / "gru", "--set", "model.unit=gru")
    fails(capsys, "certify", folder, expected="expected Lipschitz, residual or antisymmetric units")
    assert not (folder / "certificate.json").exists()
    call(capsys, "certify", run[0])
    fails(capsys, "verify", run[1], "--model", folder, expected="expected Lipschitz, residual")


def test_inputs_with_times_need_a_bound(capsys, run, monkeypatch):
    folder, path = run
    timed = dataclasses.replace(load_trained(folder), timed=True)
    monkeypatch.setattr("lipschitz_rnn.experiments.load_trained", lambda *_: timed)
    code, out, _ = call(capsys, "certify", folder)
    assert code == 1
    assert "its times dt have no bound; pass max_dt" in out
    assert call(capsys, "certify", folder, "--continuous")[0] == 0
    assert call(capsys, "certify", folder, "--max-dt", "1.8")[0] == 0
    assert load_certificate(path).units[0].max_dt == 1.8
    code, out, _ = call(capsys, "verify", path, "--model", folder)
    assert code == 0
    assert "euler step 0.18 times dt up to 1.8" in out


def test_progress_is_told_on_a_terminal_alone(capsys, run, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    _, _, err = call(capsys, "certify", run[0])
    assert err == "norm: searching\n"


def test_the_factor_is_of_the_very_run(run):
    """What the verb is told of a run is what the library says of its model."""
    model = load_trained(run[0]).model
    found = analysis.certify(model, max_dt=1.0)
    assert found.holds
    assert math.exp(-found.rate * 0.1) == pytest.approx(found.contraction, abs=1e-9)
