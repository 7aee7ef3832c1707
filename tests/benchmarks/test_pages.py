"""What pages say of benchmarks is what the files have."""

import json
from pathlib import Path

import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.benchmarks.pages import conditions_text, spread_table, training_table
from lipschitz_rnn.cli.render_marks import makers_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks/results"


def test_the_spread_is_that_of_the_file():
    results = json.loads((FOLDER / "recurrence.json").read_text())
    shape = results["shapes"][0]
    found = shape["candidates"]["gru"]["training"]
    low, high = found["quartiles_s"]
    cells = spread_table(results).splitlines()[3].split(" | ")
    assert cells[:2] == ["| 128, 784, 128, 1", "training"]
    assert cells[5] == f"{1e3 * found['median_s']:.0f} ({1e3 * low:.0f}-{1e3 * high:.0f})"


def test_conditions_are_those_on_record():
    results = json.loads((FOLDER / "long-sequences.json").read_text())
    assert conditions_text(results) == (
        "2 cores of an AMD EPYC with AVX512; kernel avx512; 1 thread; torch 2.13.0+cpu; "
        "Python 3.11.7; commit 377a99b6; load 1.3 before it began."
    )
    dirty = {"environment": results["environment"] | {"commit": "0123456789+changes"}}
    assert "commit 01234567+changes" in conditions_text(dirty)


def test_a_training_is_a_row():
    paths = [FOLDER / f"smnist-10-epochs-{name}.json" for name in ("native", "reference")]
    rows = training_table(paths).splitlines()[2:]
    for path, row in zip(paths, rows, strict=True):
        summary = json.loads(path.read_text())
        assert f"| {summary['time']['wall_seconds'] / 60:.1f} min |" in row
        assert f"| {summary['last']['test']['accuracy']:.2%} |" in row
    with pytest.raises(InputError, match="expected the summary of a run"):
        training_table([FOLDER / "ucr.json"])


@pytest.mark.parametrize("kind", ["spread", "certificates", "long", "conditions"])
@pytest.mark.parametrize("content", ["{}", "[", "[]"])
def test_another_file_is_refused(tmp_path, kind, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match="expected what a benchmark wrote"):
        makers_of(tmp_path / "page.md", tmp_path)[kind]("a.json")
