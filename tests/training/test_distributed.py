"""Several workers on one run against a process alone; see tests/distributed_runs.py."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from distributed_runs import (
    CUT,
    RUNS,
    fit_a_sample_of,
    go_on,
    make_run,
    outcome,
    stop_within_an_epoch,
)
from matching import assert_matches
from run_comparison import assert_same_run

from lipschitz_rnn.training import evaluate, fit, load_checkpoint

SCRIPT = Path(__file__).parents[1] / "distributed_runs.py"
FILES = {"config.toml", "record.jsonl", "summary.json", "last.safetensors", "best.safetensors"}
EXACT = [name for name in RUNS if name != "dropout"]  # each worker draws masks of its own
WORKERS = [2, pytest.param(3, marks=pytest.mark.slow)]


def work(root, count):
    options = ["--standalone", "--nproc-per-node", str(count)]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *options, SCRIPT, root],
        capture_output=True,
        text=True,
        timeout=500,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parent)},
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A folder with every run of a process alone."""
    root = tmp_path_factory.mktemp("runs")
    for name in RUNS:
        config, split, model = make_run(name)
        fit(config, split, model, root / f"{name}-1")
    for name in CUT:
        stop_within_an_epoch(name, root / f"half-{name}-1")
    return root


@pytest.fixture(scope="module")
def two(alone):
    work(alone, 2)
    return alone


@pytest.fixture(scope="module")
def three(two):
    work(two, 3)
    return two


@pytest.fixture
def root(request, count):
    return request.getfixturevalue({2: "two", 3: "three"}[count])


def numbers(value, where=""):
    """Every leaf but the times, by its place."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            if key != "time":
                yield from numbers(part, f"{where}/{key}")
    else:
        yield where, value


def lines(folder):
    return [json.loads(line) for line in (folder / "record.jsonl").read_text().splitlines()]


def assert_equal_to_rounding(folder, other):
    """Weights, optimiser, carried states, and every number on record.

    The sums are those of one process in another order. Each update adds an error of some units in
    the last place of float64; over the updates they add up like a random walk.
    """
    updates = 2 * 71  # of the longest run, "row"
    for kind in ("last", "best"):
        tensors, meta = load_checkpoint(folder / f"{kind}.safetensors")
        expected, expected_meta = load_checkpoint(other / f"{kind}.safetensors")
        names = {name for name in tensors if not name.startswith("random_state/")}
        assert names == set(expected)
        for name in names - {"random_state"}:
            assert_matches(f"{kind}: {name}", tensors[name], expected[name], steps=updates)
        if kind == "last":
            for key in ("epoch", "update", "last", "best", "lr_factor"):
                assert_close(meta["content"][key], expected_meta["content"][key])
    assert_close(lines(folder), lines(other))


def assert_close(one, other):
    one, other = dict(numbers(one)), dict(numbers(other))
    assert one.keys() == other.keys()
    for name, value in one.items():
        expected = other[name]
        if isinstance(expected, float):
            expected = pytest.approx(expected, rel=1e-13)
        assert value == expected, name


@pytest.mark.parametrize("count", WORKERS)
@pytest.mark.parametrize("name", EXACT)
def test_workers_do_what_one_process_does(root, count, name):
    assert_equal_to_rounding(root / f"{name}-{count}", root / f"{name}-1")


@pytest.mark.parametrize("count", WORKERS)
@pytest.mark.parametrize("name", RUNS)
def test_all_workers_end_with_the_weights_on_disk_to_the_last_bit(root, count, name):
    tensors, _ = load_checkpoint(root / f"{name}-{count}" / "last.safetensors")
    for number in range(count):
        weights = torch.load(root / f"{name}-{count}.{number}.pt")
        for key, value in weights.items():
            assert torch.equal(value, tensors[f"model/{key}"]), key


@pytest.mark.parametrize("count", WORKERS)
@pytest.mark.parametrize("name", RUNS)
def test_everything_is_written_once(root, count, name):
    folder = root / f"{name}-{count}"
    assert {path.name for path in folder.iterdir()} == FILES
    assert [line.get("weights") for line in lines(folder)] == [None, None, "last", "best"]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["environment"]["workers"] == count
    assert [session["workers"] for session in summary["time"]["sessions"]] == [count]


@pytest.mark.parametrize("count", WORKERS)
@pytest.mark.parametrize("name", [name for name in CUT if name in EXACT])
def test_half_a_run_is_finished_by_another_number_of_workers(root, count, name):
    go_on(name, root / f"half-{name}-{count}", root / f"{name}-{count}-then-1")
    pairs = [(count, 1), *((before, count) for before in range(1, count))]
    for before, after in pairs:
        folder = root / f"{name}-{before}-then-{after}"
        assert_equal_to_rounding(folder, root / f"{name}-1")
        summary = json.loads((folder / "summary.json").read_text())
        assert [s["workers"] for s in summary["time"]["sessions"]] == [before, after]


@pytest.mark.parametrize("name", CUT)
def test_half_a_run_is_finished_by_as_many_workers_to_the_last_bit(two, name):
    """With three, torch may add up in another order after a new start; two numbers have but one."""
    assert_same_run(two / f"{name}-2-then-2", two / f"{name}-2")


def test_each_worker_draws_masks_of_its_own(two):
    tensors, _ = load_checkpoint(two / "dropout-2" / "last.safetensors")
    streams = [tensors["random_state"], tensors["random_state/1"]]
    expected, _ = load_checkpoint(two / "dropout-1" / "last.safetensors")
    assert not torch.equal(*streams)
    assert not any(torch.equal(stream, expected["random_state"]) for stream in streams)


@pytest.mark.parametrize("count", WORKERS)
@pytest.mark.parametrize("weights", ["last", "best"])
def test_results_are_those_of_the_weights_on_disk(root, count, weights):
    folder = root / f"text-{count}"
    _, split, model = make_run("text")
    tensors, _ = load_checkpoint(folder / f"{weights}.safetensors")
    model.load_state_dict(
        {k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")}
    )
    expected = evaluate(model, split.test, 4, kind=split.kind).for_record()
    assert_close(json.loads((folder / "summary.json").read_text())[weights]["test"], expected)


@pytest.mark.parametrize("count", WORKERS)
def test_workers_agree_on_values_and_errors(root, count, tmp_path):
    paths = [root / f"agreements-{count}.{number}.json" for number in range(count)]
    first, *others = [json.loads(path.read_text()) for path in paths]
    for number, other in enumerate(others, 1):
        assert other.pop("together") == str(number)
        assert other.pop("odd error") == "RuntimeError: LocalError: 1 and 2"
    assert first.pop("together") == "0"
    assert first.pop("odd error") == "LocalError: 1 and 2"
    for one, other in itertools.pairwise([first, *others]):
        assert one == other
    folder = root / f"agreements-{count}" / "infinite"
    full = f"{folder}: expected a new or empty folder, got a full one. "
    infinite = outcome(fit_a_sample_of, float("inf"), tmp_path / "infinite")
    assert infinite.startswith("FloatingPointError: epoch 1, update 1: expected a finite loss")
    assert first.pop("infinite sample") == infinite
    assert first.pop("full folder").startswith(f"InputError: {full}")
    assert first.pop("other samples").startswith("InputError: worker 1: toy: expected the samples")
    assert first == {
        "value": "{'from': 0}",
        "nothing": "None",
        "time": "True",
        "no time": "False",
        "error of the first": "InputError: no file",
        "error of the last": "InputError: worker 1: no data",
        "error of all": "OSError: no disk",
        "bug of the last": "KeyError: 'x'",
    }
