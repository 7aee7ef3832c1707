"""The report of a small run of images: what stands in it, and that the numbers are right."""

import json
import re
import shutil

import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments import (
    evaluate_run,
    load_preset,
    load_trained,
    stability_run,
    train_run,
)
from lipschitz_rnn.experiments.card import make_card
from lipschitz_rnn.experiments.history import read_history
from lipschitz_rnn.report import write_report
from lipschitz_rnn.training import RunFolder, StopTraining, UpdateDone

SECTIONS = [
    "Result",
    "What was trained",
    "Learning curves",
    "Confusion matrix, and the worst examples",
    "Spectra, stability, certificate",
    "Robustness",
    "Curvature of the training loss",
    "How to reproduce",
]


def titles(page, level=2):
    return [text for own, text in page.headings if own == level]


def test_the_sections_are_there_and_listed(digits_page):
    page, _ = digits_page
    assert titles(page) == SECTIONS
    links = [a["href"] for a in page.all("a")]
    assert [f"#{id}" for id in page.ids if re.fullmatch("r1-[a-z]+", id)][: len(links)]
    assert len(links) == 1 + len(SECTIONS)  # the first one skips the list


def test_figures_are_those_of_summary_and_card(digits, digits_page):
    page, (run,) = digits_page
    summary, card = RunFolder(digits).read_summary(), make_card(digits, "digits", "run")
    assert run.headline.figure == f"{summary.best.test['accuracy']:.2%}"
    assert run.headline.figure == f"{card['test_accuracy_best_validation']:.2%}"
    beside, facts = dict(run.headline.beside), dict(run.headline.facts)
    assert beside["loss"] == f"{summary.best.test['loss']:.4g}"
    last = f"accuracy of the last weights, after epoch {summary.last.epoch}"
    assert beside[last] == f"{card['test_accuracy_last']:.2%}"
    assert beside["loss of a trivial predictor, uniform"] == "2.303"
    assert facts["parameters"] == f"{summary.parameters:,}"
    assert facts["epochs"] == "2"
    for text in (*beside.values(), *facts.values(), summary.data["digest"]):
        assert text in page.text
    assert f"lipschitz-rnn evaluate {digits}" in page.text
    assert summary.environment["torch"] in page.text


def test_settings_that_are_not_at_their_defaults(digits_page):
    _, (run,) = digits_page
    model, training = dict(run.settings.model), dict(run.settings.training)
    assert (model["unit"], model["hidden size"], model["step size"]) == (
        "lipschitz", "6", "0.5 (default 0.03)",
    )  # fmt: skip
    assert "beta" not in model
    assert training["epochs"] == "2"
    assert "threads" not in training
    assert dict(run.settings.data)["samples"] == "200 train, 137 validation, 360 test"


def test_curves_are_those_of_the_record(digits, digits_page):
    page, (run,) = digits_page
    history = read_history(RunFolder(digits).record)
    rows = page.tables[f"Learning curves of {run.name}"]
    assert rows[0] == list(run.curves.heads)
    numbers = [[row[rows[0].index(f"{part} loss")] for row in rows[1:]] for part in
               ("training", "validation")]  # fmt: skip
    assert numbers[0] == [f"{x:.4g}" for x in history.train_loss]
    assert numbers[1] == [f"{x:.4g}" for x in history.validation_loss]
    assert f"to {history.validation_loss[-1]:.4g}" in run.curves.drawing.alt
    (script,) = re.findall(r'(?s)id="readouts">(.*?)</script>', page.source)
    readout = json.loads(script)["r1-curves"]
    assert readout["columns"][0] == ["1", "2"]
    for left, top, right, bottom, first, last in readout["panels"]:
        assert left < right
        assert top < bottom
        assert first < 1 < 2 < last


def test_stability_is_that_of_the_verb(digits, digits_page):
    page, (run,) = digits_page
    report = stability_run(load_trained(digits))
    unit = report.units[0]
    rows = dict(run.stability.units[0].rows)
    assert rows["largest singular value of W"] == f"{unit.w.sigma_max:.4g}"
    assert rows["largest real part, eigenvalues of A"] == f"{unit.a.spectral_abscissa:+.4g}"
    assert rows["condition (b), which certifies nothing"].startswith(("holds", "fails"))
    assert run.certificate.holds == report.certificate.holds
    hopeless = "no metric proves less" in run.certificate.reason
    assert (f"lipschitz-rnn certify {digits}" in page.text) != hopeless


def test_text_of_figures_is_text_and_colours_are_the_pages(digits_page):
    page, _ = digits_page
    drawings = re.findall(r'(?s)<svg class="figure".*?</svg>', page.source)
    assert len(drawings) == 3
    for drawing in drawings:
        assert "<text" in drawing
        assert "var(--sans)" in drawing
        assert "currentColor" in drawing
        assert not re.search("(?i)#[0-9a-f]{6}(?![-\\w])", drawing)
        assert "DejaVu" not in drawing


def test_it_is_not_large(digits_page):
    assert len(digits_page[0].source) < 1_000_000


def test_last_weights(digits, page_of):
    _, (run,) = page_of(digits, weights="last")
    found = evaluate_run(digits, "last")
    assert run.headline.figure == f"{found.figures['accuracy']:.2%}"
    assert run.confusion.right == round(found.figures["accuracy"] * found.count)
    assert "--weights last" in dict(run.reproduce.commands)["test its weights"]


def test_names_are_escaped(digits, tmp_path, page_of):
    folder = tmp_path / "<script>alert(1)<" / "script>&\"'"
    shutil.copytree(digits, folder)
    page, (run,) = page_of(folder)
    assert "<script>alert" not in page.source
    assert run.name in {text.replace("&lt;", "<") for _, text in page.headings}
    assert len(page.all("script")) == 2


