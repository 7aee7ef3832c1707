"""``lipschitz-rnn stream`` as a process: pipes, signals, and its memory over a million rows."""

import contextlib
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

COMMAND = [sys.executable, "-m", "lipschitz_rnn.cli", "stream"]


def start(*arguments, **options):
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def ask(process, row):
    process.stdin.write(row)
    process.stdin.flush()
    return process.stdout.readline()


def test_an_answer_comes_before_the_next_row(streamed):
    """As from a sensor: each row is sent after the answer to the one before was read."""
    with start(streamed("pendulum"), "--quiet") as process:
        assert ask(process, b"0.5\n") == b"row,y0,y1,y2\n"
        answers = [process.stdout.readline()]
        answers += [ask(process, b"0.5\n") for _ in range(5)]
        out, err = process.communicate()
    assert [int(answer.split(b",")[0]) for answer in answers] == [1, 2, 3, 4, 5, 6]
    assert len(set(answers)) == 6
    assert (out, err, process.returncode) == (b"", b"", 0)


def test_an_interruption_saves_the_state(streamed, tmp_path):
    folder, state = streamed("pendulum"), tmp_path / "s"
    rows = [b"0.5\n", b"-0.5\n", b"1\n"]
    with start(folder, "--quiet") as whole:
        expected = whole.communicate(b"".join(rows))[0].splitlines()[1:]
    with start(folder, "--quiet", "--state", state) as process:
        ask(process, rows[0])
        first = process.stdout.readline()
        second = ask(process, rows[1])
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert err.decode() == f"interrupted after 2 rows; the state is in {state}\n"
    with start(folder, "--quiet", "--state", state) as process:
        third = process.communicate(rows[2])[0].splitlines()[1]
    found = [[float(x) for x in line.split(b",")[1:]] for line in (first, second, third)]
    whole = [[float(x) for x in line.split(b",")[1:]] for line in expected]
    np.testing.assert_allclose(found, whole, rtol=2e-5)  # six digits are written


def test_being_asked_to_stop_is_an_interruption(streamed):
    with start(streamed("pendulum"), "--quiet") as process:
        ask(process, b"1\n")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, b"interrupted after 1 rows\n")


def test_a_reader_that_goes_away_ends_it_quietly(streamed, tmp_path):
    """``| head``: no message; the state is of the rows that were taken in."""
    state = tmp_path / "s"
    with start(streamed("pendulum"), "--quiet", "--state", state, bufsize=0) as process:
        ask(process, b"1\n")
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            for _ in range(100):
                process.stdin.write(b"1\n" * 50_000)
        process.wait()
        assert process.stderr.read() == b""
    assert process.returncode == 1
    assert state.exists()


def memory(process):
    """Resident bytes of a process."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * 4096


def feed(process, count, make):
    for begin in range(0, count, 1000):
        process.stdin.write(b"".join(make(k) for k in range(begin, begin + 1000)))
    process.stdin.close()


ROWS = {
    "one stream": ([], lambda k: b"%.3f\n" % (k % 97 / 50 - 1)),
    "ever new streams": (
        ["--stream", "1", "--time", "2", "--max-streams", "100"],
        lambda k: b"s%d,%d,%.3f\n" % (k // 10, k, k % 97 / 50 - 1),
    ),
}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
@pytest.mark.parametrize("kind", ROWS)
def test_memory_is_steady_over_a_million_rows(streamed, kind):
    """If a row left 20 bytes behind, less than any object of Python's, 800,000 left 16 MB."""
    options, make = ROWS[kind]
    count, settled, found = 1_000_000, 200_000, []
    with start(streamed("pendulum"), "--quiet", *options) as process:
        feeder = threading.Thread(target=feed, args=(process, count, make))
        feeder.start()
        for k, _ in enumerate(process.stdout):  # 0 is the header
            if k >= settled and k % 100_000 == 0:
                found.append(memory(process) if k < count else found[-1])
        feeder.join()
    assert process.returncode == 0
    assert k == count
    growth = max(found) - found[0]
    assert growth < 16e6, f"{growth / 1e6:.1f} MB"
