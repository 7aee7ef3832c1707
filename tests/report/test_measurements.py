"""Robustness, Hessians and certificates that were made before are shown, if they are the run's."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from lipschitz_rnn.analysis import certify
from lipschitz_rnn.cli import main
from lipschitz_rnn.report.certificate import further

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def measured(digits, tmp_path_factory):
    """A folder with what the verbs leave, of the last weights."""
    folder = tmp_path_factory.mktemp("analysis")
    few = ["--samples", "20", "--output", str(folder), "--quiet"]
    only = ["--only", "white-noise,pruned", "--seeds", "1"]
    assert main(["robustness", str(digits), *few, *only]) == 0
    work = ["--steps", "4", "--eigenvalues", "2", "--probes", "2", "--tolerance", "0.1"]
    assert main(["hessian", str(digits), *few, *work]) == 0
    return folder


@pytest.fixture(scope="module")
def contractive(train):
    settings = ("model.constraint=contractive", "data.train_size=64")
    folder = train("digits", *settings, name="contractive")
    assert main(["certify", str(folder)]) == 0
    return folder


def test_what_was_measured_of_the_weights_is_shown(digits, measured, page_of):
    page, (run,) = page_of(digits, weights="last", analyses=[measured])
    (path,) = measured.glob("robustness-*.json")
    curve = json.loads(path.read_text())["result"]["report"]["curves"]["white-noise"]
    shown = f"white-noise {curve['accuracy'][0]:.1%} to {curve['accuracy'][-1]:.1%}"
    assert shown in run.robustness.figures[0][1].alt
    assert [title for title, _ in run.robustness.figures] == ["Changed inputs", "Changed weights"]
    (path,) = measured.glob("hessian-*.json")
    largest = json.loads(path.read_text())["result"]["report"]["eigenvalues"][0]
    assert f"the largest of which is {largest:.3g}" in run.hessian.figures[0][1].alt
    assert "the first 20 training samples of digits" in page.text
    assert "Robustness" in page.tables
    assert "Hessian" not in page.tables  # it is called what it is of
    assert "Curvature of the training loss" in page.tables


def test_what_was_measured_of_other_weights_is_not(contractive, measured, page_of):
    page, _ = page_of(contractive, analyses=[measured, measured / "none"])
    assert "Not measured of the best weights" in page.text
    assert f"lipschitz-rnn robustness {contractive} --weights best" in page.text
    assert f"lipschitz-rnn hessian {contractive} --weights best" in page.text


def test_foreign_files_in_the_folder_are_passed_over(digits, tmp_path, page_of):
    (tmp_path / "robustness-x.json").write_text("[1, 2")
    (tmp_path / "hessian-x.json").write_text('{"key": 3}')
    _, (run,) = page_of(digits, analyses=[tmp_path])
    assert "Not measured" in run.robustness.why


def test_the_cheap_certificate(digits_page):
    page, (run,) = digits_page
    assert run.certificate.origin == "From norms alone, the cheapest of all."
    assert ("Not certified" in page.text) != run.certificate.holds


def test_a_certificate_beside_the_run_is_proved_again(contractive, page_of):
    page, (run,) = page_of(contractive)
    assert run.certificate.holds
    assert "proved again for this report" in run.certificate.origin
    assert "Certified: it forgets how it began." in page.text
    assert f"lipschitz-rnn verify {contractive}/certificate.json" in page.text
    (rate, factor) = run.certificate.rows
    assert float(rate[1]) > 0
    assert 0 < float(factor[1]) < 1


def test_where_no_certificate_can_be_none_is_looked_for(train, page_of):
    """Nor is a file that does not certify offered to be proved again."""
    folder = train("digits", "data.train_size=200", "model.init_std=1", name="grows")
    page, (run,) = page_of(folder)
    assert run.certificate.command == ""
    assert "no metric proves less than +" in page.text
    assert main(["certify", str(folder)]) == 1
    page, (run,) = page_of(folder)
    assert run.certificate.origin == "Of certificate.json, strength norm."
    assert "lipschitz-rnn verify" not in page.text
    assert "lipschitz-rnn certify" not in page.text.replace("lipschitz-rnn certify RUN", "")


def test_where_one_may_be_a_stronger_one_is_looked_for():
    leans, still = torch.tensor([[-1.0, 10.0], [0.0, -1.0]]), torch.zeros(2, 2)
    found = certify(leans, still, step_size=0.1, strength="norm")  # a diagonal metric does
    assert not found.holds
    assert further(found, "search")[0] == "search"
    grows = certify(2 * torch.eye(2), torch.eye(2), step_size=0.1)
    assert further(grows, "search") == ("", "")


def test_a_certificate_of_other_weights_is_left_out(contractive, digits, tmp_path, page_of):
    shutil.copytree(digits, tmp_path / "run")
    shutil.copy(contractive / "certificate.json", tmp_path / "run")
    _, (run,) = page_of(tmp_path / "run")
    assert "certificate.json is of other weights" in run.certificate.origin


def test_a_committed_run_shows_what_was_measured_of_it():
    """Keys that an earlier release wrote are still found."""
    from lipschitz_rnn.experiments.hessian import RunHessian
    from lipschitz_rnn.experiments.robustness import RunRobustness
    from lipschitz_rnn.experiments.subjects import load_subjects
    from lipschitz_rnn.report.measurements import find_measurement

    run = RESULTS / "mnist-8px" / "free-same-training-seed1"
    folders = [RESULTS / "robustness"]
    (subject,) = load_subjects([run], "last")
    assert find_measurement(subject, folders, "robustness", RunRobustness) is not None
    assert find_measurement(subject, folders, "hessian", RunHessian) is not None
    (other,) = load_subjects([run], "best")
    assert find_measurement(other, folders, "robustness", RunRobustness) is None
