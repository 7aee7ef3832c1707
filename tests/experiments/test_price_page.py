"""The page on the price of a certificate says what the committed results say."""

import json
import re
import statistics
from pathlib import Path

import pytest

from lipschitz_rnn.experiments.results import gather
from lipschitz_rnn.experiments.tables import load_table

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/price.md").read_text()
CURVES = json.loads((ROOT / "results/certified-accuracy.json").read_text())["curves"]


@pytest.mark.parametrize("table", ["certified", "certified-rows", "certified-smnist"])
def test_tables(table):
    rows = (ROOT / f"results/{table}.md").read_text().split("| --- |")[-1].split("\n")[1:]
    found = [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows if "|" in row]
    assert len(found) >= 2
    assert any(last != "not run" for _, last, *_ in found)
    for label, last, best, *_ in found:
        if last == "not run":
            continue
        assert f"| {label} | {last} | {best} |" in PAGE


def test_robust_accuracies():
    """Rows 'name | at 0 | at 0.03 | ...' of proved and attacked shares, in per cent."""
    header = re.search(r"^\| right, of 1,000 \|(.*)\|$", PAGE, re.MULTILINE)
    radii = [float(cell) for cell in header[1].split("|")]
    for curve in CURVES:
        for label, key in (("proved", "certified"), ("under PGD", "empirical")):
            if curve[key] is None:
                continue
            shares = dict(zip(curve["radii"], curve[key], strict=True))
            cells = " | ".join(f"{100 * shares[radius]:.1f}" for radius in radii)
            assert f"| {curve['run']}, {label} | {cells} |" in PAGE


def test_what_the_text_says_of_bounds():
    plain = [curve for curve in CURVES if curve["rate"] and "margins" not in curve["run"]]
    gains = [curve["gain"] for curve in plain]
    assert f"on the gain, from {min(gains):,.0f} to {max(gains):,.0f}, are loose" in PAGE
    left = max(dict(zip(c["radii"], c["certified"], strict=True))[0.01] for c in plain)
    assert f"ended at a radius of 0.01 but for {100 * left:.1f} %," in PAGE


def test_what_the_readme_says_a_certificate_costs():
    """Against the free unit that is trained alike, the last weights."""
    text = " ".join((ROOT / "README.md").read_text().split())
    rows = {
        f"{name}/{one.row.name}": (statistics.mean(found), len(found))
        for name in ("certified", "certified-smnist")
        for table in [load_table(name)]
        for one in gather(table, ROOT / "results")
        if (found := one.values(table, "last"))
    }
    free, runs = rows["certified/free-same-training"]
    assert rows["certified/contractive-0.01"][0] >= free
    assert runs == rows["certified/contractive-0.01"][1] == 3
    free, runs = rows["certified-smnist/free-15-same-training"]
    price = free - rows["certified-smnist/contractive-15"][0]
    assert runs == rows["certified-smnist/contractive-15"][1] == 1
    assert f"cost nothing at 98 steps (three seeds) and {price:.1f} points at 784 (one run)" in text
