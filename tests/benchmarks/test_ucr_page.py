"""The committed UCR table keeps what was promised, and the page says what the table says."""

from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest

from lipschitz_rnn.benchmarks.ucr import DATASETS, settings_of
from lipschitz_rnn.benchmarks.ucr_table import read_ucr_results
from lipschitz_rnn.cli import main

ROOT = Path(__file__).parents[2]
FILE = ROOT / "benchmarks/results/ucr.json"
PAGE = (ROOT / "docs/ucr.md").read_text()
RESULTS = read_ucr_results(FILE)["results"]


def accuracies():
    """Mean over the seeds, by method and data set."""
    found = defaultdict(lambda: defaultdict(list))
    for cell in RESULTS:
        found[cell["method"]][cell["dataset"]].append(cell["accuracy"])
    return {
        method: {name: fmean(values) for name, values in sets.items()}
        for method, sets in found.items()
    }


def test_the_page_shows_what_the_command_prints(capsys):
    assert main(["bench-ucr", "--show", str(FILE)]) == 0
    for table in capsys.readouterr().out.strip().split("\n\n"):
        assert table in PAGE


def test_every_method_was_measured_on_every_set():
    found = accuracies()
    assert set(found) == {"lipschitz", "lstm", "minirocket", "dtw"}
    for sets in found.values():
        assert set(sets) == set(DATASETS)
    assert len({(c["dataset"], c["data"]) for c in RESULTS}) == len(DATASETS)


def test_defaults_beat_the_lstm_and_dtw():
    means = {method: fmean(sets.values()) for method, sets in accuracies().items()}
    assert means["lipschitz"] > means["lstm"]
    assert means["lipschitz"] >= means["dtw"]


@pytest.mark.parametrize("other", ["lstm", "dtw", "minirocket"])
def test_the_page_says_by_how_much_and_how_often(other):
    found = accuracies()
    ours, theirs = found["lipschitz"], found[other]
    ahead = sum(ours[name] > theirs[name] for name in DATASETS)
    points = 100 * (fmean(ours.values()) - fmean(theirs.values()))
    text = " ".join(PAGE.split())
    if points > 0:
        assert f"by {points:.1f} points on average, and on {ahead} of the twelve sets" in text
    else:
        assert f"is {-points:.1f} points above it on average, and below it on {ahead} sets" in text


def test_the_page_says_what_one_set_does_for_the_lead():
    found = accuracies()
    leads = {name: 100 * (found["lipschitz"][name] - found["lstm"][name]) for name in DATASETS}
    assert leads["FaceAll"] == max(leads.values()) > sum(leads.values()) / 2
    rest = fmean(lead for name, lead in leads.items() if name != "FaceAll")
    text = " ".join(PAGE.split())
    assert f"come from FaceAll: on the other eleven the lead is {rest:.1f}" in text


def test_the_readme_has_the_means():
    text = " ".join((ROOT / "README.md").read_text().split())
    means = {method: f"{100 * fmean(sets.values()):.1f} %" for method, sets in accuracies().items()}
    assert f"a mean accuracy of {means['lipschitz']} on twelve UCR data sets" in text
    for method, name in (("lstm", "an LSTM"), ("dtw", "1-NN DTW"), ("minirocket", "MiniRocket")):
        assert f"{name} {means[method]}" in text


@pytest.mark.parametrize("method", ["lipschitz", "lstm"])
def test_what_was_measured_are_the_defaults(method):
    for cell in RESULTS:
        if cell["method"] == method:
            assert cell["settings"] == settings_of(method, cell["settings"]["threads"])
