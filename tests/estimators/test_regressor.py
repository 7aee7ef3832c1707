"""The regressor: one number, several, and in any units."""

import numpy as np
import pytest
from estimators.made_series import gappy_series
from sklearn.metrics import r2_score

from lipschitz_rnn.estimators import LipschitzRNNRegressor

SERIES, TIMES, _ = gappy_series(60)
Y = np.array([[np.nanmax(s), len(s)] for s in SERIES])
SHORT = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}


def test_a_known_linear_functional_is_learned():
    """y is a weighted sum of the steps: least squares, which knows that form, is exact."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 12))
    y = X @ np.linspace(-1, 1, 12)
    model = LipschitzRNNRegressor(32, max_epochs=60, dropout=0.0, random_state=0)
    model.fit(X[:400], y[:400])
    assert model.score(X[400:], y[400:]) > 0.95


def test_lengths_are_told_of_unequal_series_without_information():
    """The values say nothing; only how many there are."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=length) for length in rng.integers(3, 30, size=300)]
    y = [len(x) for x in X]
    options = {"pooling": "last", "bidirectional": False, "window": 1, "dropout": 0.0}
    slow = {"gamma_a": 0.05, "step_size": 0.3}
    model = LipschitzRNNRegressor(16, max_epochs=60, unit_options=slow, random_state=0, **options)
    assert model.fit(X[:200], y[:200]).score(X[200:], y[200:]) > 0.9


def test_several_numbers_at_once():
    model = LipschitzRNNRegressor(**SHORT).fit(SERIES, Y, times=TIMES)
    got = model.predict(SERIES, times=TIMES)
    assert got.shape == Y.shape
    assert got.dtype == np.float64
    assert model.score(SERIES, Y, times=TIMES) == r2_score(Y, got)
    np.testing.assert_allclose(model.target_mean_, Y.mean(0), rtol=1e-12)
    np.testing.assert_allclose(model.target_scale_, Y.std(0), rtol=1e-12)


def test_one_number_has_no_axis_of_its_own():
    assert LipschitzRNNRegressor(**SHORT).fit(SERIES, Y[:, 0]).predict(SERIES).shape == (60,)
    assert LipschitzRNNRegressor(**SHORT).fit(SERIES, Y[:, :1]).predict(SERIES).shape == (60, 1)


def test_the_unit_of_the_targets_does_not_matter():
    """Standardised targets are the same float32 numbers for a power of two, so all is."""
    first = LipschitzRNNRegressor(**SHORT).fit(SERIES, Y)
    second = LipschitzRNNRegressor(**SHORT).fit(SERIES, 2.0**40 * Y)
    np.testing.assert_array_equal(second.predict(SERIES), 2.0**40 * first.predict(SERIES))


def test_a_constant_target_is_told_exactly():
    model = LipschitzRNNRegressor(**SHORT | {"max_epochs": 40}).fit(SERIES, np.full(60, 1e6))
    np.testing.assert_allclose(model.predict(SERIES), 1e6, atol=0.5)


def test_early_stopping_holds_series_back():
    model = LipschitzRNNRegressor(**SHORT | {"max_epochs": 9}, patience=2).fit(SERIES, Y)
    assert all("validation_loss" in epoch for epoch in model.history_)


def test_warm_start_keeps_the_scale_of_the_targets():
    model = LipschitzRNNRegressor(**SHORT, warm_start=True).fit(SERIES, Y)
    mean, before = model.target_mean_, model.predict(SERIES)
    model.set_params(lr=1e-9).fit(SERIES[:9], 3 * Y[:9])
    assert model.target_mean_ is mean
    np.testing.assert_allclose(model.predict(SERIES), before, rtol=1e-5)
    with pytest.raises(ValueError, match=r"`output_size` of the last fit, 2, .* got 1"):
        model.fit(SERIES, Y[:, 0])


def test_numbers_beyond_float32_are_refused_or_told():
    X = np.random.default_rng(0).normal(size=(12, 5))
    model = LipschitzRNNRegressor(**SHORT).fit(X, X[:, 0])
    for huge in (np.full((5, 5), 1e300), np.full((5, 5), -1e39), X[:5] * 1e200):
        with pytest.raises(ValueError, match="expected numbers up to"):
            model.predict(huge)
    with pytest.raises(ValueError, match="expected numbers up to"):
        LipschitzRNNRegressor(**SHORT, standardize=False).fit(X * 1e39, X[:, 0])
    for wrong in ({"X": X * 1e300, "y": X[:, 0]}, {"X": X, "y": X[:, 0] * 1e300}):
        with pytest.raises(ValueError, match="finite standard deviation"):
            LipschitzRNNRegressor(**SHORT).fit(**wrong)
    # at the edge of what is taken, every answer is a number
    assert np.isfinite(model.predict(1e14 * np.sign(X))).all()
    assert np.isfinite(LipschitzRNNRegressor(**SHORT).fit(X * 1e100, X[:, 0]).predict(X)).all()


@pytest.mark.parametrize("y", [np.full(60, np.nan), np.full(60, np.inf), ["a"] * 60, Y[:5]])
def test_targets_that_are_no_numbers_are_refused(y):
    with pytest.raises(ValueError, match=r"y|could not convert|inconsistent"):
        LipschitzRNNRegressor(**SHORT).fit(SERIES, y)
