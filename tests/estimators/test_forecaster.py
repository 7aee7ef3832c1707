"""The forecaster against series whose future is known, and against what needs no learning."""

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from lipschitz_rnn.estimators import LipschitzRNNForecaster

SHORT = {"hidden_size": 4, "max_epochs": 1, "random_state": 0}
LEARN = {"hidden_size": 32, "random_state": 0}
STEPS = np.arange(500)
WAVE = np.sin(2 * np.pi * STEPS / 17.3)


def root_mean_square(x):
    return float(np.sqrt(np.mean(np.square(x))))


def autoregression(steps, rng):
    """x_t = 1.6 x_{t-1} - 0.8 x_{t-2} + noise of deviation 1: a noisy oscillation."""
    x = np.zeros(steps + 100)
    for t in range(2, len(x)):
        x[t] = 1.6 * x[t - 1] - 0.8 * x[t - 2] + rng.normal()
    return x[100:]


def best_forecast(history, steps):
    """The expectation of what comes, which no forecast beats in the mean square."""
    a, b, found = history[-1], history[-2], []
    for _ in range(steps):
        a, b = 1.6 * a - 0.8 * b, a
        found.append(a)
    return found


def test_a_wave_is_continued_far_beyond_the_horizon():
    """Persistence errs by the wave itself; the last period by what 17 is off from 17.3."""
    model = LipschitzRNNForecaster(16, max_epochs=25, **LEARN).fit(WAVE[:400])
    for steps in (16, 100):
        future = WAVE[400 : 400 + steps]
        error = root_mean_square(model.predict(horizon=steps) - future)
        seasonal = np.resize(WAVE[400 - 17 : 400], steps)
        assert error < 0.1
        assert error < 0.2 * root_mean_square(WAVE[399] - future)
        assert error < root_mean_square(seasonal - future)


def test_an_autoregression_is_told_nearly_as_well_as_can_be():
    rng = np.random.default_rng(0)
    x = autoregression(1200, rng)
    model = LipschitzRNNForecaster(8, **LEARN).fit(x[:800])
    origins = range(820, 1190, 5)
    histories = [x[o - 80 : o] for o in origins]
    future = np.array([x[o : o + 8] for o in origins])
    error = root_mean_square(model.predict(histories) - future)
    best = root_mean_square(np.array([best_forecast(h, 8) for h in histories]) - future)
    last = root_mean_square(np.array([h[-1] for h in histories])[:, None] - future)
    assert best < error < 1.25 * best < last


def test_a_trend_goes_on_beyond_the_levels_of_training():
    """Seasonal persistence misses the trend, persistence the season."""
    rng = np.random.default_rng(0)
    x = 0.05 * STEPS + np.sin(2 * np.pi * STEPS / 12) + 0.1 * rng.normal(size=500)
    model = LipschitzRNNForecaster(12, max_epochs=25, **LEARN).fit(x[:300])
    found = model.predict([x[:400]])[0]  # 100 steps later, 5 higher
    error = root_mean_square(found - x[400:412])
    assert error < 0.25  # noise alone is 0.1
    assert error < 0.5 * root_mean_square(x[388:400] - x[400:412])
    assert error < 0.5 * root_mean_square(x[399] - x[400:412])


def test_irregular_times_are_read():
    """A wave looked at when it pleases; the forecasts come at equal steps."""
    rng = np.random.default_rng(0)
    times = rng.uniform(0.3, 1.7, 700).cumsum()
    wave = np.sin(2 * np.pi * times / 17.3)
    model = LipschitzRNNForecaster(12, max_epochs=25, **LEARN).fit(wave, times=times)
    usual = np.median(np.diff(times))
    assert model.scaling_.time_unit == usual
    future = np.sin(2 * np.pi * (times[-1] + usual * np.arange(1, 13)) / 17.3)
    error = root_mean_square(model.predict() - future)
    assert error < 0.15
    assert error < 0.3 * root_mean_square(wave[-1] - future)


