"""Among scikit-learn's own: pipelines, searches, clones, metadata, other processes."""

import multiprocessing
import subprocess
import sys

import joblib
import numpy as np
import pytest
import sklearn
import torch
from estimators.made_series import gappy_series
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    TimeSeriesSplit,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import lipschitz_rnn
from lipschitz_rnn.estimators import (
    LipschitzRNNClassifier,
    LipschitzRNNForecaster,
    LipschitzRNNRegressor,
)

SERIES, TIMES, KINDS = gappy_series(60)
TABLE = np.random.default_rng(0).normal(size=(60, 8)) + 2.0 * (KINDS == "fast")[:, None]
SHORT = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}


def test_the_root_hands_them_out():
    for name in ("LipschitzRNNClassifier", "LipschitzRNNRegressor", "LipschitzRNNForecaster"):
        assert getattr(lipschitz_rnn, name) is getattr(lipschitz_rnn.estimators, name)
        assert name in dir(lipschitz_rnn)
    with pytest.raises(AttributeError, match="no attribute 'LipschitzRNNCluster'"):
        _ = lipschitz_rnn.LipschitzRNNCluster


def test_kinds_are_told():
    assert is_classifier(LipschitzRNNClassifier())
    assert is_regressor(LipschitzRNNRegressor())
    assert not is_classifier(LipschitzRNNForecaster())


def test_the_representation_says_what_differs_from_the_defaults():
    assert repr(LipschitzRNNClassifier(32, unit="lem")) == (
        "LipschitzRNNClassifier(hidden_size=32, unit='lem')"
    )


def test_grid_search_over_lists_of_series():
    grid = {"hidden_size": [2, 3], "unit": ["lipschitz", "gru"]}
    search = GridSearchCV(LipschitzRNNClassifier(**SHORT), grid, cv=2)
    search.fit(SERIES, KINDS)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(SERIES).shape == (60,)


@pytest.mark.slow
def test_a_search_in_other_processes_finds_the_same():
    options = {"param_grid": {"lr": [0.01, 0.001]}, "cv": 2, "refit": False}
    found = [
        GridSearchCV(LipschitzRNNClassifier(**SHORT), n_jobs=n_jobs, **options).fit(SERIES, KINDS)
        for n_jobs in (1, 2)
    ]
    scores = [search.cv_results_["mean_test_score"].tolist() for search in found]
    assert scores[0] == scores[1]


def test_times_are_routed_where_they_are_asked_for():
    with sklearn.config_context(enable_metadata_routing=True):
        model = LipschitzRNNClassifier(**SHORT)
        model.set_fit_request(times=True).set_score_request(times=True)
        scores = cross_val_score(model, SERIES, KINDS, cv=2, params={"times": TIMES})
    halves = []
    folds = sklearn.model_selection.StratifiedKFold(2)
    for train, test in folds.split(np.zeros(60), KINDS):
        fitted = LipschitzRNNClassifier(**SHORT)
        fitted.fit([SERIES[k] for k in train], KINDS[train], times=[TIMES[k] for k in train])
        test_times = [TIMES[k] for k in test]
        halves.append(fitted.score([SERIES[k] for k in test], KINDS[test], times=test_times))
    assert scores.tolist() == halves


def test_pipelines_of_tables_and_of_lists():
    table = make_pipeline(StandardScaler(), LipschitzRNNClassifier(**SHORT | {"max_epochs": 30}))
    assert table.fit(TABLE, KINDS).score(TABLE, KINDS) > 0.9
    logs = FunctionTransformer(lambda X: [np.log(series) for series in X])
    model = make_pipeline(logs, LipschitzRNNRegressor(**SHORT))
    y = np.array([len(series) for series in SERIES])
    assert model.fit(SERIES, y).predict(SERIES).shape == (60,)


def test_estimators_of_estimators():
    calibrated = CalibratedClassifierCV(LipschitzRNNClassifier(**SHORT), cv=2)
    assert calibrated.fit(TABLE, KINDS).predict_proba(TABLE).shape == (60, 2)
    parts = [("rnn", LipschitzRNNClassifier(**SHORT)), ("linear", LogisticRegression())]
    votes = VotingClassifier(parts, voting="soft").fit(TABLE, KINDS)
    assert votes.predict(TABLE).shape == (60,)


