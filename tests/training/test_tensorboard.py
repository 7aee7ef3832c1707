"""What TensorBoard reads of a run is what the record says, also of a run that was interrupted."""

import json
import sys

import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.training import StopTraining, TensorBoard, UpdateDone, fit, resume

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

UPDATES = 7  # in an epoch of the configuration


def scalars(folder):
    """Steps and values by name, as TensorBoard shows them: in single precision."""
    events = accumulator.EventAccumulator(str(folder)).Reload()
    return {
        name: {event.step: event.value for event in events.Scalars(name)}
        for name in events.Tags()["scalars"]
    }


def epochs(folder):
    lines = map(json.loads, (folder / "record.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == "epoch"]


def require_record(folder, shown):
    lines = epochs(folder)
    for part in ("train", "validation"):
        for name, value in lines[0][part].items():
            expected = {line["epoch"] * UPDATES: line[part][name] for line in lines}
            assert shown[f"{part}/{name}"] == pytest.approx(expected, rel=1e-6), (name, value)
    rates = {line["epoch"] * UPDATES: line["lr"] for line in lines}
    assert shown["epoch/learning_rate"] == pytest.approx(rates, rel=1e-6)


def test_shows_what_the_record_says(config, split, make_model, tmp_path):
    updates = []

    def listen(event):
        if isinstance(event, UpdateDone):
            updates.append(event)

    with TensorBoard(every=1) as board:
        record = fit(config, split, make_model(), tmp_path / "run", hooks=[board, listen])
    shown = scalars(tmp_path / "run" / "tensorboard")
    require_record(tmp_path / "run", shown)
    norms = {(u.epoch - 1) * UPDATES + u.update: u.gradient_norm for u in updates}
    assert len(norms) == 3 * UPDATES
    assert shown["update/gradient_norm"] == pytest.approx(norms, rel=1e-6)
    assert list(shown["update/mean_loss"]) == list(norms)
    for weights in ("best", "last"):
        result = getattr(record, weights)
        expected = {result.epoch * UPDATES: result.test["loss"]}
        assert shown[f"test/{weights}/loss"] == pytest.approx(expected, rel=1e-6)
    assert "test/best/count" not in shown


def test_every_so_many_updates_into_another_folder(config, split, make_model, tmp_path):
    board = TensorBoard(tmp_path / "elsewhere", every=5)
    fit(config, split, make_model(), tmp_path / "run", hooks=[board])
    assert list(scalars(tmp_path / "elsewhere")["update/mean_loss"]) == [5, 10, 15, 20]
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_a_resumed_run_looks_like_one_never_interrupted(
    config, split, make_model, with_training, tmp_path
):
    # No checkpoint within an epoch: what the second epoch wrote before the stop is done again.
    config = with_training(config, checkpoint_seconds=1e9)

    class Killed(Exception):
        pass

    def kill(event):
        if isinstance(event, UpdateDone) and (event.epoch, event.update) == (2, 4):
            raise Killed

    with pytest.raises(Killed), TensorBoard(every=1) as board:
        fit(config, split, make_model(), tmp_path / "run", hooks=[board, kill])
    with TensorBoard(every=1) as board:
        resume(tmp_path / "run", split, make_model(), hooks=[board])
    folder = tmp_path / "run" / "tensorboard"
    assert len(list(folder.iterdir())) == 2
    shown = scalars(folder)
    require_record(tmp_path / "run", shown)
    assert list(shown["update/gradient_norm"]) == list(range(1, 3 * UPDATES + 1))


def test_a_stop_leaves_what_was_written(config, split, make_model, tmp_path):
    def stop(event):
        if isinstance(event, UpdateDone) and event.epoch == 2:
            raise StopTraining

    with pytest.raises(StopTraining), TensorBoard(every=1) as board:
        fit(config, split, make_model(), tmp_path / "run", hooks=[board, stop])
    assert list(scalars(tmp_path / "run" / "tensorboard")["train/loss"]) == [UPDATES]


def test_the_hook_changes_nothing(config, split, make_model, tmp_path):
    plain, watched = make_model(), make_model()
    fit(config, split, plain, tmp_path / "plain")
    fit(config, split, watched, tmp_path / "watched", hooks=[TensorBoard()])
    for a, b in zip(plain.parameters(), watched.parameters(), strict=True):
        assert a.equal(b)


def test_without_tensorboard(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"lipschitz-rnn\[tensorboard\]"):
        TensorBoard()


def test_every_is_checked():
    with pytest.raises(ValueError, match="every"):
        TensorBoard(every=0)
