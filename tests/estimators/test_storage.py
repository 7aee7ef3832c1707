"""Estimators as files and pickles: the same answers to the last bit, and nothing executed."""

import copy
import io
import json
import os
import pickle

import joblib
import numpy as np
import pytest
import safetensors.torch
import torch
from estimators.made_series import gappy_series
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from lipschitz_rnn import LipschitzRNN
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.estimators import (
    LipschitzRNNClassifier,
    LipschitzRNNForecaster,
    LipschitzRNNRegressor,
)
from lipschitz_rnn.training import load_checkpoint, save_checkpoint

SERIES, TIMES, KINDS = gappy_series(24)
SHORT = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}


def classifier(y=KINDS, **options):
    return LipschitzRNNClassifier(**SHORT, **options).fit(SERIES, y, times=TIMES)


def regressor():
    y = np.array([[len(s), np.nanmean(s)] for s in SERIES])
    return LipschitzRNNRegressor(unit="lem", num_layers=2, dropout=0.1, **SHORT).fit(SERIES, y)


def forecaster():
    return LipschitzRNNForecaster(3, context=9, **SHORT).fit(SERIES, times=TIMES)


def through_file(estimator, folder):
    estimator.save(folder / "e.safetensors")
    return type(estimator).load(str(folder / "e.safetensors"))


ROUND_TRIPS = {
    "file": through_file,
    "pickle": lambda estimator, _: pickle.loads(pickle.dumps(estimator)),
    "deepcopy": lambda estimator, _: copy.deepcopy(estimator),
    "joblib": lambda estimator, folder: joblib.load(joblib.dump(estimator, folder / "j")[0]),
    "joblib, mapped": lambda estimator, folder: joblib.load(
        joblib.dump(estimator, folder / "j")[0], mmap_mode="r"
    ),
}


@pytest.mark.parametrize("trip", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
@pytest.mark.parametrize("make", [classifier, regressor, forecaster])
def test_round_trips_are_exact(make, trip, tmp_path):
    estimator = make()
    random = torch.get_rng_state()
    again = trip(estimator, tmp_path)
    assert torch.equal(torch.get_rng_state(), random)
    assert again.get_params() == estimator.get_params()
    times = None if make is regressor else TIMES
    np.testing.assert_array_equal(
        again.predict(SERIES, times=times), estimator.predict(SERIES, times=times)
    )
    assert again.history_ == estimator.history_
    if make is forecaster:
        np.testing.assert_array_equal(again.predict(horizon=7), estimator.predict(horizon=7))
    else:
        score = {"X": SERIES, "y": KINDS if make is classifier else np.ones((24, 2))}
        assert again.score(**score, times=times) == estimator.score(**score, times=times)
    again.set_params(warm_start=True).fit(  # it can be trained on
        SERIES, *({classifier: [KINDS], regressor: [np.ones((24, 2))]}.get(make, [])), times=times
    )


LABELS = {
    "texts": np.array(["a", "bc"]),
    "objects": np.array(["a", "bc"], dtype=object),
    "int8": np.array([-3, 4], dtype=np.int8),
    "int64": np.array([2**53 + 1, 5]),
    "uint16": np.array([7, 60_000], dtype=np.uint16),
    "floats": np.array([1.0, 2.0]),
    "bools": np.array([False, True]),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_classes_keep_their_type(labels, tmp_path):
    y = labels[np.arange(24) % 2]
    again = through_file(classifier(y), tmp_path)
    assert again.classes_.dtype == np.unique(y).dtype
    assert again.classes_.tolist() == np.unique(y).tolist()
    assert set(again.predict(SERIES, times=TIMES).tolist()) <= set(labels.tolist())


def test_parameters_of_every_kind_are_kept(tmp_path):
    options = {
        "unit_options": {"trainable": ("step_size",), "beta": np.float64(0.8)},
        "class_weight": {"fast": 2, "slow": 1.5},
        "device": "cpu",
    }
    again = through_file(classifier(**options), tmp_path)
    assert again.get_params() == classifier(**options).get_params()
    assert clone(again).fit(SERIES, KINDS).classes_.tolist() == ["fast", "slow"]


def test_names_of_columns_are_kept(tmp_path):
    class Frame:  # what scikit-learn looks at, without pandas
        columns, shape, ndim = np.array(["a", "b"], dtype=object), (6, 2), 2

    model = LipschitzRNNClassifier(**SHORT).fit(np.arange(12.0).reshape(6, 2), [0, 1] * 3)
    model.feature_names_in_ = Frame.columns
    assert through_file(model, tmp_path).feature_names_in_.tolist() == ["a", "b"]


def test_what_a_file_cannot_hold_is_refused(tmp_path):
    path = tmp_path / "e"
    model = classifier().set_params(random_state=np.random.RandomState(0))
    with pytest.raises(InputError, match=r"random_state: expected .* got RandomState"):
        model.save(path)
    assert not path.exists()
    with pytest.raises(NotFittedError):
        LipschitzRNNClassifier().save(path)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "e.safetensors"
    classifier().save(path)
    return path


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        regressor().save(saved)
    assert saved.read_bytes() == before


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_truncated_files_are_refused(saved, cut):
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"truncated|damaged"):
        LipschitzRNNClassifier.load(saved)


def test_files_of_others_are_refused(saved, tmp_path):
    with pytest.raises(InputError, match=r"expected a saved LipschitzRNNRegressor, got .*Class"):
        LipschitzRNNRegressor.load(saved)
    other = tmp_path / "other"
    save_checkpoint(other, {}, {"kind": "best"})
    with pytest.raises(InputError, match="expected a saved estimator, got a 'best' checkpoint"):
        LipschitzRNNClassifier.load(other)
    safetensors.torch.save_file(LipschitzRNN(2, 3).state_dict(), other)
    with pytest.raises(InputError, match="foreign"):
        LipschitzRNNClassifier.load(other)


class Bomb:
    def __reduce__(self):
        return os._exit, (1,)


def test_pickles_are_not_opened(tmp_path):
    path = tmp_path / "bomb"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="foreign"):
        LipschitzRNNClassifier.load(path)
    torch.save(Bomb(), buffer := io.BytesIO())
    path.write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="foreign"):
        LipschitzRNNClassifier.load(path)


