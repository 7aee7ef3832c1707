import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from run_comparison import Stop, assert_same_run

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.training import (
    RunFolder,
    StopTraining,
    fit,
    load_checkpoint,
    resume,
    save_checkpoint,
)

SCRIPT = Path(__file__).with_name("kill_and_resume.py")


def kill_and_resume(folder: Path, seed: int, pause: float) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, folder, str(seed), str(pause)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kills, late_kills = map(int, done.stdout.split())
    assert kills >= 4
    assert late_kills >= 2
    assert_same_run(folder / "whole", folder / "killed")
    assert {path.name for path in (folder / "killed").iterdir()} == {
        "config.toml",
        "record.jsonl",
        "summary.json",
        "last.safetensors",
        "best.safetensors",
    }


def test_killed_at_random_points_equals_uninterrupted(tmp_path):
    kill_and_resume(tmp_path, seed=0, pause=0.4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_killed_at_random_points_equals_uninterrupted_many_times(tmp_path, seed):
    kill_and_resume(tmp_path, seed=seed, pause=0.25)


@pytest.mark.parametrize("stop_after", [1, 4, 7, 8, 14, 20, 21])
def test_interrupted_after_an_update_equals_uninterrupted(
    tmp_path, config, split, make_model, stop_after
):
    whole = fit(config, split, make_model(), tmp_path / "whole")
    seen = []

    def stop(event):
        seen.append(type(event).__name__)
        if seen.count("UpdateDone") == stop_after:
            raise Stop

    with pytest.raises(Stop):
        fit(config, split, make_model(), tmp_path / "cut", hooks=[stop])
    with (tmp_path / "cut" / "record.jsonl").open("ab") as record:
        record.write(b'{"event": "epo')  # a line of which a kill left half
    assert resume(tmp_path / "cut", split, make_model()).last == whole.last
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("stop_after", [1, 7, 13, 14, 21])
@pytest.mark.parametrize(
    "schedule", [{}, {"schedule": "one-cycle", "decay_epochs": (), "average_decay": 0.7}]
)
def test_stopped_with_a_checkpoint_equals_uninterrupted(
    tmp_path, config, split, make_model, with_training, stop_after, schedule
):
    """Behind the last update of an epoch too: what is told of it then needs its learning rate."""
    config = with_training(config, checkpoint_seconds=60, **schedule)
    fit(config, split, make_model(), tmp_path / "whole")
    seen = 0

    def stop(event):
        nonlocal seen
        seen += type(event).__name__ == "UpdateDone"
        if seen == stop_after:
            raise StopTraining

    with pytest.raises(StopTraining):
        fit(config, split, make_model(), tmp_path / "cut", hooks=[stop])
    resume(tmp_path / "cut", split, make_model())
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_run_from_before_a_setting_existed_goes_on(tmp_path, config, split, make_model):
    """Nothing a user made is lost to a release that adds a setting, here `device`."""
    fit(config, split, make_model(), tmp_path / "whole")
    with pytest.raises(Stop):
        fit(config, split, make_model(), tmp_path / "old", hooks=[stop_after_epoch(2)])
    folder = RunFolder(tmp_path / "old")
    text = folder.config.read_text()
    folder.config.write_text(text.replace('device = "cpu"\n', ""))
    assert "device" not in folder.config.read_text()
    for path in (folder.last, folder.best):
        tensors, meta = load_checkpoint(path)
        del meta["config"]["training"]["device"]
        save_checkpoint(path, tensors, meta)
    resume(folder.path, split, make_model())
    folder.config.write_text(text)
    assert_same_run(tmp_path / "whole", folder.path)


def stop_after_epoch(epoch):
    def stop(event):
        if getattr(event, "epoch", 0) == epoch and type(event).__name__ == "EpochDone":
            raise Stop

    return stop


def test_another_number_of_threads_in_between_changes_nothing(tmp_path, config, split, make_model):
    def stop(event):
        if getattr(event, "epoch", 0) == 2:
            raise Stop

    def note_threads(_):
        threads.append(torch.get_num_threads())

    threads = []
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(Stop):
            fit(config, split, make_model(), tmp_path, hooks=[stop])
        torch.set_num_threads(1)
        resume(tmp_path, split, make_model(), hooks=[note_threads])
        assert set(threads) == {2}
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_stopped_at_every_access_to_the_disk(
    tmp_path, config, split, make_model, with_training, monkeypatch
):
    """Like a kill between any two steps of any write, one after the other."""
    config = with_training(config, epochs=2, decay_epochs=(1,), checkpoint_seconds=60)
    fit(config, split, make_model(), tmp_path / "whole")
    remaining = None

    def limited(real):
        def call(*arguments):
            nonlocal remaining
            if remaining is not None:
                remaining -= 1
                if remaining < 0:
                    raise Stop
            return real(*arguments)

        return call

    for name in ("fsync", "replace", "truncate"):
        monkeypatch.setattr(os, name, limited(getattr(os, name)))
    for point in range(100):
        folder, remaining = RunFolder(tmp_path / str(point)), point
        try:
            fit(config, split, make_model(), folder.path)
            break
        except Stop:
            remaining = None
            if folder.config.exists():
                resume(folder.path, split, make_model())
            else:
                fit(config, split, make_model(), folder.path)
            assert_same_run(tmp_path / "whole", folder.path)
    # config, first checkpoint; record, last of 2 epochs, best of 1; 2 test lines, last, summary
    assert point >= 3 + 3 + 2 * (1 + 3) + 3 + 2 + 3 + 3


def test_a_finished_run_stays_as_it_is(tmp_path, config, split, make_model):
    record = fit(config, split, make_model(), tmp_path)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    events = []
    assert resume(tmp_path, split, make_model(), hooks=[events.append]) == record
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert after == before
    assert events == []


@pytest.fixture
def interrupted(tmp_path, config, split, make_model):
    def stop(event):
        if type(event).__name__ == "EpochDone":
            raise Stop

    with pytest.raises(Stop):
        fit(config, split, make_model(), tmp_path / "run", hooks=[stop])
    return RunFolder(tmp_path / "run")


def refuses(folder, split, model, expected):
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    with pytest.raises(InputError, match=expected) as caught:
        resume(folder.path, split, model)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before


def test_swapped_best_and_last_are_refused(interrupted, split, make_model):
    shutil.copy(interrupted.best, interrupted.last)
    refuses(interrupted, split, make_model(), "expected a 'last' checkpoint, got 'best'")


def test_a_checkpoint_of_another_configuration_is_refused(
    interrupted, config, split, make_model, tmp_path, with_training
):
    other = tmp_path / "other"
    fit(with_training(config, lr=0.5), split, make_model(), other)
    shutil.copy(other / "last.safetensors", interrupted.last)
    refuses(interrupted, split, make_model(), "configuration in config.toml, got another's")


def test_other_samples_are_refused(interrupted, split, make_model):
    import dataclasses

    other = dataclasses.replace(split, digest="1" * 64)
    refuses(interrupted, other, make_model(), "expected the samples the run began with")


def test_another_model_is_refused(interrupted, split):
    refuses(interrupted, split, torch.nn.Linear(2, 3), "expected the weights of this model")


def test_other_shapes_are_refused(interrupted, split, make_model):
    model = make_model()
    model.head = torch.nn.Linear(7, 3)
    refuses(interrupted, split, model, r"'head.weight' of shape \(3, 7\)")


def test_a_lost_checkpoint_is_not_papered_over(interrupted, split, make_model):
    interrupted.last.unlink()
    refuses(interrupted, split, make_model(), "expected the checkpoint to go on from")


def test_a_record_that_was_cut_is_refused(interrupted, split, make_model):
    os.truncate(interrupted.record, interrupted.record.stat().st_size - 1)
    refuses(interrupted, split, make_model(), "Was it cut")


def test_a_folder_that_is_no_run_is_refused(tmp_path, split, make_model):
    with pytest.raises(InputError, match="expected a run folder"):
        resume(tmp_path / "nowhere", split, make_model())
    assert not (tmp_path / "nowhere").exists()


def test_killed_before_the_first_checkpoint(interrupted, split, make_model, tmp_path, config):
    for path in (interrupted.last, interrupted.best, interrupted.record):
        path.unlink()
    resume(interrupted.path, split, make_model())
    fit(config, split, make_model(), tmp_path / "whole")
    assert_same_run(tmp_path / "whole", interrupted.path)


def test_divergence_at_the_end_of_an_epoch_keeps_the_checkpoint(
    tmp_path, config, split, make_model
):
    """The last update of an epoch spoils a weight, and no loss is looked at after it."""
    model = make_model()

    def spoil(event):
        if type(event).__name__ == "UpdateDone" and (event.epoch, event.update) == (2, 7):
            with torch.no_grad():
                model.head.weight.fill_(float("nan"))

    with pytest.raises(FloatingPointError, match=r"epoch 2, after update 7: .*gradient norm: \d"):
        fit(config, split, model, tmp_path / "run", hooks=[spoil])
    for name in ("last", "best"):
        tensors, _ = load_checkpoint(tmp_path / "run" / f"{name}.safetensors")
        assert all(value.isfinite().all() for value in tensors.values())
    assert len((tmp_path / "run" / "record.jsonl").read_text().splitlines()) == 1
    fit(config, split, make_model(), tmp_path / "whole")
    resume(tmp_path / "run", split, make_model())
    assert_same_run(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("harm", ["remove", "truncate"])
def test_lost_best_weights_are_noticed_before_training_goes_on(
    tmp_path, config, split, make_model, harm
):
    with pytest.raises(Stop):
        fit(config, split, make_model(), tmp_path, hooks=[stop_after_epoch(1)])
    best = tmp_path / "best.safetensors"
    content = best.read_bytes()
    best.unlink() if harm == "remove" else best.write_bytes(content[:-9])
    seen = []
    with pytest.raises(InputError, match=r"best\.safetensors: expected"):
        resume(tmp_path, split, make_model(), hooks=[seen.append])
    assert not seen
    best.write_bytes(content)
    resume(tmp_path, split, make_model())


def test_a_record_of_another_run_is_refused_and_left_alone(tmp_path, config, split, make_model):
    with pytest.raises(Stop):
        fit(config, split, make_model(), tmp_path, hooks=[stop_after_epoch(2)])
    record = tmp_path / "record.jsonl"
    foreign = record.read_bytes().replace(b"accuracy", b"Accuracy") * 2
    record.write_bytes(foreign)
    with pytest.raises(InputError, match=r"record\.jsonl: expected the record of this run"):
        resume(tmp_path, split, make_model())
    assert record.read_bytes() == foreign
