"""Run folders of earlier releases are read, and gone on with, as they are."""

import json

import pytest
from run_comparison import Stop, without_times

from lipschitz_rnn.training import EpochDone, RunFolder, fit, load_checkpoint, resume
from lipschitz_rnn.training.checkpoint import save_checkpoint
from lipschitz_rnn.training.weights import load_weights


def make_old(path):
    """Turn a checkpoint into one of the first release."""
    tensors, meta = load_checkpoint(path)
    data = meta["data"]
    assert data.pop("kind") == "classes"
    assert data.pop("timed") is False
    data["num_classes"] = data.pop("output_size")
    if "totals" in meta["content"]:
        del meta["content"]["totals"]["samples"]
        del meta["content"]["lr_factor"]
    save_checkpoint(path, tensors, meta)


def stop_in_epoch_two(event):
    if isinstance(event, EpochDone) and event.epoch == 2:
        raise Stop


def test_an_old_run_goes_on_and_ends_as_a_new_one(tmp_path, config, split, make_model):
    fit(config, split, make_model(), tmp_path / "new")
    with pytest.raises(Stop):
        fit(config, split, make_model(), tmp_path / "old", hooks=[stop_in_epoch_two])
    folder = RunFolder(tmp_path / "old")
    make_old(folder.last)
    make_old(folder.best)
    _, data = load_weights(folder.best, "best", config)
    assert (data["output_size"], data["kind"]) == (3, "classes")
    resume(tmp_path / "old", split, make_model())
    new, old = without_times(tmp_path / "new"), without_times(tmp_path / "old")
    assert old["last"] == new["last"]
    assert old["summary"] == new["summary"]


def test_an_old_summary_is_read(tmp_path, config, split, make_model):
    summary = fit(config, split, make_model(), tmp_path)
    path = RunFolder(tmp_path).summary
    table = json.loads(path.read_text())
    table["time"]["sequences_per_second"] = table["time"].pop("samples_per_second")
    del table["metric"]
    path.write_text(json.dumps(table))
    assert RunFolder(tmp_path).read_summary() == summary