def changed(meta, part, key, value):
    meta[part][key] = value
    return meta


TAMPERED = {
    "unknown record": lambda m: changed(m, "state", "scaling_", {"record": "Popen", "fields": {}}),
    "unknown kind": lambda m: changed(m, "state", "classes_", {"code": "print()"}),
    "strange dtype": lambda m: changed(m, "state", "classes_", {"texts": [], "dtype": "V8"}),
    "no such array": lambda m: changed(m, "state", "classes_", {"array": "nowhere"}),
    "unknown parameter": lambda m: changed(m, "params", "colour", 1),
    "a method": lambda m: changed(m, "state", "predict", 1),
    "no model": lambda m: changed(m, "state", "architecture_", None),
    "a list": lambda m: m | {"state": []},
    "nothing": lambda m: m | {"state": None},
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_tampered_files_are_refused(saved, tamper):
    tensors, meta = load_checkpoint(saved)
    save_checkpoint(saved, tensors, tamper(meta))
    with pytest.raises(InputError, match="expected") as caught:
        LipschitzRNNClassifier.load(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("hidden_size", 5), ("unit", "x"), ("window", "no")])
def test_a_model_that_the_weights_do_not_fit_is_refused(saved, name, value):
    tensors, meta = load_checkpoint(saved)
    meta["state"]["architecture_"]["fields"][name] = value
    save_checkpoint(saved, tensors, meta)
    with pytest.raises(InputError, match="expected"):
        LipschitzRNNClassifier.load(saved)


def test_the_file_is_safetensors_with_readable_metadata(saved):
    with safetensors.safe_open(saved, "pt") as file:
        meta = json.loads(file.metadata()["meta"])
    assert meta["class"] == "LipschitzRNNClassifier"
    assert meta["params"]["hidden_size"] == 4
    assert any(name.startswith("model/") for name in safetensors.torch.load_file(saved))
