"""``certified-accuracy``, its curves and its figure, on small runs of digits."""

import json
import re

import numpy as np
import pytest
import torch

from lipschitz_rnn.analysis import certified_accuracy, certified_radii, certify
from lipschitz_rnn.cli import main
from lipschitz_rnn.experiments import build_data, load_trained
from lipschitz_rnn.experiments.figures import robust_figure
from lipschitz_rnn.experiments.robust import RobustCurve, describe_training

CONTRACTIVE = (
    "model.constraint=contractive",
    "model.rate=0.3",
    "model.step_size=0.2",
    "training.certified_radius=0.2",
    "training.epochs=6",
)


def trained(folder, *settings, preset="digits"):
    few = ("training.epochs=1", "training.threads=1", "model.hidden_size=8", *settings)
    options = [part for setting in few for part in ("--set", setting)]
    assert main(["train", preset, *options, "--quiet", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curves")
    return trained(folder / "kept", *CONTRACTIVE), trained(folder / "free")


def call(capsys, *arguments):
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_curves_of_two_runs(capsys, runs, tmp_path):
    output, figure = tmp_path / "curves.json", tmp_path / "curves.svg"
    options = ("--radii", "0.2,0,0.05,0.5", "--samples", "90", "--steps", "4", "--quiet")
    code, out, err = call(
        capsys, "certified-accuracy", *runs, *options, "--output", output, "--figure", figure
    )
    assert (code, err) == (0, "")
    assert "contractive, rate 0.3, margins 0.2, 90 samples, PGD of 4 steps" in out
    assert re.search(r"^ +0\.05 +\d+\.\d % +\d+\.\d % +\d+\.\d %", out, re.MULTILINE)
    assert figure.read_text().startswith("<?xml")
    found = json.loads(output.read_text())
    kept, free = found["curves"]
    assert kept["radii"] == [0, 0.05, 0.2, 0.5]
    for name in ("certified", "certified_as_run", "empirical"):
        assert kept[name] == sorted(kept[name], reverse=True)
    proved = np.array([kept["certified"], kept["certified_as_run"]])
    # rounding in float32 takes from what float64 proves, and no attack breaks either
    assert (proved[1] <= proved[0]).all()
    assert (proved <= np.array(kept["empirical"])).all()
    assert 0 < kept["certified"][2] < kept["certified"][0]
    assert kept["rate"] == pytest.approx(0.3, rel=1e-2)
    assert free["run"] == "free"
    assert free["certified"] is free["gain"] is free["rate"] is None
    assert "needed" in free["reason"] or "misses" in free["reason"]
    assert len(free["empirical"]) == 4


def test_is_what_the_library_says(capsys, runs):
    options = ("--radii", "0,0.1", "--steps", "1", "--quiet", "--json", "--samples", "50")
    code, out, err = call(capsys, "certified-accuracy", runs[0], *options)
    assert (code, err) == (0, "")
    (curve,) = json.loads(out)["curves"]
    one = load_trained(runs[0])
    batch = build_data(one.config).test.batch(slice(0, 50))
    assert describe_training(one) == curve["run"]
    for name, dtype in (("certified_as_run", torch.float32), ("certified", torch.float64)):
        model = one.model.to(dtype)
        radii = certified_radii(certify(model), model, batch.input.to(dtype), batch.target)
        assert certified_accuracy(radii, [0.0, 0.1]).tolist() == curve[name]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--radii", "0,x"), "--radii: expected numbers with commas"),
        (("--radii", "0,-1"), "--radii: expected finite numbers of at least 0"),
        (("--figure", "curves.txt"), "--figure: expected .svg, .png or .pdf"),
    ],
)
def test_wrong_options_are_one_line(capsys, runs, options, expected):
    code, out, err = call(capsys, "certified-accuracy", runs[0], *options)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert expected in err


def test_other_tasks_are_refused(capsys, tmp_path):
    few = ("data.sample_count=30", "data.validation_size=3", "data.steps=5")
    run = trained(tmp_path / "run", *few, preset="pendulum")
    code, _, err = call(capsys, "certified-accuracy", run)
    assert code == 2
    assert "expected a task of one class a sequence, without times, got frames" in err


def test_the_figure_holds_the_curves():
    curve = RobustCurve(
        "one", 0.1, "", 2.0, (0.0, 0.1, 1.0), (0.9, 0.5, 0.1), None, (0.9, 0.8, 0.2), 10, 1
    )
    free = RobustCurve("two", None, "", None, (0.0, 0.1), None, None, (1.0, 0.0), 10, 1)
    (axes,) = robust_figure([curve, free]).axes
    attacked, proved, attacked_free, nothing = [line.get_xydata() for line in axes.lines[:4]]
    assert attacked.tolist() == [[0.1, 0.8], [1.0, 0.2]]
    assert proved.tolist() == [[0.1, 0.5], [1.0, 0.1]]
    assert attacked_free.tolist() == [[0.1, 0.0]]
    assert np.isnan(nothing[:, 1]).all()
    assert axes.lines[1].get_label() == "one: 90.0% at 0"
    with pytest.raises(ValueError, match="1 to 6 curves, got 0"):
        robust_figure([])


@pytest.mark.parametrize(
    ("preset", "settings", "expected"),
    [
        ("digits", ["training.certified_radius=0.1"], 'constraint="contractive", got constr'),
        (
            "pendulum",
            ["training.certified_radius=0.1", "data.sample_count=30"],
            "expected a task of one class a sequence",
        ),
        (
            "digits",
            ["training.contraction_penalty=1", "model.unit=gru"],
            "training.contraction_penalty: contraction_penalty: expected",
        ),
    ],
)
def test_a_loss_that_is_not_for_the_model_ends_before_a_folder_is_made(
    capsys, tmp_path, preset, settings, expected
):
    options = [part for setting in settings for part in ("--set", setting)]
    code, out, err = call(capsys, "train", preset, *options, "--out", tmp_path / "run")
    assert (code, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()
