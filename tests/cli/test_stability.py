"""``stability``, ``lyapunov`` and ``fixed-points`` on small trained runs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from lipschitz_rnn.analysis.layers import find_units
from lipschitz_rnn.analysis.lyapunov import lyapunov_exponents
from lipschitz_rnn.cli import main
from lipschitz_rnn.experiments import build_data, load_trained
from lipschitz_rnn.experiments.dynamics import largest_dt, run_units, sample_batch

VERBS = ("stability", "lyapunov", "fixed-points")


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Make a run of a preset with few features, once for each set of settings."""
    made = {}

    def run(preset, *settings):
        key = (preset, *settings)
        if key not in made:
            folder = made[key] = tmp_path_factory.mktemp("runs") / "run"
            few = ("model.hidden_size=8", "training.epochs=1", "training.threads=1", *settings)
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


def test_stability_prints_a_table_and_draws(capsys, digits):
    out = output(capsys, "stability", digits)
    assert re.search(r"^unit l0: 8 features, euler, step size 0.5, tanh$", out, re.MULTILINE)
    for row in (
        r"largest real part, eigenvalues of A +[+-]\d",
        r"bounds by the symmetric-skew scheme +\[[+-]\d",
        r"largest eigenvalue of \(A \+ A'\)/2 +[+-]\d",
        r"largest singular value of W +\d",
        r"condition \(a\) +(fails|holds)",
        r"condition \(b'\) +fails: W is not symmetric",
        r"condition \(b\), which certifies nothing +fails",
        r"longest step that all modes of A bear +.*a diagnostic",
        r"bound on one Euler step, from norms alone +distances grow by",
        r"certificate of the euler step +(none|holds): ",
    ):
        assert re.search(rf"^  +{row}", out, re.MULTILINE), row
    files = {path.name for path in (digits / "figures").iterdir()}
    names = ("spectra-l0", "history", "gradients", "field-l0")
    assert files == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}


def test_stability_as_json(capsys, digits, tmp_path):
    out = output(
        capsys, "stability", digits, "--json", "--figures", tmp_path / "f", "--weights", "last"
    )
    found = json.loads(out)
    assert (found["weights"], found["max_dt"]) == ("last", 1.0)
    assert {Path(path) for path in found["figures"]} == set((tmp_path / "f").iterdir())
    (unit,) = found["units"]
    (matrices,) = find_units(load_trained(digits, "last").model)
    wanted = np.linalg.eigvals(matrices.a.astype(np.float64))
    kept = np.array(unit["a"]["eigenvalues"]) @ (1, 1j)
    np.testing.assert_array_equal(np.sort_complex(kept), np.sort_complex(wanted))
    assert unit["a"]["scheme"]["low"] <= wanted.real.min()
    assert unit["conditions"]["b"]["certifies"] is False
    assert unit["certificate"]["strength"] == "norm"
    assert "system" not in unit["certificate"]
    assert len(unit["step_sizes"]["step_sizes"]) == 8


def test_lyapunov_is_the_library_along_test_data(capsys, digits):
    options = ("--samples", "5", "--count", "3")
    out = output(capsys, "lyapunov", digits, *options)
    assert out.startswith("unit l0: 3 of 8 exponents, 8 steps of 5 sequences\n")
    (unit,) = json.loads(output(capsys, "lyapunov", digits, *options, "--json"))["units"]
    trained = load_trained(digits)
    batch = build_data(trained.config).test.batch(slice(0, 5))
    wanted = lyapunov_exponents(trained.model.rnn, batch.input.transpose(0, 1), count=3)
    assert unit["exponents"] == pytest.approx(wanted.exponents.tolist(), rel=1e-12)
    assert len(unit["standard_error"]) == 3
    everything = output(capsys, "lyapunov", digits, "--count", "99")
    assert "8 of 8 exponents" in everything
    assert "how volumes change" in everything


def test_fixed_points(capsys, digits):
    out = output(capsys, "fixed-points", digits, "--starts", "8")
    assert re.match(r"unit l0: \d+ states of rest from 10 starts, of which \d+ led nowhere", out)
    text = ",".join(["0.5"] * 8)
    arguments = ("fixed-points", digits, "--starts", "8", "--input", text, "--json")
    (unit,) = json.loads(output(capsys, *arguments))["units"]
    assert unit["points"]
    (matrices,) = find_units(load_trained(digits).model)
    for point in unit["points"]:
        h = np.array(point["state"])
        z = matrices.w @ h + matrices.u @ np.full(8, 0.5) + matrices.b
        assert np.abs(matrices.a @ h + np.tanh(z)).max() < 1e-9


