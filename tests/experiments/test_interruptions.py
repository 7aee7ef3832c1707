"""Runs that are cut off, by a budget or by a kill, end in the same card."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from experiments.toy_runs import SHORT, run, without_times

from lipschitz_rnn.experiments.card import read_card
from lipschitz_rnn.experiments.tables import Row
from lipschitz_rnn.training import UpdateDone, load_checkpoint


def test_any_budget_makes_progress_and_ends_in_the_same_card(finished, tmp_path):
    """Even one too short for an update, at the default time between checkpoints."""
    results, _ = finished
    slow = Row("small", "Small", "digits", SHORT[:-1])
    updates, calls = [], 0
    while calls < 100:
        calls += 1
        seen = []
        outcome = run(tmp_path, row=slow, budget_seconds=1e-3, hooks=[seen.append])
        updates += [(e.epoch, e.update) for e in seen if isinstance(e, UpdateDone)]
        if outcome.done:
            break
        assert outcome.left == 1
    per_epoch = 1300 // 32 + 1
    assert updates == [(e, u) for e in (1, 2) for u in range(1, per_epoch + 1)]  # none done twice
    assert calls > 10
    path = "digits/small-seed1/card.json"
    got, wanted = read_card(tmp_path / path), read_card(results / path)
    assert len(got["time"]["sessions"]) > 10
    for card in (got, wanted):
        card["settings"]["training"].pop("checkpoint_seconds")
    assert without_times(got) == without_times(wanted)


def kill_at_random(results, seed, most):
    """Kill ``lipschitz-rnn sweep`` with SIGKILL, at most so often, until it is done; how often."""
    command = [sys.executable, "-m", "lipschitz_rnn.cli", "sweep", "digits", "--quiet"]
    command += ["--over", "model.beta=0.75", "--results", str(results), "--seeds", "1,2"]
    for setting in (*SHORT, "training.epochs=60"):
        command += ["--set", setting]
    chance, kills = random.Random(seed), 0
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    while True:
        child = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
        )
        if kills < most and _begins_to_write(child, results):
            time.sleep(chance.uniform(0, 1))
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
                child.communicate()
                kills += 1
                continue
        _, errors = child.communicate(timeout=300)
        assert child.returncode == 0, errors
        return kills


def _begins_to_write(child, results):
    """Wait until the command has written something, or ends."""
    before = _newest(results)
    while child.poll() is None:
        if _newest(results) != before:
            return True
        time.sleep(0.01)
    return False


def _newest(results):
    return max(
        (path.stat().st_mtime_ns for path in results.glob("digits/*/last.safetensors")), default=0
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killed_at_random_gives_the_same_card(tmp_path, seed):
    assert kill_at_random(tmp_path / "whole", seed, 0) == 0
    assert kill_at_random(tmp_path / "killed", seed, 5) == 5
    whole = sorted((tmp_path / "whole").glob("digits/*/card.json"))
    assert len(whole) == 2
    for path in whole:
        other = tmp_path / "killed" / path.relative_to(tmp_path / "whole")
        assert without_times(read_card(other)) == without_times(read_card(path))
        for name in ("last", "best"):
            one, _ = load_checkpoint(path.parent / f"{name}.safetensors")
            two, _ = load_checkpoint(other.parent / f"{name}.safetensors")
            assert {k: v.numpy().tobytes() for k, v in one.items()} == {
                k: v.numpy().tobytes() for k, v in two.items()
            }