def test_missing_values_are_left_out():
    rng = np.random.default_rng(0)
    x = np.column_stack((WAVE, np.cos(2 * np.pi * STEPS / 17.3)))
    holed = np.where(rng.random(x.shape) < 0.2, np.nan, x)
    model = LipschitzRNNForecaster(12, max_epochs=25, **LEARN).fit(holed[:400])
    assert root_mean_square(model.predict() - x[400:412]) < 0.25
    assert np.isfinite(model.predict([np.full((9, 2), np.nan)])).all()


def test_series_of_unequal_lengths_are_learned_together():
    parts = [WAVE[:60], WAVE[100:120], WAVE[200:380]]
    model = LipschitzRNNForecaster(5, **SHORT).fit(parts)
    assert model.predict().shape == (3, 5)
    alone = np.array([model.predict([part])[0] for part in parts])
    np.testing.assert_allclose(model.predict(parts), alone, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(model.predict(), model.predict(parts))


def test_forecasts_mirror_the_shape_of_the_series():
    def shape(X):
        model = LipschitzRNNForecaster(5, **SHORT).fit(X)
        return model.predict(X, horizon=7).shape

    assert shape(WAVE) == (7,)
    assert shape(WAVE[:, None]) == (7, 1)
    assert shape(np.column_stack((WAVE, WAVE))) == (7, 2)
    assert shape([WAVE, WAVE[:50]]) == (2, 7)
    assert shape([WAVE[:, None], WAVE[:50, None]]) == (2, 7, 1)
    assert shape(np.zeros((4, 30, 3))) == (4, 7, 3)


def test_a_list_of_lists_is_several_series_of_whatever_lengths():
    """As a list of arrays is; a series of several features is an array or a table."""
    options = {"horizon": 5, **SHORT}
    pair = [WAVE[:60].tolist(), WAVE[100:160].tolist()]
    model = LipschitzRNNForecaster(**options).fit(pair)
    assert model.n_features_in_ == 1
    as_arrays = LipschitzRNNForecaster(**options).fit([np.array(series) for series in pair])
    np.testing.assert_array_equal(model.predict(), as_arrays.predict())
    np.testing.assert_array_equal(model.predict([pair[0], pair[1][:50]])[0], model.predict()[0])
    assert model.predict(pair[0]).shape == (5,)
    timed = LipschitzRNNForecaster(**options).fit(pair, times=[list(range(60)), list(range(60))])
    assert timed.predict().shape == (2, 5)
    assert LipschitzRNNForecaster(**options).fit(np.array(pair).T).n_features_in_ == 2


def test_further_forecasts_go_on_from_those_of_the_horizon():
    model = LipschitzRNNForecaster(5, **SHORT).fit(WAVE)
    far = model.predict(horizon=12)
    np.testing.assert_array_equal(far[:5], model.predict())
    then = model.predict(np.concatenate((WAVE, far[:5])))
    np.testing.assert_allclose(far[5:10], then, rtol=1e-6)


def test_only_the_context_is_looked_at():
    model = LipschitzRNNForecaster(5, context=20, **SHORT).fit(WAVE)
    other = np.concatenate((np.full(300, 9.0), WAVE[-20:]))
    np.testing.assert_array_equal(model.predict(other), model.predict(WAVE[-20:]))
    assert model.context_ == 20
    assert LipschitzRNNForecaster(30, **SHORT).fit(WAVE).context_ == 90
    assert LipschitzRNNForecaster(30, **SHORT).fit(WAVE[:50]).context_ == 50


def test_without_the_networks_word_the_forecast_is_the_last_value():
    model = LipschitzRNNForecaster(5, **SHORT).fit(WAVE)
    with torch.no_grad():
        for parameter in model.model_.reader.head.parameters():
            parameter.zero_()
    np.testing.assert_allclose(model.predict(), WAVE[-1], rtol=1e-6)


def test_score_is_that_of_the_last_steps():
    series = [np.column_stack((WAVE[a : a + 50], WAVE[a : a + 50] ** 2)) for a in (0, 60, 200)]
    series[1][-2, 0] = np.nan
    model = LipschitzRNNForecaster(5, **SHORT).fit(series)
    found = model.predict([s[:-5] for s in series]).reshape(-1, 2)
    truth = np.concatenate([s[-5:] for s in series])
    known = ~np.isnan(truth[:, 0])
    first = r2_score(truth[known, 0], found[known, 0])
    expected = (first + r2_score(truth[:, 1], found[:, 1])) / 2
    assert model.score(series) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="more than horizon=5 steps"):
        model.score([np.zeros((5, 2))])


