"""The page on robustness says what the committed measurements say."""

import json
import re
from pathlib import Path

import pytest

from lipschitz_rnn.experiments.measured import measurement_key
from lipschitz_rnn.experiments.subjects import load_subjects

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/robustness.md").read_text()
RESULTS = ROOT / "results/robustness"
PIXEL_RESULTS = ROOT / "results/robustness-pixel"
TABLE = (RESULTS / "compare.md").read_text().splitlines()
PIXEL_TABLE = (PIXEL_RESULTS / "robustness.md").read_text().splitlines()
PIXELS = "## One pixel a step"
UNITS = ("free", "residual", "antisymmetric")


def test_every_row_is_one_of_the_table():
    for part, table, least in zip(PAGE.split(PIXELS), (TABLE, PIXEL_TABLE), (40, 8), strict=True):
        rows = [line for line in part.splitlines() if line.startswith("| ")]
        assert len(rows) > least
        assert set(rows) <= set(table)
        heads = {line for line in part.splitlines() if line.startswith("|  |")}
        assert heads <= set(table)


def numbers(table):
    """Figures of each model, by the name of their row."""
    cells = {}
    for line in (one for one in table if re.match(r"\| \S", one)):
        parts = [part.strip() for part in re.split(r"(?<!\\)\|", line.strip("|"))]
        cells[parts[0]] = [float(part.split(" ")[0]) for part in parts[1:4] if part]
    return cells


def test_what_the_text_says_of_them():
    cells = numbers(TABLE)
    for name in ("white-noise", "salt-and-pepper", "fgsm", "pgd-7x0.01", "pgd-linf", "pgd-l2",
                 "deepfool-linf", "deepfool-l2"):  # fmt: skip
        for row, (ours, *others) in ((k, v) for k, v in cells.items() if k.startswith(f"{name} ")):
            assert ours >= max(others), row
    for norm in ("linf", "l2"):
        ours, *others = cells[f"deepfool-{norm}, median distance of those right"]
        assert ours >= 1.5 * max(others)
    ours, *others = cells["largest eigenvalue λ_max"]
    assert ours < min(others)
    assert cells["trace"].index(min(cells["trace"])) == 1
    ours, *others = (abs(x) for x in cells["κ = λmax / λmin, 100 steps"])
    assert ours < min(others)
    assert set(cells["signs of masked gradients"]) == {0}
    ours, *others = cells["rounded 5"]
    assert ours < min(others)
    assert cells["weight-noise:A 0.1"][0] < min(cells[f"weight-noise:{g} 0.1"][0] for g in "WU")
    errors = []
    for path in RESULTS.glob("hessian-*.json"):
        errors += json.loads(path.read_text())["result"]["report"]["check"]["errors"]
    assert len(errors) == 27
    assert max(errors) < 2e-9


def test_what_the_text_says_of_one_pixel_a_step():
    cells = numbers(PIXEL_TABLE)
    noisy = {name: row for name, row in cells.items() if re.search(r"\d$", name)}
    behind = [name for name, (ours, *others) in noisy.items() if ours < max(others)]
    assert behind == ["salt-and-pepper 0.3"]
    ours, residual, antisymmetric = cells["clean"]
    assert round(ours - residual) == 9
    assert round(ours - antisymmetric) == 15
    count, _, fewer = cells["parameters"]
    assert 3.5 < count / fewer < 4.5
    for name in ("white-noise 0.5", "salt-and-pepper 0.15", "salt-and-pepper 0.3"):
        kept = [after / before for after, before in zip(cells[name], cells["clean"], strict=True)]
        assert kept[1] == min(kept)
        assert kept[2] == max(kept)


@pytest.mark.parametrize("run", ["lipschitz-30", "residual-30", "antisymmetric-30"])
def test_noise_at_one_pixel_a_step_is_of_the_committed_weights(run):
    (subject,) = load_subjects([ROOT / f"results/smnist/{run}-seed1"], "last")
    (path,) = PIXEL_RESULTS.glob(f"robustness-{subject.name}-*.json")
    key = json.loads(path.read_text())["key"]
    assert key == measurement_key("robustness", subject, key["depends"])


@pytest.mark.parametrize("unit", UNITS)
def test_measurements_are_of_the_committed_weights(unit):
    runs = [ROOT / f"results/mnist-8px/{unit}-same-training-seed{seed}" for seed in (1, 2, 3)]
    for subject in load_subjects(runs, "last"):
        for what in ("evaluation", "hessian", "robustness", "masking"):
            (path,) = RESULTS.glob(f"{what}-{subject.name}-*.json")
            key = json.loads(path.read_text())["key"]
            assert key == measurement_key(what, subject, key["depends"])


@pytest.mark.parametrize("unit", UNITS)
def test_training_had_come_to_rest(unit):
    """The page says by how much the training loss still fell in the last epoch."""
    for seed in (1, 2, 3):
        record = ROOT / f"results/mnist-8px/{unit}-same-training-seed{seed}/record.jsonl"
        events = map(json.loads, record.read_text().splitlines())
        losses = [one["train"]["loss"] for one in events if one["event"] == "epoch"]
        assert len(losses) == 30
        assert 0.98 <= losses[-1] / losses[-2] <= 1


def test_a_long_sequence_in_ten_minutes():
    (path,) = (ROOT / "results/hessian-784").glob("hessian-smnist-*.json")
    report = json.loads(path.read_text())["result"]["report"]
    text = " ".join((ROOT / "docs/how-to/robustness.md").read_text().split())
    assert f"took {report['products']} products and {report['seconds']:.0f} seconds" in text
    assert report["seconds"] < 600
    assert report["probes"] == 30
