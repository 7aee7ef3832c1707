"""The benchmark of long sequences: its table, and the committed results that the page shows."""

import json
from pathlib import Path

import pytest

from lipschitz_rnn.benchmarks.long_sequences import STEPS, WAYS, Way, describe, long_table
from lipschitz_rnn.cli import main

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results/long-sequences.json"


def results():
    return json.loads(RESULTS.read_text())["results"]


def test_words_tell_the_ways_apart():
    assert len({describe(way) for way in WAYS}) == len(WAYS)
    assert describe(Way(True, 1000)) == "an answer at every step, cut after 1,000 steps"
    assert describe(Way(memory="recompute", mapped=False)) == (
        'an answer at the end, `memory="recompute"`, samples in memory'
    )


def test_table():
    result = {"steps": 10_000, "every_step": False, "truncate_steps": None, "memory": "store"}
    result |= {"mapped": True, "seconds": 1.234, "bytes": 1_234_500_000}
    line = "| 10,000 | an answer at the end | 1234 | 1,234 MB |"
    assert long_table({"results": [result]}).splitlines()[2:] == [line]


def test_the_page_shows_the_committed_results(capsys):
    assert main(["bench-long", "--show", str(RESULTS)]) == 0
    table = capsys.readouterr().out.strip()
    assert table in (ROOT / "docs/benchmarks.md").read_text()
    expected = sum(not way.truncate_steps or way.truncate_steps < t for t in STEPS for way in WAYS)
    assert len(results()) == expected


def test_what_the_page_claims_of_them():
    """Cut, memory does not grow with the length; recomputed, as its square root or less."""
    found = {
        (r["steps"], r["every_step"], r["truncate_steps"], r["memory"], r["mapped"]): r["bytes"]
        for r in results()
    }
    for every in (False, True):
        short, long = (found[steps, every, 100, "store", True] for steps in STEPS)
        assert long < short + 4e6
        assert found[10_000, every, 1000, "store", True] < found[10_000, every, None, "store", True]
    stored, recomputed = (found[10_000, False, None, m, True] for m in ("store", "recompute"))
    assert recomputed < stored / 4


@pytest.mark.parametrize("text", ["{}", "[", '{"results": [{}]}'])
def test_other_files_are_refused(tmp_path, capsys, text):
    (tmp_path / "other.json").write_text(text)
    assert main(["bench-long", "--show", str(tmp_path / "other.json")]) == 2
    assert "expected results of bench-long, got another file" in capsys.readouterr().err
