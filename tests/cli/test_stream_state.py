"""``lipschitz-rnn stream``: where streams are, kept in a file; and how many are kept."""

import json
import re

import numpy as np
import pytest
import safetensors
from cli.streamed_runs import close, offline


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_state_goes_on_where_it_was(streamed, stream, tmp_path, timed, named):
    folder, state = streamed("pendulum"), tmp_path / "s"
    random = np.random.default_rng(0)
    rows = [f"{t},{'ab'[t % 2]},{random.normal():.4f}\n" for t in range(40)]
    options = ["--columns", "3", "--no-header", "--quiet"]
    options += ["--time", "1"] * timed + ["--stream", "2"] * named
    whole = stream(folder, *options, rows="".join(rows))[1].splitlines()[1:]
    found = []
    for start, stop in ((0, 1), (1, 20), (20, 20), (20, 40)):
        code, out, err = stream(folder, *options, "--state", state, rows="".join(rows[start:stop]))
        assert (code, err) == (0, "")
        found += out.splitlines()[1:]
    numbers = [[re.split("[,ab]+", line)[1:] for line in lines] for lines in (found, whole)]
    close(*np.float64(numbers))
    code, _, err = stream(streamed("digits"), "--state", state, rows="1,2,3,4,5,6,7,8\n")
    assert code == 2
    assert "expected streams of" in err
    if timed:  # the clock is kept too
        code, _, err = stream(folder, *options, "--state", state, rows="1,a,1\n")
        assert code == 1
        assert "not before" in err


def test_a_harmed_state_file_is_refused_and_kept(streamed, stream, tmp_path):
    state = tmp_path / "s"
    state.write_bytes(b"precious")
    code, out, err = stream(streamed("pendulum"), "--state", state, rows="1\n")
    assert (code, out) == (2, "")
    assert "truncated or foreign" in err
    assert state.read_bytes() == b"precious"


def test_a_state_that_cannot_be_written_is_known_before_the_first_row(streamed, stream, tmp_path):
    """A folder in the way of the temporary file: root may write into any other."""
    (tmp_path / "s.tmp").mkdir()
    code, out, err = stream(streamed("pendulum"), "--state", tmp_path / "s", rows="1\n")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: .*/s: expected a folder that the state can be written in.*\n", err)


def test_no_rows_at_all(streamed, stream, tmp_path):
    for rows in ("", "\n\n", "a,b,c,d,e,f,g,h\n"):
        code, out, err = stream(streamed("digits"), "--state", tmp_path / "s", rows=rows)
        assert (code, out) == (0, "")
        assert err.endswith("0 rows answered, 0 skipped\n")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("chunk", [1, 4, 4096])
def test_more_streams_than_are_kept(streamed, stream, chunk):
    """The one whose row is oldest begins anew; which one that is depends on the rows alone."""
    folder = streamed("pendulum")
    names = list("abacbaccab")
    kept, expected_rows = {}, []
    for name in names:  # two are kept
        count = kept.pop(name, 0)
        if not count and len(kept) == 2:
            del kept[next(iter(kept))]
        kept[name] = count + 1
        expected_rows.append(kept[name])
    rows = "".join(f"{name},1\n" for name in names)
    options = "--stream", "1", "--max-streams", 2, "--chunk", chunk
    code, out, err = stream(folder, *options, rows=rows)
    assert code == 0
    assert "more than 2 streams: those whose last row is oldest are forgotten, 'b' first" in err
    held = offline(folder, np.ones((10, 1), np.float32))
    found = [list(map(float, line.split(",")[2:])) for line in out.splitlines()[1:]]
    close(found, held[[count - 1 for count in expected_rows]])


def test_a_smaller_limit_than_there_are_streams(streamed, stream, tmp_path):
    folder, state = streamed("pendulum"), tmp_path / "s"
    options = "--stream", "1", "--quiet", "--state", state
    stream(folder, *options, rows="a,1\nb,1\nc,1\nd,1\n")
    stream(folder, *options, "--max-streams", 2, rows="e,1\n")
    meta = safetensors.safe_open(state, "pt").metadata()["meta"]
    assert json.loads(meta)["state"]["names"] == ["d", "e"]
