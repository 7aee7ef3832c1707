"""The presets on MNIST itself; skipped where it is not at hand. Nothing is downloaded."""

import json

import pytest

from lipschitz_rnn.data import verify
from lipschitz_rnn.experiments import load_preset, train_run
from lipschitz_rnn.training import UpdateDone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not verify("mnist").ok, reason="MNIST is not on this machine"),
]


def test_mnist_rows_reads_95_percent_of_the_test_images(tmp_path):
    record = train_run(load_preset("mnist-rows"), tmp_path / "run")
    assert record.best.test["count"] == 10_000
    assert record.best.test["accuracy"] > 0.95


class Enough(Exception):
    pass


def test_the_loss_of_smnist_falls(tmp_path):
    """The first third of an epoch, on whatever backend is in force."""
    losses = []

    def watch(event):
        if isinstance(event, UpdateDone):
            total = event.loss * event.update
            losses.append(total - sum(losses))  # of this update alone
            if event.update == 150:
                raise Enough

    with pytest.raises(Enough):
        train_run(load_preset("smnist"), tmp_path / "run", hooks=[watch])
    assert sum(losses[-30:]) < sum(losses[:30])


def test_the_record_names_the_official_files(tmp_path):
    settings = ["training.epochs=1", "training.batch_size=1000"]
    train_run(load_preset("mnist-rows", settings), tmp_path / "run")
    data = json.loads((tmp_path / "run" / "summary.json").read_text())["data"]
    assert (data["train"], data["validation"], data["test"]) == (58_000, 2_000, 10_000)
    assert data["digest"] == verify("mnist").digest
