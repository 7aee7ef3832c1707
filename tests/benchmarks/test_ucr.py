"""What is measured, kept and printed; the committed table keeps the promise and is on the page."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.benchmarks import ucr, ucr_methods
from lipschitz_rnn.benchmarks.ucr_methods import make_classifier, series_for
from lipschitz_rnn.benchmarks.ucr_table import ucr_tables
from lipschitz_rnn.cli import main
from lipschitz_rnn.data.ucr import read_ucr


class Nearest:
    """Answer with the class of the series whose mean is nearest; counts how often it is fitted."""

    fits = 0

    def __init__(self, seed):
        self.seed = seed

    def get_params(self, deep=True):
        return {"random_state": self.seed, "depth": 3}

    def fit(self, x, y):
        Nearest.fits += 1
        self.means, self.classes = np.nanmean(x, -1), y
        return self

    def predict(self, x):
        far = np.abs(np.nanmean(x, -1)[:, None] - self.means[None])
        return self.classes[far.argmin(1)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder with the sets ``Up`` and ``Down``; every method is :class:`Nearest`."""
    for name, sign in (("Up", 1), ("Down", -1)):
        place = tmp_path / "ucr" / name
        place.mkdir(parents=True)
        rows = [f"1\t{sign}\t{sign}\n", f"2\t{5 * sign}\t{5 * sign}\n"]
        (place / f"{name}_TRAIN.tsv").write_text("".join(rows))
        (place / f"{name}_TEST.tsv").write_text("".join(rows) + f"2\t0\t0\n1\tNaN\t{2 * sign}\n")
    monkeypatch.setattr(ucr, "make_classifier", lambda method, seed, threads: Nearest(seed))
    monkeypatch.setattr(ucr, "require_installed", lambda methods: None)
    monkeypatch.setattr(Nearest, "fits", 0)
    return tmp_path


def run(folder, *arguments, code=0):
    command = ["bench-ucr", *arguments, "--data-dir", str(folder), "--cells", str(folder / "cells")]
    assert main(command) == code


def test_accuracy_is_that_of_the_test_part(folder, capsys):
    run(folder, "Up", "--only", "lstm", "--json")
    found = json.loads(capsys.readouterr().out)
    (cell,) = found["results"]
    assert cell["accuracy"] == 3 / 4  # the series of zeros is of class 2 and nearer to class 1
    assert (cell["train_size"], cell["test_size"], cell["steps"], cell["classes"]) == (2, 4, 2, 2)
    assert cell["settings"] == {"depth": 3, "threads": 1}
    assert cell["data"] == read_ucr(folder / "ucr/Up").digest
    assert cell["fit_seconds"]["clock"] >= 0
    assert found["environments"][cell["environment"]]["torch"]


def test_what_was_measured_is_taken_over(folder, capsys, monkeypatch):
    run(folder, "Up", "Down", "--only", "lstm,dtw", "--seeds", "0,1")
    assert Nearest.fits == 2 * (2 + 1)  # DTW draws nothing
    first = capsys.readouterr().out
    run(folder, "Down", "Up", "--only", "dtw,lstm", "--seeds", "0,1")
    assert Nearest.fits == 6
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(first.splitlines())


def test_other_data_settings_or_half_a_file_are_measured_again(folder, monkeypatch):
    run(folder, "Up", "--only", "lstm")
    run(folder, "Up", "--only", "lstm", "--threads", "2")
    assert Nearest.fits == 2
    path = folder / "ucr/Up/Up_TEST.tsv"
    path.write_text(path.read_text() + "1\t1\t1\n")
    run(folder, "Up", "--only", "lstm", "--threads", "2")
    assert Nearest.fits == 3
    (kept,) = (folder / "cells").iterdir()
    kept.write_text(kept.read_text()[:50])
    run(folder, "Up", "--only", "lstm", "--threads", "2")
    assert Nearest.fits == 4


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["Up", "--only", "lstn"], "got 'lstn'. Did you mean 'lstm'?"),
        (["Up", "--seeds", "1,x"], "--seeds: expected integers with commas, got '1,x'."),
        (["Up", "--seeds", "-1"], "expected integers from 0 to 2^32 - 1, got '-1'."),
        (["Up", "Dawn"], "got none. Did you mean 'Down'?"),
    ],
)
def test_wrong_requests_are_one_line_before_anything_is_measured(folder, capsys, arguments, wrong):
    run(folder, *arguments, code=2)
    told = capsys.readouterr().err
    assert wrong in told
    assert told.count("\n") == 1
    assert Nearest.fits == 0


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setattr(ucr_methods, "find_spec", lambda name: None)
    ucr_methods.require_installed(("lipschitz", "lstm"))
    with pytest.raises(InputError, match=r"pip install \"lipschitz-rnn\[ucr\]\""):
        ucr_methods.require_installed(("lstm", "dtw"))


