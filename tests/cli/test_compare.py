"""``hessian``, ``robustness`` and ``compare`` on small runs."""

import json
import re
import shutil

import pytest
import torch
from torch.nn import functional

from lipschitz_rnn.analysis import HessianSettings, hessian, robustness
from lipschitz_rnn.cli import main
from lipschitz_rnn.experiments import build_data, load_trained
from lipschitz_rnn.experiments.hessian import training_terms
from lipschitz_rnn.experiments.robustness import _source
from lipschitz_rnn.experiments.subjects import load_subjects

FEW = ("training.epochs=1", "training.threads=1", "model.hidden_size=4", "data.train_size=200")
RESIDUAL = ("model.unit=residual", "model.step_size=0.1")
LITTLE = ("--probes", "2", "--steps", "4", "--eigenvalues", "2")


def trained(folder, *settings, preset="digits", seed=1):
    options = [part for setting in (*FEW, *settings) for part in ("--set", setting)]
    arguments = ["train", preset, *options, "--seed", str(seed), "--quiet", "--out", str(folder)]
    assert main(arguments) == 0
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return (
        trained(folder / "one"),
        trained(folder / "two", seed=2),
        trained(folder / "residual", *RESIDUAL),
    )


def call(capsys, *arguments):
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_hessian_is_that_of_the_library(capsys, runs, tmp_path):
    options = ("--samples", "70", "--output", tmp_path, "--quiet", *LITTLE)
    code, out, err = call(capsys, "hessian", *runs, *options, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    one = load_trained(runs[0], "last")
    batch = build_data(one.config).train.batch(slice(0, 70))
    settings = HessianSettings(eigenvalues=2, probes=2, steps=4)
    known = hessian(one.model, batch.input, batch.target, settings=settings)
    first = found["runs"][0]["report"]
    # the same products, but for the last bits of sums over batches
    assert first["eigenvalues"] == pytest.approx(known.eigenvalues.tolist(), rel=1e-6)
    assert first["trace"] == pytest.approx(known.trace, rel=1e-6)
    assert first["loss"] == pytest.approx(known.loss, rel=1e-12)
    assert first["parameters"] == known.parameters
    for path in found["files"]:
        assert (tmp_path / path).stat().st_size > 500
    table = (tmp_path / "hessian.md").read_text()
    assert "| lipschitz (n=2) | residual |" in table
    largest = [run["report"]["eigenvalues"][0] for run in found["runs"]]
    mean = f"{sum(largest[:2]) / 2:.3g} ± "
    assert re.search(rf"λ_max \| {re.escape(mean)}.* \| {largest[2]:.3g} \|", table)


def test_what_is_there_is_not_measured_again(capsys, runs, tmp_path):
    options = ("--samples", "60", "--output", tmp_path, *LITTLE)
    first = call(capsys, "hessian", runs[0], *options)
    second = call(capsys, "hessian", *runs[:2], *options)
    assert "one: trace" in first[2]
    assert "one: trace" not in second[2]
    assert "two: trace" in second[2]
    seconds = re.search(r"^ +seconds +(\S+) ", first[1], re.MULTILINE)
    assert seconds  # of the measurement, not of reading it
    again = call(capsys, "hessian", runs[0], *options)
    assert again[1] == first[1]
    other = call(capsys, "hessian", runs[0], *options, "--group", "head")
    assert "one: trace" in other[2]
    assert "parameters: head" in other[1]


def test_robustness_is_that_of_the_library(capsys, runs, tmp_path):
    only = ("--only", "white-noise,fgsm,rounded", "--seeds", "2", "--samples", "50")
    code, out, err = call(
        capsys, "robustness", runs[0], *only, "--output", tmp_path, "--quiet", "--json"
    )
    assert (code, err) == (0, "")
    (found,) = json.loads(out)["runs"]
    one = load_trained(runs[0], "last")
    batch = build_data(one.config).test.batch(slice(0, 50))
    known = robustness(
        one.model, batch.input, batch.target, low=0, high=1, seeds=2, batch_size=250,
        perturbations=["white-noise", "fgsm", "rounded"],
    )  # fmt: skip
    assert found["masking"] is found["gain"] is found["sensitivity"] is None
    assert found["of"] == "the first 50 test samples of digits"
    for name, curve in known.curves.items():
        assert found["report"]["curves"][name]["accuracy"] == list(curve.accuracy)
    assert {path.suffix for path in tmp_path.glob("robustness-*")} == {".json", ".svg", ".png"}


def test_compare(capsys, runs, tmp_path):
    options = ("--samples", "30", "--seeds", "2", "--output", tmp_path)
    code, out, _ = call(capsys, "compare", *runs, *options)
    assert code == 0
    assert re.search(
        r"^Clearly better, of \d+ rows that say which way is better: ", out, re.MULTILINE
    )
    for name in ("test accuracy, all samples", "trace", "deepfool-l2, median", "gain attained"):
        assert re.search(rf"^ +{re.escape(name)}.*\d", out, re.MULTILINE)
    for name in ("hessian-density", "hessian-slices", "robustness-inputs", "sensitivity"):
        assert (tmp_path / f"{name}.png").exists()
    assert "written: " in out
    # the second call reads all of it
    code, again, err = call(capsys, "compare", *runs, *options)
    assert (code, err, again) == (0, "", out)
    test = one_accuracy(runs[2])
    assert re.search(rf"test accuracy, all samples .* {100 * test:.2f} ", out)


def one_accuracy(run):
    one = load_trained(run, "last")
    batch = build_data(one.config).test.batch(slice(None))
    with torch.no_grad():
        return float((one.model(batch.input).argmax(-1) == batch.target).float().mean())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hessian", 0, "--group", "B"), "group"),
        (("hessian", 0, "--product", "fast"), "product"),
        (("hessian", 0, "--group", "other"), "expected a group among all, A, W, U, head"),
        (("robustness", 0, "--only", "white-nose"), "Did you mean 'white-noise'"),
        (("robustness", 0, "--strengths", "fgsm"), "NAME=S,S with numbers above 0"),
        (("robustness", 0, "--strengths", "fgsm=0.1,0"), "NAME=S,S with numbers above 0"),
        (("robustness", 0, "--strengths", "fgms=0.1"), "Did you mean 'fgsm'"),
        (("robustness", 0, "--only", "fgsm", "--strengths", "pruned=0.1"), "a name of --only"),
        (("compare", 0), "at least 2 runs"),
        (("compare", 0, 0), "twice"),
        (("compare", 0, "nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_one_line(capsys, runs, tmp_path, arguments, message):
    words = [runs[word] if isinstance(word, int) else word for word in arguments]
    code, out, err = call(capsys, *words, "--output", tmp_path / "new")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_attacks_of_a_model_that_changed_are_tried_anew(capsys, runs, tmp_path):
    """What depends on another run is not read from a file that knew that run with other weights."""
    other = trained(tmp_path / "other", *RESIDUAL, seed=1)
    options = ("--samples", "30", "--seeds", "1", "--output", tmp_path / "out", "--json", "--quiet")
    first = json.loads(call(capsys, "robustness", runs[0], other, *options)[1])["runs"]
    shutil.rmtree(other)
    trained(other, *RESIDUAL, "training.epochs=2", seed=5)
    second = json.loads(call(capsys, "robustness", runs[0], other, *options)[1])["runs"]
    assert first[0]["report"] == second[0]["report"]  # of the run itself: read
    assert first[0]["masking"]["transfer"] != second[0]["masking"]["transfer"]


def test_classes_and_numbers_do_not_stand_side_by_side(capsys, runs, tmp_path):
    other = trained(tmp_path / "other", preset="pendulum")
    code, _, err = call(capsys, "robustness", runs[0], other, "--output", tmp_path / "out")
    assert code == 2
    assert "all tell classes, or all numbers" in err
    assert not (tmp_path / "out").exists()


def test_numbers_of_other_data_are_not_judged(capsys, runs, tmp_path):
    other = trained(tmp_path / "other", "data.steps=16")
    only = ("--only", "white-noise", "--samples", "20", "--seeds", "1", "--quiet")
    for one, wanted in ((runs[2], True), (other, False)):
        out = call(capsys, "robustness", runs[0], one, *only, "--output", tmp_path / one.name)[1]
        assert ("clearly better" in out) is wanted


def test_too_many_models_are_told_before_the_work(capsys, tmp_path):
    many = [trained(tmp_path / str(n), f"model.hidden_size={n}") for n in range(2, 9)]
    for verb in ("hessian", "robustness", "compare"):
        code, _, err = call(capsys, verb, *many, "--output", tmp_path / "out")
        assert code == 2
        assert "at most 6 different models, got 7" in err
    assert not (tmp_path / "out").exists()


def test_samples_must_be_those_of_the_run(capsys, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "lipschitz_rnn.experiments.subjects.describe_data", lambda split: {"digest": "f" * 64}
    )
    for verb in ("hessian", "robustness"):
        code, _, err = call(capsys, verb, runs[0], "--output", tmp_path / "out", "--quiet")
        assert code == 2
        assert "expected the samples the run began with" in err


def test_a_transfer_needs_the_same_inputs(runs, tmp_path):
    permuted = trained(tmp_path / "permuted", *RESIDUAL, "data.permutation=seed-0")
    one, other, alike = load_subjects([runs[0], permuted, runs[2]])
    assert _source(one, [one, other]) is None
    assert _source(one, [one, other, alike]) is alike


def test_other_strengths(capsys, runs, tmp_path):
    options = ("--only", "fgsm,pruned", "--samples", "20", "--quiet", "--output", tmp_path)
    grid = ("--strengths", "fgsm=0.04,0.02", "--strengths", "pruned=0.25")
    for extra, wanted in ((grid, [["0.02", "0.04"], ["0.25"]]), ((), None)):
        out = call(capsys, "robustness", runs[0], *options, *extra)[1]
        shown = [re.findall(rf"^ +{name} ([\d.]+) ", out, re.M) for name in ("fgsm", "pruned")]
        assert shown == wanted if wanted else len(shown[0]) > 2


def test_the_strongest_perturbation_is_in_the_table(capsys, runs, tmp_path):
    only = ("--only", "salt-and-pepper,bfloat16", "--samples", "20", "--quiet")
    out = call(capsys, "robustness", runs[0], *only, "--output", tmp_path)[1]
    shown = re.findall(r"^ +salt-and-pepper ([\d.]+) ", out, re.MULTILINE)
    assert shown == ["0.01", "0.05", "0.15", "0.3"]
    assert re.search(r"^ +bfloat16 1 ", out, re.MULTILINE)


def test_models_of_other_data_are_not_compared(capsys, runs, tmp_path):
    other = trained(tmp_path / "other", "data.steps=16")
    code, _, err = call(capsys, "compare", runs[0], other)
    assert code == 2
    assert "runs of the same data" in err


@pytest.mark.parametrize(
    ("preset", "settings"),
    [
        ("pendulum", ()),
        ("copying", ()),
        ("shakespeare", ("model.embedding_size=4",)),
    ],
)
def test_every_kind_of_task(capsys, tmp_path, preset, settings):
    """Numbers at irregular times, a class for each step, and a text."""
    run = trained(tmp_path / "run", *settings, "data.steps=12", preset=preset)
    options = ("--samples", "20", "--quiet", "--output", tmp_path / "out")
    code, out, err = call(capsys, "hessian", run, *options, *LITTLE)
    assert (code, err) == (0, "")
    assert "trace" in out
    code, out, err = call(capsys, "robustness", run, *options, "--seeds", "1")
    assert (code, err) == (0, "")
    assert "weight-noise" in out
    assert "left out: derivatives, gains and signs of masking" in out


def test_terms_are_the_loss_of_the_first_samples(runs):
    (subject,) = load_subjects([runs[0]], "last")
    split = build_data(subject.trained.config)
    model = subject.trained.model.double()
    with torch.no_grad():
        found = sum(float(term) for term in training_terms(split, 123, 40)(model))
        batch = split.train.batch(slice(0, 123))
        known = functional.cross_entropy(model(batch.input.double()), batch.target)
    assert found == pytest.approx(float(known), rel=1e-13)
