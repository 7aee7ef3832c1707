import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from run_comparison import Stop

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments.card import read_card
from lipschitz_rnn.experiments.queue import Entry, Queue
from lipschitz_rnn.experiments.reproduce import work_off
from lipschitz_rnn.experiments.results import as_markdown, gather
from lipschitz_rnn.experiments.share import keep_private
from lipschitz_rnn.experiments.tables import Row, Table
from lipschitz_rnn.experiments.verify import compare, verify_cards
from lipschitz_rnn.training import (
    EpochDone,
    EvaluationResult,
    RunFolder,
    UpdateDone,
    load_checkpoint,
    save_checkpoint,
)

SHORT = (
    "training.epochs=2",
    "training.decay_epochs=[]",
    "model.hidden_size=8",
    "training.checkpoint_seconds=0",
)
ROW = Row("small", "Small", "digits", SHORT, printed=50.0, evidence="text: a table")
TABLE = Table("toy", "Toy: per cent", "accuracy", 100.0, 2, (1,), (ROW,))


def run(results, seeds=(1,), row=ROW, **options):
    return work_off(results, [Entry.of(row, seed) for seed in seeds], **options)


def without_times(card):
    return {key: value for key, value in card.items() if key != "time"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    curve = []
    run(results, hooks=[lambda event: curve.append(event) if isinstance(event, EpochDone) else 0])
    return results, curve


def test_a_card_says_everything(finished):
    results, epochs = finished
    card = read_card(results / "digits" / "small-seed1" / "card.json")
    folder = RunFolder(results / "digits" / "small-seed1")
    summary = folder.read_summary()
    assert card["preset"] == "digits"
    assert card["run"] == "small-seed1"
    assert card["data"]["name"] == "digits"
    assert card["seed"] == {"init": 1, "order": 1, "dropout": 1}
    assert card["parameters"] == 2 * 64 + 8 * 9 + 10 * 9
    assert card["test_accuracy_last"] == summary.last.test["accuracy"]
    assert card["test_accuracy_best_validation"] == summary.best.test["accuracy"]
    curve = card["curve"]
    assert [point["epoch"] for point in curve] == [1, 2]
    assert [point["validation"] for point in curve] == [e.validation["accuracy"] for e in epochs]
    assert card["test_accuracy_best_test"] == max(point["test"] for point in curve)
    assert curve[-1]["test"] == card["test_accuracy_last"]
    assert curve[summary.best.epoch - 1]["test"] == card["test_accuracy_best_validation"]
    assert card["time"]["wall_seconds"] > 0
    assert card["machine"]["processor"]
    assert card["versions"]["torch"]
    assert str(results) not in json.dumps(card)  # no path of this machine


def test_what_is_kept_is_small_and_has_no_optimizer(finished):
    results, _ = finished
    folder = RunFolder(results / "digits" / "small-seed1")
    for path in (folder.last, folder.best):
        tensors, _ = load_checkpoint(path)
        assert all(name.startswith("model/") for name in tensors)
    assert not (folder.path / ".gitignore").exists()


def test_a_finished_run_is_not_run_again(finished):
    results, _ = finished
    assert run(results, hooks=[lambda event: pytest.fail("trained")]).done == []


def test_the_table_has_ours_beside_print(finished):
    results, _ = finished
    (gathered,) = gather(TABLE, results)
    accuracy = gathered.cards[1]["test_accuracy_last"]
    text = as_markdown(TABLE, [gathered])
    assert f"| Small | {100 * accuracy:.2f} (n=1) |" in text
    assert f"| 50.0 | {100 * accuracy - 50:+.2f} | text: a table |" in text
    other = Row("absent", "Absent", "digits", SHORT)
    table = Table("toy", "Toy", "accuracy", 100.0, 2, (1,), (other,))
    assert "| Absent | not run | not run | not run | none |" in as_markdown(
        table, gather(table, results)
    )


def test_a_table_of_losses_has_the_trivial_ones_beside_them(finished):
    results, _ = finished
    table = Table("toy", "Toy", "loss", 1.0, 3, (1,), (ROW,))
    text = as_markdown(table, gather(table, results))
    loss = read_card(results / "digits/small-seed1/card.json")["test_last"]["loss"]
    assert f"| Small | {loss:.3f} (n=1) |" in text
    assert "| uniform 2.303 | 290 | digits |" in text
    assert "not run" not in text
    assert "in print" not in text


def test_a_card_of_other_settings_does_not_count(finished):
    results, _ = finished
    changed = Row("small", "Small", "digits", (*SHORT, "model.beta=0.9"))
    table = Table("toy", "Toy", "accuracy", 100.0, 2, (1,), (changed,))
    (gathered,) = gather(table, results)
    assert not gathered.cards


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


def test_the_queue_is_on_disk_and_in_order(tmp_path):
    queue = Queue(tmp_path)
    entries = [Entry.of(ROW, seed) for seed in (3, 1, 2)]
    queue.add(entries)
    queue.add(entries[:1])  # it is there already
    assert Queue(tmp_path).entries == entries
    assert [e.seed for e in Queue(tmp_path).pending()] == [3, 1, 2]
    RunFolder(entries[2].folder(tmp_path)).path.mkdir(parents=True)
    RunFolder(entries[2].folder(tmp_path)).create(ROW.config(2))
    assert [e.seed for e in Queue(tmp_path).pending()] == [2, 3, 1]  # what was begun comes first
    assert 'status = "begun"' in _rewritten(tmp_path)
    for damaged in ("runs = 3 x", "runs = 5", "runs = [1]"):
        (tmp_path / "queue.toml").write_text(damaged)
        with pytest.raises(InputError, match=r"queue\.toml: expected a queue"):
            Queue(tmp_path)
    (tmp_path / "queue.toml").write_text('[[runs]]\npreset = "digits"\nrow = "../x"\nseed = 1')
    with pytest.raises(InputError, match="a name that a folder can have"):
        Queue(tmp_path)


def _rewritten(results):
    Queue(results).write()
    return (results / "queue.toml").read_text()


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


def test_committed_models_are_evaluated_to_their_cards(finished):
    results, _ = finished
    found = list(verify_cards(results))
    assert [(f.weights, f.status) for f in found] == [("last", "same"), ("best", "same")]


def test_a_model_that_is_not_its_cards_is_found_out(finished, tmp_path):
    results, _ = finished
    shutil.copytree(results, tmp_path / "copy")
    folder = RunFolder(tmp_path / "copy" / "digits" / "small-seed1")
    tensors, meta = load_checkpoint(folder.last)
    tensors["model/head.bias"][3] += 5.0
    save_checkpoint(folder.last, tensors, meta)
    folder.best.unlink()
    last, best = verify_cards(tmp_path / "copy")
    assert (last.status, best.status) == ("different", "skipped")
    assert "expected loss" in last.detail or "expected accuracy" in last.detail


def test_how_close_is_the_same():
    expected = {"loss": 0.5, "accuracy": 0.98, "count": 100}
    result = EvaluationResult(0.5 * (1 + 5e-6), {"accuracy": 0.98}, 100)
    assert compare(expected, result, exact=True) == ""
    one_off = EvaluationResult(0.5, {"accuracy": 0.97}, 100)
    assert compare(expected, one_off, exact=False) == ""
    assert "expected accuracy 0.98" in compare(expected, one_off, exact=True)
    two_off = EvaluationResult(0.5, {"accuracy": 0.96}, 100)
    assert "expected accuracy 0.98" in compare(expected, two_off, exact=False)
    far = EvaluationResult(0.5 * (1 + 2e-5), {"accuracy": 0.98}, 100)
    assert "expected loss 0.5" in compare(expected, far, exact=False)
    text = {"loss": 0.5, "accuracy": 0.5, "count": 50_000}
    near = EvaluationResult(0.5, {"accuracy": 0.5 + 2 / 50_000}, 50_000)
    assert compare(text, near, metric="bits_per_character", exact=False) == ""
    assert "expected accuracy" in compare(text, near, exact=False)
    assert "100 answers" in compare(
        expected, EvaluationResult(0.5, {"accuracy": 0.98}, 99), exact=True
    )


def test_licensed_and_large_models_stay_out_of_git(finished, tmp_path):
    results, _ = finished
    shutil.copytree(results / "digits" / "small-seed1", tmp_path / "a")
    keep_private(RunFolder(tmp_path / "a"), "ptb-char")
    assert (tmp_path / "a" / ".gitignore").read_text() == "*.safetensors*\n"
    shutil.copytree(results / "digits" / "small-seed1", tmp_path / "b")
    with (tmp_path / "b" / "best.safetensors").open("ab") as file:
        file.truncate(1_000_001)
    keep_private(RunFolder(tmp_path / "b"), "mnist")
    assert (tmp_path / "b" / ".gitignore").exists()
    (tmp_path / "b" / "best.safetensors").unlink()  # small again: shared again
    keep_private(RunFolder(tmp_path / "b"), "mnist")
    assert not (tmp_path / "b" / ".gitignore").exists()