def test_missing_values_are_interpolated_for_others(folder):
    part = read_ucr(folder / "ucr/Up").test
    part.values[2] = [np.nan, 4.0]
    found = series_for("dtw", part)
    np.testing.assert_array_equal(found[:, 0], [[1, 1], [5, 5], [4, 4], [2, 2]])
    assert series_for("lipschitz", part) is part.values
    part.values[0] = [7.0, np.nan]
    part.lengths[0] = 1
    np.testing.assert_array_equal(series_for("minirocket", part)[0], [[7, 7]])
    assert [len(one) for one in series_for("lipschitz", part)] == [1, 2, 2, 2]


def cell(dataset, method, seed, accuracy, seconds, parameters=None):
    sizes = {"train_size": 2000, "test_size": 30, "steps": 40, "classes": 5}
    return {
        "dataset": dataset,
        "method": method,
        "seed": seed,
        "accuracy": accuracy,
        "fit_seconds": {"clock": 99.0, "processor": seconds},
        "predict_seconds": {"clock": 99.0, "processor": 0.25},
        "parameters": parameters,
        **sizes,
    }


def test_tables():
    results = [
        cell("A", "lipschitz", 0, 0.8, 12.4, 1000),
        cell("A", "lipschitz", 1, 0.9, 12.6, 1000),
        cell("B", "lipschitz", 0, 0.75, 2.0, 3000),
        cell("A", "dtw", 0, 0.5, 1.0),
    ]
    lines = ucr_tables({"results": results}).split("\n")
    assert lines[0] == "| data set | train / test | steps | classes | Lipschitz RNN | 1-NN DTW |"
    assert lines[2] == "| A | 2,000 / 30 | 40 | 5 | 85.0 ± 7.1 | 50.0 |"
    assert lines[3] == "| B | 2,000 / 30 | 40 | 5 | 75.0 | - |"
    assert lines[4] == "| **mean** |  |  |  | 80.00 | - |"
    assert lines[6:] == [
        "| processor seconds | Lipschitz RNN | 1-NN DTW |",
        "| --- | --: | --: |",
        "| A | 12 + 0.2 | 1.0 + 0.2 |",
        "| B | 2.0 + 0.2 | - |",
        "| **mean** | 7.5 | - |",
        "| parameters, mean | 2,000 | - |",
    ]


def test_a_file_of_something_else_is_one_line(capsys, tmp_path):
    for text in ("{}", "[1", '{"results": [{"dataset": 3}]}'):
        (tmp_path / "x.json").write_text(text)
        assert main(["bench-ucr", "--show", str(tmp_path / "x.json")]) == 2
        told = capsys.readouterr().err
        assert "expected results of `lipschitz-rnn bench-ucr`, got something else." in told


@pytest.mark.skipif(find_spec("aeon") is None, reason="needs aeon")
@pytest.mark.filterwarnings("ignore:unsafe cast:Warning")  # numba's, of aeon's code
@pytest.mark.parametrize(("place", "nearest"), [(5, 1), (6, 2), (27, 2)])
def test_dtw_warps_by_a_tenth_of_the_length(place, nearest):
    """A pulse at step 2 is at distance 0 of one at most 3 steps away, and not of a constant."""
    train = np.zeros((2, 1, 30))
    train[0, 0, 2], train[1] = 1.0, 0.1
    test = np.zeros((1, 1, 30))
    test[0, 0, place] = 1.0
    model = make_classifier("dtw", 0, 1).fit(train, np.array([1, 2]))
    assert model.predict(test).tolist() == [nearest]
