"""The benchmark: order, budget, arithmetic, files, and what is missing."""

import itertools
import json

import pytest

from lipschitz_rnn.benchmarks.measure import alternate, spread
from lipschitz_rnn.benchmarks.peak import Peak
from lipschitz_rnn.cli import main
from lipschitz_rnn.ops import library, variants
from lipschitz_rnn.ops.library import Missing


class Clock:
    """Time passes only while a task runs."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def task(self, name, seconds, log):
        def run():
            self.now += seconds
            log.append(name)

        return run


def test_tasks_alternate_and_slow_ones_keep_to_their_budget():
    clock, log = Clock(), []
    costs = {"a": 1.0, "b": 3.0}
    tasks = {name: clock.task(name, cost, log) for name, cost in costs.items()}
    times = alternate(tasks, always=frozenset("a"), repeats=6, seconds=9.5, clock=clock)
    assert times == {"a": [1.0] * 6, "b": [3.0] * 3}
    # the first pair warms up, the second is the first round
    assert "".join(log) == "ab" + "ab" + "aaab" + "aab"


def test_a_slow_start_does_not_count_against_the_budget():
    clock, log = Clock(), []
    costs = iter([100.0, *[1.0] * 9])
    tasks = {"late": lambda: clock.task("late", next(costs), log)()}
    times = alternate(tasks, always=frozenset(), repeats=5, seconds=9.5, clock=clock)
    assert times == {"late": [1.0] * 5}


def test_a_task_beyond_its_budget_is_measured_once():
    clock, log = Clock(), []
    tasks = {name: clock.task(name, 20.0, log) for name in "ab"}
    times = alternate(tasks, always=frozenset("a"), repeats=3, seconds=9.5, clock=clock)
    assert times == {"a": [20.0] * 3, "b": [20.0]}


class Library:
    """The peak of a machine on which every start of a thread may be late by some milliseconds."""

    def __init__(self, clock, late):
        self.clock, self.late, self.rounds = clock, itertools.cycle(late), []

    def lipschitz_scan_peak_f32(self, rounds, threads, variant):
        self.clock.now += rounds * 8e-9 + next(self.late)
        self.rounds.append(rounds)
        return 24.0 * rounds * threads

    def lipschitz_scan_best_variant(self):
        return 0


@pytest.mark.parametrize("late", [[0.0], [0.004], [0.0, 0.008, 0.03]])
def test_the_peak_is_taken_over_long_runs_whatever_the_scheduler_does(monkeypatch, late):
    clock = Clock()
    monkeypatch.setattr(library, "library", Library(clock, late))
    peak = Peak(2, clock)
    assert 0.03 < library.library.rounds[-1] * 8e-9 < 0.1
    assert peak.operations == 48.0 * library.library.rounds[-1]


def test_spread():
    assert spread([3.0]) == (3.0, [3.0, 3.0])
    assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == (3.0, [2.0, 4.0])


def run(tmp_path, *options):
    path = tmp_path / "bench.json"
    arguments = ["bench", "--shape", "4x20x16x2", "--repeats", "3", "--seconds", "0.1"]
    code = main([*arguments, "--output", str(path), *options])
    return code, json.loads(path.read_text()) if path.is_file() else None


@pytest.mark.native
@pytest.mark.skipif(not variants(), reason="no native library here")
def test_a_small_run_from_end_to_end(tmp_path, capsys):
    code, results = run(tmp_path)
    assert code == 0
    assert results["conditions"]["variant"] in variants()
    (shape,) = results["shapes"]
    assert shape["name"] == "4x20x16x2"
    assert shape["peak_gflops"]["median"] > 0.1
    for name, count in shape["operations"].items():
        native = shape["candidates"]["native"][name]
        low, high = native["quartiles_s"]
        assert 0 < low <= native["median_s"] <= high
        assert native["repeats"] == 3
        assert native["ratio"] == 1
        rate = count / native["median_s"] / 1e9
        assert native["fraction"] == pytest.approx(rate / shape["peak_gflops"]["median"])
        assert native["fraction"] < 1.2
        assert shape["candidates"]["gru"][name]["fraction"] is None
    shown = capsys.readouterr().out
    assert "4x20x16x2" in shown
    assert "nn.LSTM" in shown
    file = str(tmp_path / "bench.json")
    assert main(["bench", "--from", file, "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| B, T, N, P | kernel, ms | % of peak | target | x loop |")
    assert lines[2].startswith("| 4, 20, 16, 2 | ")


@pytest.mark.parametrize(("factor", "warns"), [(1.0, False), (1e6, True)])
def test_more_than_the_peak_is_called_impossible(tmp_path, capsys, factor, warns):
    _, results = run(tmp_path, "--only", "loop")
    for result in results["shapes"][0]["candidates"]["loop"].values():
        result["fraction"] = 0.01 * factor
    (tmp_path / "bench.json").write_text(json.dumps(results))
    capsys.readouterr()
    assert main(["bench", "--from", str(tmp_path / "bench.json")]) == 0
    assert ("More than the peak is impossible" in capsys.readouterr().out) == warns


@pytest.mark.parametrize(("load", "warns"), [([0.1] * 3, False), ([2.2] * 3, True), (None, False)])
def test_ratios_from_a_busy_machine_come_with_a_warning(tmp_path, capsys, load, warns):
    _, results = run(tmp_path, "--only", "loop")
    results["conditions"]["load_average_start"] = load
    (tmp_path / "bench.json").write_text(json.dumps(results))
    capsys.readouterr()
    assert main(["bench", "--from", str(tmp_path / "bench.json")]) == 0
    assert ("quote no ratio" in capsys.readouterr().out) == warns


def test_without_a_library_the_others_are_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(library, "library", Missing("it is a test"))
    code, results = run(tmp_path, "--only", "native,loop,rnn")
    assert code == 0
    assert "native is not measured: it is a test." in capsys.readouterr().err
    (shape,) = results["shapes"]
    assert shape["peak_gflops"] is None
    assert set(shape["candidates"]) == {"loop", "rnn"}
    assert shape["candidates"]["loop"]["training"]["ratio"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shape", "4x5"], "expected BxTxNxP"),
        (["--only", "nativ"], "--only: expected some of native"),
        (["--from", "pyproject.toml"], "expected the results of `lipschitz-rnn bench`"),
        (["--from", "no-such-file.json"], "No such file"),
    ],
)
def test_bad_input_is_told_in_one_line(options, message, capsys):
    assert main(["bench", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