def test_a_configuration_that_looks_like_a_page(train, page_of):
    folder = train("digits", "data.train_size=64", 'name="</pre><script>x"', name="odd")
    page, _ = page_of(folder)
    assert "<script>x" not in page.source
    assert len(page.all("script")) == 2


def test_without_data(digits, tmp_path, page_of, monkeypatch):
    from lipschitz_rnn.data import DataUnavailableError
    from lipschitz_rnn.report import source

    def unavailable(*_):
        raise DataUnavailableError("digits: no source answers.")

    monkeypatch.setattr(source, "split_of", unavailable)
    page, (run,) = page_of(digits)
    assert run.confusion is None
    assert run.stability is not None
    assert run.curves is not None
    assert "digits: no source answers." in page.text
    assert "What is left out" in titles(page)


def test_without_weights(digits, tmp_path, page_of):
    folder = tmp_path / "bare"
    shutil.copytree(digits, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    page, (run,) = page_of(folder)
    assert titles(page) == [*SECTIONS[:3], "What is left out", SECTIONS[-1]]
    assert "there are no best weights" in page.text
    assert run.headline.figure == f"{RunFolder(digits).read_summary().best.test['accuracy']:.2%}"


def stopped(folder, *, epochs):
    """A run that was stopped after so many epochs, before its second ended."""
    record = RunFolder(folder).record

    def stop(event):
        done = record.read_text().count("\n") if record.exists() else 0
        if isinstance(event, UpdateDone) and done == epochs:
            raise StopTraining

    few = ("data.train_size=64", "training.epochs=2", "model.hidden_size=6", "training.threads=1")
    with pytest.raises(StopTraining):
        train_run(load_preset("digits", few), folder, hooks=[stop])
    return folder


def test_a_run_in_hand(tmp_path, page_of):
    page, (run,) = page_of(stopped(tmp_path / "hand", epochs=1))
    assert "This run is in hand: 1 of 2 epochs are done" in page.text
    assert run.headline.what == "validation accuracy so far"
    assert run.confusion.part == "validation"  # nobody looks at the test samples yet
    assert run.confusion.total == 137
    assert f"lipschitz-rnn resume {run.path}" in page.text


def test_a_run_before_its_first_epoch(tmp_path, page_of):
    page, (run,) = page_of(stopped(tmp_path / "hand", epochs=0))
    assert "0 of 2 epochs are done" in page.text
    assert run.curves is None
    assert run.headline.figure == "none"


def test_lstm(train, page_of):
    page, (run,) = page_of(train("digits", "model.unit=lstm", "data.train_size=64", name="lstm"))
    assert run.stability is None
    assert run.confusion is not None
    assert "the unit lstm has no matrices A and W" in page.text
    assert titles(page)[4] == "Robustness"


def test_layers_and_directions(train, page_of):
    settings = ("model.num_layers=2", "model.bidirectional=true", "data.train_size=64")
    page, (run,) = page_of(train("digits", *settings, name="deep"))
    names = ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert [unit.name for unit in run.stability.units] == names
    assert [text for text in titles(page, 3) if text.startswith("Unit")] == [
        f"Unit {name}" for name in names
    ]


def test_several_runs(digits, train, page_of):
    other = train("digits", "data.train_size=200", "model.beta=1.0", "seed.init=2", name="other")
    lstm = train("digits", "model.unit=lstm", "data.train_size=64", name="lstm")
    page, runs = page_of(digits, other, lstm)
    assert titles(page) == ["Side by side", "run", "other", "lstm"]
    rows = {row[0]: row[1:] for row in page.tables["What they came to"]}
    assert rows["test accuracy"] == [run.headline.figure for run in runs]
    assert rows["parameters"] == [dict(run.headline.facts)["parameters"] for run in runs]
    settings = {row[0]: row[1:] for row in page.tables["Settings that differ"]}
    assert settings["unit"] == ["lipschitz", "lipschitz", "lstm"]
    assert settings["beta"] == ["-", "1 (default 0.75)", "-"]
    assert settings["seeds: init"] == ["1", "2", "1"]
    assert "hidden size" not in settings
    assert "of 3 runs over the epochs" in page.source
    details = page.all("details", **{"class": "run"})
    assert ["open" in one for one in details] == [True, False, False]


def test_runs_of_one_name_are_told_apart(digits, tmp_path, page_of):
    shutil.copytree(digits, tmp_path / "b" / "run")
    _, runs = page_of(digits, tmp_path / "b" / "run")
    assert [run.name for run in runs] == [f"{digits.parent.name}/run", "b/run"]


def test_runs_of_different_tasks(digits, train, page_of):
    adding = train("adding", "data.steps=10", "data.sample_count=60", "data.validation_size=10")
    page, _ = page_of(digits, adding)
    assert "their figures do not compare" in page.text


def test_refusals(digits, tmp_path):
    with pytest.raises(InputError, match="at least one run"):
        write_report([])
    with pytest.raises(InputError, match="each run once"):
        write_report([digits, digits])
    with pytest.raises(InputError, match="expected a run folder"):
        write_report([tmp_path])


def test_where_it_is_written(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        shutil.copytree(digits, tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors"))
    assert write_report([tmp_path / "a"]).path == tmp_path / "a" / "report.html"
    assert str(write_report([tmp_path / "a", tmp_path / "b"]).path) == "report.html"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "report.html"]


def test_the_same_run_gives_the_same_page(digits, digits_page, page_of):
    assert page_of(digits, drawn=True)[0].source == digits_page[0].source
