"""The family is what it says, the counts are those of certify, the page shows what is committed."""

import json
from pathlib import Path

import numpy as np
import pytest

from lipschitz_rnn.analysis import certify
from lipschitz_rnn.benchmarks.certificates import (
    certificate_tables,
    count_certified,
    random_system,
    time_strengths,
)
from lipschitz_rnn.cli import main


@pytest.mark.parametrize("seed", range(5))
def test_condition_a_fails_for_every_system(seed):
    system = random_system(8, seed, step_size=None, method="euler")
    top = np.linalg.eigvalsh((system.a + system.a.T) / 2)[-1]
    assert top < 1e-12  # damped, but
    assert top + np.linalg.norm(system.w, 2) > 0


def test_counts():
    rows = count_certified(((4, 6),))
    assert [row["question"] for row in rows] == ["flow", "euler"]
    for row, step_size in zip(rows, (None, 0.03), strict=True):
        systems = [random_system(4, seed, step_size=step_size, method="euler") for seed in range(6)]
        for strength in ("norm", "diagonal", "full"):
            held = [
                certify(s.a, s.w, step_size=step_size, strength=strength).holds for s in systems
            ]
            assert row["certified"][strength] == sum(held)


def test_times():
    rows = time_strengths({"norm": (4, 8), "full": (4,)})
    assert {row["size"] for row in rows} == {4, 8}
    assert all(row["seconds"] > 0 for row in rows)


RESULTS = Path(__file__).parents[2] / "benchmarks/results/certificates.json"
PAGE = Path(__file__).parents[2] / "docs/benchmarks.md"


def test_tables():
    times = [
        {"strength": "norm", "method": "euler", "size": 8, "seconds": 0.123, "holds": True},
        {"strength": "full", "method": "euler", "size": 16, "seconds": 12.3, "holds": False},
    ]
    certified = {"norm": 1, "diagonal": 2, "full": 3}
    counts = [{"size": 8, "question": "flow", "systems": 5, "certified": certified}]
    lines = certificate_tables({"times": times, "counts": counts}).split("\n")
    assert lines[0] == "| seconds | N = 8 | N = 16 |"
    assert lines[2:4] == ["| `norm`, euler | 0.1 |  |", "| `full`, euler |  | 12 |"]
    assert lines[-1] == "| N = 8, flow | 5 | 1 | 2 | 3 |"


def test_the_page_shows_what_is_committed(capsys):
    assert main(["bench-certificates", "--show", str(RESULTS)]) == 0
    tables = capsys.readouterr().out.strip()
    page = PAGE.read_text()
    for table in tables.split("\n\n"):
        assert table in page


def test_committed_results_keep_the_promises():
    """Seconds that the documentation promises, on the machine they were measured on."""
    results = json.loads(RESULTS.read_text())
    most = {("norm", 512): 120, ("diagonal", 128): 120, ("full", 64): 600, ("full", 32): 600}
    for row in results["times"]:
        assert row["seconds"] < most.get((row["strength"], row["size"]), 600)
    assert [(row["size"], row["systems"]) for row in results["counts"][::2]] == [
        (8, 50), (16, 50), (32, 50), (64, 5),
    ]  # fmt: skip
    for row in results["counts"]:
        counts = list(row["certified"].values())
        assert counts == sorted(counts)
        assert counts[-1] > counts[0] or row["systems"] < 50


def test_a_file_of_something_else_is_one_line(capsys, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    for name in ("x.json", "nothing.json"):
        assert main(["bench-certificates", "--show", str(tmp_path / name)]) == 2
        assert "expected results of this command, got" in capsys.readouterr().err
