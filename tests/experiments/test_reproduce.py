"""Working off a queue: nothing twice, nothing of other settings, no run kept waiting."""

import shutil

import pytest
from experiments.toy_runs import ROW, SHORT, run
from run_comparison import Stop

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments.queue import Entry, Queue
from lipschitz_rnn.experiments.reproduce import work_off
from lipschitz_rnn.experiments.tables import Row
from lipschitz_rnn.training import EpochDone, RunFolder


def test_a_finished_run_is_not_run_again(finished):
    results, _ = finished
    assert run(results, hooks=[lambda event: pytest.fail("trained")]).done == []


def test_a_run_of_other_settings_is_not_gone_on_with(tmp_path):
    def stop(event):
        if isinstance(event, EpochDone):
            raise Stop

    with pytest.raises(Stop):
        run(tmp_path, hooks=[stop])
    changed = Row("small", "Small", "digits", (*SHORT, "model.beta=0.9"))
    outcome = run(tmp_path, row=changed)
    assert not outcome.done
    (problem,) = outcome.problems.values()
    assert "settings that digits and the row small have today" in problem


def test_a_finished_run_of_other_settings_is_not_taken_for_done(finished, tmp_path):
    results, _ = finished
    shutil.copytree(results, tmp_path / "copy")
    changed = Row("small", "Small", "digits", (*SHORT, "model.beta=0.9"))
    assert Entry.of(changed, 1).status(tmp_path / "copy") == "stale"
    (problem,) = run(tmp_path / "copy", row=changed).problems.values()
    assert "expected a card of the settings that are wanted" in problem


def test_a_run_that_diverges_keeps_no_other_waiting(tmp_path):
    wild = Row("wild", "Wild", "digits", (*SHORT, "training.optimizer=sgd", "training.lr=1e30"))
    entries = [Entry.of(wild, 1), Entry.of(ROW, 1)]
    for _ in range(2):  # it is not tried again
        outcome = work_off(tmp_path, entries)
        (problem,) = outcome.problems.values()
        assert "finite" in problem
        assert outcome.left == 0
    assert entries[0].status(tmp_path) == "diverged"
    assert entries[1].status(tmp_path) == "done"
    assert 'status = "diverged"' in (tmp_path / "queue.toml").read_text()


def test_data_that_are_missing_keep_no_other_run_waiting(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSCHITZ_RNN_DATA", str(tmp_path))
    absent = [Row(name, "PTB", "ptb-char", ("training.epochs=1",)) for name in ("a", "b")]
    reports = []
    entries = [*(Entry.of(row, 1) for row in absent), Entry.of(ROW, 1)]
    outcome = work_off(tmp_path / "results", entries, report=reports.append)
    assert outcome.done == [entries[2]]
    assert set(outcome.problems) == set(entries[:2])
    assert not any("b-seed1" in line for line in reports)  # told once, not for each row
    assert not entries[0].folder(tmp_path / "results").exists()


def test_two_at_once_lose_nothing(tmp_path):
    with RunFolder(tmp_path).locked(), pytest.raises(InputError, match="another"):
        run(tmp_path)
    assert Queue(tmp_path).entries == []
    run(tmp_path)
    assert len(Queue(tmp_path).entries) == 1
