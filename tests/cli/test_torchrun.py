"""``train`` and ``resume`` started by torchrun: two local processes on one run."""

import json
import os
import random
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from matching import assert_matches

from lipschitz_rnn.cli import main
from lipschitz_rnn.training import load_checkpoint

SHORT = ["--set", "training.epochs=2", "--set", "training.checkpoint_seconds=0"]
UPDATES = 2 * 41  # 1,300 samples, 32 at a time
FILES = {"config.toml", "record.jsonl", "summary.json", "last.safetensors", "best.safetensors"}


def start(*arguments, workers=2, options=("--standalone",), cwd=None):
    """Torchrun with the command line of this package."""
    launcher = ["-m", "torch.distributed.run", *options, "--nproc-per-node", str(workers)]
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "lipschitz_rnn.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=cwd,
    )


def workers_of(process):
    """Process ids of the workers, in their order."""
    ids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return sorted(map(int, ids))


def wait_for(condition, process):
    """Until it holds; torchrun must be running."""
    for _ in range(15_000):
        if condition():
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    pytest.fail("it takes longer than 5 minutes")


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert main(["train", "digits", *SHORT, "--quiet", "--out", str(folder)]) == 0
    return folder


def assert_equal_to_rounding(folder, alone):
    """Of float32, and as much further apart as a random walk over the updates takes it."""
    for kind in ("last", "best"):
        tensors, _ = load_checkpoint(folder / f"{kind}.safetensors")
        expected, _ = load_checkpoint(alone / f"{kind}.safetensors")
        for name in expected:
            if not name.startswith("random_state"):
                assert_matches(name, tensors[name], expected[name], steps=UPDATES)
    got, wanted = [json.loads((run / "summary.json").read_text()) for run in (folder, alone)]
    for weights in ("last", "best"):
        assert got[weights]["test"]["accuracy"] == wanted[weights]["test"]["accuracy"]
        assert got[weights]["epoch"] == wanted[weights]["epoch"]
    assert {path.name for path in folder.iterdir()} == FILES
    assert len((folder / "record.jsonl").read_text().splitlines()) == 4