def test_splits_of_lists_are_lists():
    train, test, kinds, _ = train_test_split(SERIES, KINDS, random_state=0)
    model = LipschitzRNNClassifier(**SHORT).fit(train, kinds)
    assert model.predict(test).shape == (15,)


def test_forecasters_are_searched_over_the_past_of_one_series():
    x = np.sin(np.arange(200) / 3)[:, None]
    options = {"param_grid": {"context": [8, 16]}, "cv": TimeSeriesSplit(2)}
    search = GridSearchCV(LipschitzRNNForecaster(6, **SHORT), **options).fit(x)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.predict(horizon=3).shape == (3, 1)
    model, parts = LipschitzRNNForecaster(6, **SHORT), [x[:70], x[70:140], x[140:]]
    assert np.isfinite(cross_val_score(model, parts, cv=KFold(3))).all()


def test_clones_are_unfitted_and_alike():
    model = LipschitzRNNClassifier(**SHORT, unit_options={"beta": 0.7}).fit(SERIES, KINDS)
    again = clone(model)
    assert again.get_params() == model.get_params()
    assert not hasattr(again, "model_")
    again.fit(SERIES, KINDS)
    np.testing.assert_array_equal(again.predict_proba(SERIES), model.predict_proba(SERIES))


def test_joblib_hands_fitted_estimators_to_other_processes():
    model = LipschitzRNNClassifier(**SHORT).fit(SERIES, KINDS)
    parts = [SERIES[:30], SERIES[30:]]
    found = joblib.Parallel(2)(joblib.delayed(model.predict_proba)(part) for part in parts)
    np.testing.assert_allclose(np.concatenate(found), model.predict_proba(SERIES), rtol=1e-5)


FORKED = """
import multiprocessing, numpy as np, torch
from lipschitz_rnn.estimators import LipschitzRNNClassifier

torch.set_num_threads(2)
X = np.random.default_rng(0).normal(size=(500, 64, 4))
model = LipschitzRNNClassifier(16, max_epochs=1, random_state=0).fit(X, np.arange(500) % 2)
torch.randn(2_000_000).exp().sum()  # in threads that a child will not have
expected = model.predict_proba(X)

def work(queue):
    again = LipschitzRNNClassifier(16, max_epochs=1, random_state=0).fit(X, np.arange(500) % 2)
    queue.put((model.predict_proba(X), again.predict_proba(X)))

queue = multiprocessing.get_context("fork").Queue()
child = multiprocessing.get_context("fork").Process(target=work, args=(queue,), daemon=True)
child.start()
for got in queue.get(timeout=60):
    assert np.abs(got - expected).max() < 1e-4
child.join(10)
print("done")
"""


@pytest.mark.slow
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
def test_a_forked_child_predicts_and_trains():
    """torch's threads are not forked along: without a guard the child waits for them."""
    run = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120
    )
    assert run.stdout == "done\n", run.stderr[-2000:]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_answers_as_the_cpu_does(tmp_path):
    model = LipschitzRNNClassifier(**SHORT, device="cuda").fit(SERIES, KINDS, times=TIMES)
    assert next(model.model_.parameters()).is_cuda
    on_gpu = model.predict_proba(SERIES, times=TIMES)
    model.save(tmp_path / "e")
    again = LipschitzRNNClassifier.load(tmp_path / "e").set_params(device="cpu")
    # sums in another order: rounding of 40 steps, amplified little as the unit is damped
    np.testing.assert_allclose(again.predict_proba(SERIES, times=TIMES), on_gpu, atol=1e-5)
    assert not next(again.model_.parameters()).is_cuda
    wave = np.sin(np.arange(100.0) / 3)
    forecaster = LipschitzRNNForecaster(5, **SHORT, device="cuda").fit(wave)
    expected = forecaster.predict()
    forecaster.set_params(device="cpu")
    np.testing.assert_allclose(forecaster.predict(), expected, atol=1e-5)