def test_early_stopping_holds_back_the_end():
    """The end is another series: what is learned before it is of no use there, and is not kept."""
    rng = np.random.default_rng(0)
    x = np.concatenate((WAVE[:200], rng.normal(size=60)))
    model = LipschitzRNNForecaster(5, hidden_size=16, random_state=0, patience=3).fit(x)
    losses = [epoch["validation_loss"] for epoch in model.history_]
    assert len(losses) == int(np.argmin(losses)) + 1 + 3
    whole = LipschitzRNNForecaster(5, **SHORT, patience=None).fit(x)
    assert set(whole.history_[0]) == {"epoch", "loss"}


def test_the_held_back_end_is_not_learned_from():
    """Its values do not change the weights; with ``patience`` they only choose the epoch."""
    other = np.concatenate((WAVE[:425], WAVE[425:] + 5))
    options = SHORT | {"max_epochs": 2, "standardize": False, "validation_fraction": 0.15}
    first = LipschitzRNNForecaster(5, **options).fit(WAVE)
    second = LipschitzRNNForecaster(5, **options).fit(other)
    assert [e["loss"] for e in first.history_] == [e["loss"] for e in second.history_]
    assert first.history_ != second.history_


def test_warm_start_goes_on():
    model = LipschitzRNNForecaster(5, **SHORT, warm_start=True).fit(WAVE)
    before = model.predict(WAVE)
    model.set_params(lr=1e-9).fit(WAVE[:100] + 3)
    np.testing.assert_allclose(model.predict(WAVE), before, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"`output_size` of the last fit, 5, .* got 6"):
        model.set_params(horizon=6).fit(WAVE)


REFUSED = {
    "one step": ({}, WAVE[:1], "at least 2 steps, got one of 1 sample"),
    "horizon": ({"horizon": 0}, WAVE, "`horizon` >= 1"),
    "context": ({"context": 0}, WAVE, "`context` >= 1"),
    "no series": ({}, [], "at least one series of at least one step, got none"),
    "no steps": ({}, WAVE[:0], "at least one series of at least one step, got none"),
    "no steps of one": ({}, [[1.0, 2.0], []], r"got shape \(0,\) at X\[1\]"),
    "window": ({"window": 0}, WAVE, "`window` >= 1"),
    "too short to hold any back": ({}, WAVE[:2], "Set patience=None"),
    "too much held back": ({"validation_fraction": 0.9}, WAVE[:5], "Set patience=None"),
}


@pytest.mark.parametrize(("options", "X", "message"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused(options, X, message):
    with pytest.raises(ValueError, match=message):
        LipschitzRNNForecaster(**SHORT | options).fit(X)


def test_forecasts_of_no_steps_and_other_features_are_refused():
    model = LipschitzRNNForecaster(5, **SHORT).fit(WAVE)
    with pytest.raises(ValueError, match="`horizon` >= 1"):
        model.predict(horizon=0)
    with pytest.raises(ValueError, match=r"series of 1 feature\(s\)"):
        model.predict(np.zeros((4, 9, 2)))
    with pytest.raises(ValueError, match="`times` both here and in"):
        model.predict(WAVE, times=STEPS)