def train_and_kill(folder, victim, chance):
    """Train with two workers, of which one is killed at a random update."""
    process = start("train", "digits", *SHORT, "--out", folder)
    try:
        wait_for((folder / "last.safetensors").exists, process)
        workers = workers_of(process)
        assert len(workers) == 2
        time.sleep(chance.uniform(0, 1.5))
        killed = time.perf_counter()
        os.kill(workers[victim], signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    finally:
        process.terminate()  # on which torchrun ends its workers
        process.wait()
    assert time.perf_counter() - killed < 30  # no waiting for what does not come
    assert process.returncode != 0
    assert "exitcode: -9" in err
    assert all(map(is_gone, workers))
    assert len(re.findall("^training digits: .*on 2 workers", out, re.MULTILINE)) <= 1
    assert not (folder / "summary.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
@pytest.mark.parametrize(
    ("victim", "then"),
    [(1, 1), *(pytest.param(v, n, marks=pytest.mark.slow) for v in (0, 1) for n in (1, 2, 3))],
)
def test_a_killed_worker_stops_the_run_which_is_then_finished_by_any_number(
    tmp_path, alone, victim, then
):
    folder = tmp_path / "run"
    train_and_kill(folder, victim, random.Random(10 * victim + then))
    if then == 1:
        assert main(["resume", str(folder), "--quiet"]) == 0
    else:
        out, err = start("resume", folder, workers=then).communicate(timeout=300)
        assert len(re.findall("^going on with digits", out, re.MULTILINE)) == 1, err
        assert out.count("run folder:") == 1
    assert_equal_to_rounding(folder, alone)


@pytest.mark.slow
def test_one_speaks_for_all(tmp_path, alone):
    process = start("train", "digits", *SHORT, "--out", tmp_path / "run")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    starts = [line.split(":")[0] for line in out.splitlines() if ": loss" in line]
    assert starts == ["epoch 1/2", "epoch 2/2"]
    assert out.count(f"run folder: {tmp_path / 'run'}") == 1
    assert_equal_to_rounding(tmp_path / "run", alone)


@pytest.mark.slow
def test_the_default_folder_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    process = start("train", "digits", *SHORT, "--json")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out)["environment"]["workers"] == 2
    (folder,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in folder.iterdir()} == FILES


@pytest.mark.slow
def test_two_machines_share_no_folder(tmp_path, alone):
    options = ["--nnodes", "2", "--master-addr", "localhost", "--master-port", str(free_port())]
    homes = [tmp_path / "first", tmp_path / "second"]
    processes = []
    for rank, home in enumerate(homes):
        home.mkdir()
        arguments = ["train", "digits", *SHORT, "--out", "run"]
        more = [*options, "--node-rank", str(rank)]
        processes.append(start(*arguments, workers=1, options=more, cwd=home))
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert results[0][0].rstrip().endswith("run folder: run")
    assert results[1][0] == ""
    assert not list(homes[1].iterdir())
    assert_equal_to_rounding(homes[0] / "run", alone)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
def test_torchrun_starts_a_killed_worker_again(tmp_path, alone):
    folder = tmp_path / "run"
    train_and_kill(folder, 1, random.Random(0))
    process = start("resume", folder, options=["--standalone", "--max-restarts", "1"])
    wait_for(lambda: len(workers_of(process)) == 2, process)
    time.sleep(3)
    os.kill(workers_of(process)[1], signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert_equal_to_rounding(folder, alone)


def test_what_is_wrong_is_said_once_and_ends_all(tmp_path):
    (tmp_path / "precious").touch()
    process = start("train", "digits", *SHORT, "--out", tmp_path)
    out, err = process.communicate(timeout=100)
    assert process.returncode != 0
    assert out == ""
    assert err.count("expected a new or empty folder") == 1
    assert len(re.findall(r"^error: ", err, re.MULTILINE)) == 1
    assert re.search(r"Root Cause(.*\n)*? *rank +: 0 .*\n *exitcode +: 2 ", err)
    assert {path.name for path in tmp_path.iterdir()} == {"precious"}


def test_a_worker_leaves_without_winding_python_up(monkeypatch, capsys):
    """Threads of gloo that are left then abort it, in the place of its exit code."""
    left, program = [], Path(find_spec("lipschitz_rnn.cli.__main__").origin)
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr(time, "sleep", left.append)
    monkeypatch.setattr(sys, "argv", ["lipschitz-rnn", "train", "digts"])
    for launched in (False, True):
        if launched:
            for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "1"}.items():
                monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit):
            runpy.run_path(str(program), run_name="__main__")
        assert left == ([1, 2] if launched else [])
    assert "Did you mean" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "digts"], "Did you mean 'digits'"),
        (["train", "digits", "--set", "training.device=cuda"], "expected a GPU"),
        (["train", "timit", "--data-dir", "nowhere"], "timit"),
        (["train", "digits", "--set", "training.lr=1e30"], "expected a finite|expected finite"),
        (["resume", "nowhere"], "expected a run folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_are_one_line_of_the_first_worker(tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIPSCHITZ_RNN_CACHE", str(tmp_path))
    monkeypatch.delenv("LIPSCHITZ_RNN_DATA", raising=False)
    process = start(*arguments, "--quiet")
    out, err = process.communicate(timeout=100)
    assert (out, process.returncode) == ("", 1)
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert re.search(expected, line)
    assert "lipschitz_rnn/" not in err  # no traceback of ours


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
def test_ctrl_c_says_once_how_to_go_on(tmp_path, alone):
    folder = tmp_path / "run"
    process = start("train", "digits", *SHORT, "--out", folder)
    wait_for((folder / "best.safetensors").exists, process)
    workers = workers_of(process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert err.count(f"interrupted; go on with: lipschitz-rnn resume {folder}\n") == 1
    assert all(map(is_gone, workers))
    assert main(["resume", str(folder), "--quiet"]) == 0
    assert_equal_to_rounding(folder, alone)
