"""``lipschitz-rnn stream``: bad rows by their numbers, and what cannot be streamed at all."""

import json
import re
import sys
from pathlib import Path

import pytest
from cli.streamed_runs import read_csv

from lipschitz_rnn.cli import main

RESULTS = Path(__file__).parents[2] / "results"


BAD = "t,x\n0,1\n1\n2,2\n1,3\n3,x\n4,inf\nnan,1\n5,1e39\n6,6\n"
SAID = [
    "row 3: expected 2 fields, got 1",
    "row 5: expected a time not before 2.0, got 1.0",
    "row 6: expected a number in column 2, got 'x'",
    "row 7: expected finite numbers in single precision, got inf",
    "row 8: expected a finite time, got nan",
    "row 9: expected finite numbers in single precision, got 1e+39",
]


@pytest.mark.parametrize("chunk", [1, 3, 4096])
def test_bad_rows_are_told_and_skipped(streamed, stream, chunk):
    folder = streamed("pendulum")
    options = "--time", "t", "--chunk", chunk
    code, out, err = stream(folder, *options, "--on-error", "skip", rows=BAD)
    assert code == 0
    assert err.splitlines() == [*SAID, "3 rows answered, 6 skipped"]
    good = "t,x\n0,1\n2,2\n6,6\n"
    expected = stream(folder, *options, rows=good)[1]
    assert re.sub(r"^\d+", "", out, flags=re.M) == re.sub(r"^\d+", "", expected, flags=re.M)
    assert [row[0] for row in read_csv(out)[1]] == ["2", "4", "10"]


@pytest.mark.parametrize("chunk", [1, 4096])
def test_a_bad_row_ends_it_after_the_rows_before(streamed, stream, chunk, tmp_path):
    """The state is of those too: what follows the bad row was not taken in."""
    folder, state = streamed("pendulum"), tmp_path / "s"
    options = "--chunk", chunk, "--state", state
    code, out, err = stream(folder, *options, rows="1\n2\nx\n9\n")
    assert code == 1
    assert err.splitlines()[-1] == "row 3: expected a number in column 1, got 'x'"
    assert [row[0] for row in read_csv(out)[1]] == ["1", "2"]
    _, after, _ = stream(folder, *options, rows="3\n")
    _, whole, _ = stream(folder, rows="1\n2\n3\n")
    assert after.splitlines()[1][2:] == whole.splitlines()[3][2:]


REFUSED = [
    (
        "digits",
        [],
        "1,2,3,4,5,6,7,17\n",
        "whole numbers from 0 to 16, as in training, got 17.0; give",
    ),
    ("digits", [], "1,2,3,4,5,6,7,0.5\n", "whole numbers from 0"),
    ("digits", [], "1,2\n", "expected 8 numbers, got 2"),
    ("digits", [], "[1,2]\n", "expected 8 numbers, got 2"),
    ("digits", ["--dt", "1"], "-1,1,2,3,4,5,6,7,8\n", "a time of at least 0"),
    ("contractive", ["--dt", "1"], "2,1,2,3,4,5,6,7,8\n", "that the model's constraint covers"),
    ("digits", [], b"\xff\n", "row 1: expected UTF-8 text"),
    ("digits", [], b"9" * 2_000_000, "row 1: expected at most 1,048,576 bytes"),
]


@pytest.mark.parametrize(("run", "options", "rows", "message"), REFUSED)
def test_rows_that_are_refused(streamed, stream, run, options, rows, message):
    code, out, err = stream(streamed(run), *options, rows=rows)
    assert code == 1
    assert out == ""
    assert message in err.splitlines()[-1]


ERRORS = [
    ("digits", ["--time", "t", "--dt", "d"], "--time or --dt, got both"),
    ("pendulum", ["--time-unit", "0.1"], "--time-unit with --time, got it without"),
    ("pendulum", ["--dt", "1", "--time-unit", "0.1"], "--time-unit with --time"),
    ("digits", ["--scale", "nan"], "--scale: expected a finite number"),
    ("digits", ["--time", "1", "--time-unit", "0"], "a finite `time_unit` > 0"),
    ("digits", ["--columns", "a,b"], "is no header (if it is one: --header), got 'a'"),
    ("lstm", ["--time", "1"], "takes times `dt`"),
    ("bidirectional", [], "bidirectional=False, got True"),
    ("pendulum", ["--probabilities"], "--probabilities: expected a model of classes"),
    ("digits", ["--state", "absent/file"], "absent/file: expected a folder to write the state in"),
    (
        "shakespeare/short-shakespeare-seed1",
        [],
        "reads characters. In Python, lipschitz_rnn.Streamer",
    ),
    ("scifar-noise/short-scifar-noise-jpeg-seed1", [], "--scale with a model of cifar10"),
    ("scifar/absent", [], "expected a run folder"),
]


@pytest.mark.parametrize(("run", "options", "message"), ERRORS)
def test_what_cannot_be_streamed_is_one_line_and_code_2(
    streamed, stream, monkeypatch, tmp_path, run, options, message
):
    monkeypatch.chdir(tmp_path)
    folder = RESULTS / run if "/" in run else streamed(run)
    code, _, err = stream(folder, "--quiet", *options, rows="1,2,3,4,5,6,7,8\n")
    assert code == 2
    assert re.fullmatch(r"error: .*\n", err)
    assert message in err


def test_closed_standard_input(streamed, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["stream", str(streamed("pendulum"))]) == 2
    assert "got a closed one" in capsys.readouterr().err


def test_states_that_grow_without_bound_are_told_once(streamed, stream):
    """A class would be chosen among what are no numbers."""
    rows = "a,1,1\na,1e30,1\na,1,1\na,1e30,1\nb,1,1\na,1,1\n" * 3
    folder = streamed("pendulum")
    code, out, err = stream(folder, "--dt", "2", "--stream", "1", rows=rows)
    assert code == 0
    assert err.count("the answer is no number, and will be none") == 1
    told = int(re.search(r"row (\d+): the answer", err).group(1))
    values = [line.split(",") for line in out.splitlines()[1:]]
    assert values[told - 1][-1] == "nan"
    assert all(v[-1] != "nan" for v in values if int(v[0]) < told or v[1] == "b")
    code, out, _ = stream(folder, "--dt", "2", "--stream", "1", "--output", "jsonl", rows=rows)
    assert json.loads(out.splitlines()[told - 1])["y0"] is None
