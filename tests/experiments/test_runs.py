import json
import time

import numpy as np
import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import load_digits
from lipschitz_rnn.experiments import (
    build_data,
    evaluate_run,
    load_preset,
    load_trained,
    predict_run,
    resume_run,
    train_run,
)
from lipschitz_rnn.training import UpdateDone

SHORT = ["training.epochs=3", "training.batch_size=64", "training.threads=1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return folder, train_run(load_preset("digits", SHORT), folder)


def test_sixty_updates_on_digits_beat_chance(tmp_path):
    started = time.perf_counter()
    updates = []
    hook = lambda event: updates.append(event) if isinstance(event, UpdateDone) else None  # noqa: E731
    settings = ["training.epochs=3", "training.batch_size=65", "data.validation_size=137"]
    record = train_run(load_preset("digits", settings), tmp_path / "run", hooks=[hook])
    assert len(updates) == 60
    # Chance is 10 % of 360: 36 +- 5.7. Six standard deviations above it is 20 %.
    assert record.last.test["accuracy"] > 0.2
    assert updates[-1].loss < updates[0].loss
    assert time.perf_counter() - started < 20


def test_the_record_has_what_was_promised(run):
    folder, _ = run
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["config"]["seed"] == {"init": 1, "order": 1, "dropout": 1}
    assert summary["parameters"] == 9_418
    assert summary["data"]["digest"] == build_data(load_preset("digits")).digest
    wanted = {"commit", "python", "torch", "numpy", "processor", "cores", "instruction_set"}
    assert wanted | {"threads", "backend", "lipschitz_rnn"} <= set(summary["environment"])
    assert summary["environment"]["threads"] == 1
    assert set(summary["before"]["l0"]) == set(summary["after"]["l0"])
    assert summary["before"] != summary["after"]


@pytest.mark.parametrize("weights", ["best", "last"])
def test_evaluation_repeats_the_record(run, weights):
    folder, record = run
    assert evaluate_run(folder, weights).for_record() == getattr(record, weights).test


def test_prediction_of_raw_samples_agrees_with_evaluation(run):
    folder, record = run
    digits = load_digits()
    probabilities = predict_run(folder, digits.test_images, "last")
    assert probabilities.shape == (360, 10)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    share = (probabilities.argmax(-1).numpy() == digits.test_target).mean()
    assert share == record.last.test["accuracy"]


def test_resuming_a_finished_run_gives_its_record(run):
    folder, record = run
    assert resume_run(folder) == record


def test_bad_input_leaves_no_folder(tmp_path):
    for settings, error in (
        (["data.steps=7"], "to divide 64 pixels"),
        (["data.name=digit"], "Did you mean 'digits'"),
        (["model.trainable=['foo']"], "foo"),
    ):
        with pytest.raises(InputError, match=error):
            train_run(load_preset("digits", settings), tmp_path / "new")
        assert not (tmp_path / "new").exists()


def test_there_are_two_sets_of_weights(run):
    with pytest.raises(InputError, match="best or last"):
        load_trained(run[0], "first")


def test_a_run_without_weights_says_so(run, tmp_path):
    (tmp_path / "config.toml").write_bytes((run[0] / "config.toml").read_bytes())
    with pytest.raises(InputError, match="got none so far"):
        load_trained(tmp_path)