def test_irregular_times_are_passed_along(capsys, pendulum, tmp_path):
    found = json.loads(output(capsys, "stability", pendulum, "--json", "--figures", tmp_path / "f"))
    trained = load_trained(pendulum)
    split = build_data(trained.config)
    longest = max(float(part.dt.max()) for part in (split.train, split.validation, split.test))
    assert found["max_dt"] == largest_dt(split) == longest > 1
    assert found["units"][0]["step_size"] == pytest.approx(0.2 * longest)
    assert (tmp_path / "f" / "gradients.png").exists()
    assert (tmp_path / "f" / "field-l0.png").exists()
    batch = sample_batch(split, 4)
    (run,) = run_units(trained.model, batch)
    with torch.no_grad():
        last = trained.model.rnn.double()(batch.input.double(), dt=batch.dt.double())[0][:, -1]
    torch.testing.assert_close(run.states[-1], last)
    (unit,) = json.loads(output(capsys, "lyapunov", pendulum, "--samples", "4", "--json"))["units"]
    wanted = lyapunov_exponents(run.unit, run.input, dt=batch.dt.mT)
    assert unit["exponents"] == pytest.approx(wanted.exponents.tolist(), rel=1e-12)


@pytest.mark.slow
def test_several_layers_in_both_directions(capsys, train, tmp_path):
    run = train("digits", "data.train_size=64", "model.num_layers=2", "model.bidirectional=true")
    names = ["l0", "l0_reverse", "l1", "l1_reverse"]
    for arguments in (
        ("stability", run, "--figures", tmp_path / "f"),
        ("lyapunov", run, "--samples", "2"),
        ("fixed-points", run, "--starts", "4"),
    ):
        units = json.loads(output(capsys, *arguments, "--json"))["units"]
        assert [unit["name" if "name" in unit else "unit"] for unit in units] == names
    trained = load_trained(run)
    batch = sample_batch(build_data(trained.config), 3)
    runs = run_units(trained.model, batch)
    with torch.no_grad():
        output_, _ = trained.model.rnn.double()(batch.input.double())
    top = torch.cat([one.output for one in runs[-2:]], -1)
    torch.testing.assert_close(top.transpose(0, 1), output_)


@pytest.mark.parametrize("verb", VERBS)
def test_a_unit_without_these_matrices_is_one_line(capsys, train, verb):
    run = train("digits", "data.train_size=64", "model.unit=gru")
    capsys.readouterr()
    assert main([verb, str(run)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: digits, gru: .*GRU.*\n", err)
    assert not (run / "figures").exists()


@pytest.mark.parametrize(("text", "expected"), [("1,2", "8 numbers, got 2"), ("1,x", "such as")])
def test_an_input_that_does_not_fit(capsys, digits, text, expected):
    assert main(["fixed-points", str(digits), "--input", text]) == 2
    assert expected in capsys.readouterr().err


def test_without_data_there_are_still_spectra(capsys, digits, tmp_path, monkeypatch):
    from lipschitz_rnn import experiments
    from lipschitz_rnn.data import DataUnavailableError

    def fail(*args):
        raise DataUnavailableError("no data here")

    monkeypatch.setattr(experiments, "build_data", fail)
    assert main(["stability", str(digits), "--figures", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "no data here\n" in err
    assert "spectra-l0.png" in out
    assert {path.stem for path in tmp_path.iterdir()} == {"spectra-l0", "history"}


def test_sequences_of_unequal_length_are_cut_to_the_shortest():
    from lipschitz_rnn.data import FrameDataset

    frames = FrameDataset(torch.arange(9.0).view(9, 1), torch.tensor([0, 4]), torch.tensor([4, 5]))

    class Holder:
        test = frames

    batch = sample_batch(Holder(), 2)
    assert batch.input.shape == (2, 3, 1)
    assert batch.target.shape == (2, 3, 1)
    assert batch.lengths is None


def test_every_verb_explains_itself(capsys):
    for verb in VERBS:
        assert "Usage: lipschitz-rnn" in output(capsys, verb, "--help")
