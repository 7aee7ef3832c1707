"""The classifier: what it learns, and what it keeps its hands off."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from estimators.made_series import gappy_series
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.estimators import LipschitzRNNClassifier
from lipschitz_rnn.nn import UNITS

SERIES, TIMES, KINDS = gappy_series(120)
OTHERS, OTHER_TIMES, OTHER_KINDS = gappy_series(100, seed=1)
SHORT = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}


def test_defaults_learn_series_with_gaps_at_irregular_times():
    """The two kinds differ in frequency alone."""
    model = LipschitzRNNClassifier(max_epochs=60, random_state=0)
    model.fit(SERIES, KINDS, times=TIMES)
    assert model.score(OTHERS, OTHER_KINDS, times=OTHER_TIMES) >= 0.9
    assert model.score(OTHERS, OTHER_KINDS, times=OTHER_TIMES) == accuracy_score(
        OTHER_KINDS, model.predict(OTHERS, times=OTHER_TIMES)
    )


def test_tens_of_series_suffice_for_an_easy_distinction():
    def rising(count, seed):
        series, _, kinds = gappy_series(count, seed=seed, gaps=0.0)
        slopes = np.where(kinds == "fast", 5.0, 0.0)
        pairs = zip(series, slopes, strict=True)
        return [s + slope * np.arange(len(s))[:, None] for s, slope in pairs], kinds

    model = LipschitzRNNClassifier(16, max_epochs=100, random_state=0).fit(*rising(20, seed=0))
    assert model.score(*rising(60, seed=1)) >= 0.9


def test_long_series_are_read_in_patches():
    def chosen(steps, **options):
        made = LipschitzRNNClassifier(**SHORT, **options)
        made = made.fit(np.zeros((4, steps)), [0, 1, 0, 1]).architecture_
        return made.patch, made.window

    assert chosen(8) == (1, 4)
    assert chosen(24) == (1, 12)
    assert chosen(64) == (1, 16)
    assert chosen(130) == (3, 16)
    assert chosen(2000) == (32, 32)
    assert chosen(130, patch=1, window=1) == (1, 1)
    assert chosen(1) == (1, 1)


def test_options_of_a_unit_replace_the_defaults_one_by_one():
    options = LipschitzRNNClassifier(**SHORT, unit_options={"beta": 0.6})
    for times in (None, TIMES):
        found = options.fit(SERIES, KINDS, times=times).architecture_.options
        assert found == {"step_size": 0.5, "gamma_a": 0.3, "beta": 0.6}
    lem = LipschitzRNNClassifier(**SHORT, unit="lem").fit(SERIES, KINDS)
    assert lem.architecture_.options == {}  # at its own


def test_lipschitz_units_start_with_larger_input_weights():
    found = {}
    for unit in ("lipschitz", "lstm"):
        made = LipschitzRNNClassifier(**SHORT, unit=unit).fit(SERIES, KINDS).architecture_
        layers = []
        for gain in (made.input_gain, 1.0):
            torch.manual_seed(0)
            layers.append(dict(replace(made, input_gain=gain).layer().named_parameters()))
        ratios = {name: (weight / layers[1][name]) for name, weight in layers[0].items()}
        found[unit] = {name: ratio.mean().item() for name, ratio in ratios.items()}
    assert set(found["lstm"].values()) == {1.0}
    threefold = {name for name, ratio in found["lipschitz"].items() if abs(ratio - 3) < 1e-5}
    assert threefold == {"weight_ih_l0", "weight_ih_l0_reverse"}
    assert {found["lipschitz"][name] for name in set(found["lipschitz"]) - threefold} == {1.0}


def test_probabilities_are_such_and_predict_takes_the_largest():
    model = LipschitzRNNClassifier(**SHORT).fit(SERIES, KINDS)
    p = model.predict_proba(OTHERS)
    assert p.shape == (100, 2)
    np.testing.assert_allclose(p.sum(1), 1, rtol=4 * np.finfo(float).eps)
    assert (model.predict(OTHERS) == model.classes_[p.argmax(1)]).all()


def test_digits_as_sequences():
    """Images row by row; nearest neighbours on these rows of pixels get 0.96 to 0.99."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    model = LipschitzRNNClassifier(32, max_epochs=15, random_state=0)
    model.fit(digits.images[:600], digits.target[:600])
    assert model.score(digits.images[600:1000], digits.target[600:1000]) > 0.85


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_trains(unit):
    model = LipschitzRNNClassifier(**SHORT, unit=unit, patch=8).fit(SERIES[:20], KINDS[:20])
    losses = [epoch["loss"] for epoch in model.history_]
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1]


def test_units_and_shifts_of_features_do_not_matter():
    """Standardised, features in other units are the same numbers, to rounding."""
    model = LipschitzRNNClassifier(**SHORT).fit(SERIES, KINDS)
    other = LipschitzRNNClassifier(**SHORT).fit([1e6 * s - 3e6 for s in SERIES], KINDS)
    mine, its = model.predict_proba(SERIES), other.predict_proba([1e6 * s - 3e6 for s in SERIES])
    np.testing.assert_allclose(mine, its, atol=1e-4)  # a few updates amplify float32 rounding
    raw = LipschitzRNNClassifier(**SHORT, standardize=False).fit(SERIES, KINDS)
    assert raw.scaling_.mean.tolist() == [0, 0]
    assert raw.scaling_.scale.tolist() == [1, 1]


def test_statistics_are_those_of_what_is_observed():
    model = LipschitzRNNClassifier(**SHORT).fit(SERIES, KINDS, times=TIMES)
    joined = np.concatenate(SERIES)
    np.testing.assert_allclose(model.scaling_.mean, np.nanmean(joined, 0), rtol=1e-12)
    np.testing.assert_allclose(model.scaling_.scale, np.nanstd(joined, 0), rtol=1e-12)
    gaps = np.concatenate([np.diff(stamps) for stamps in TIMES])
    assert model.scaling_.time_unit == np.median(gaps)


def test_a_constant_and_an_empty_feature_do_no_harm():
    X = [np.column_stack((s, np.full(len(s), 0.1), np.full(len(s), np.nan))) for s in SERIES]
    model = LipschitzRNNClassifier(**SHORT).fit(X, KINDS)
    assert model.scaling_.scale[2:].tolist() == [1, 1]
    assert np.isfinite(model.predict_proba(X)).all()


def test_one_class_is_always_predicted():
    model = LipschitzRNNClassifier(**SHORT).fit(SERIES, ["only"] * 120)
    assert set(model.predict(OTHERS)) == {"only"}
    assert model.predict_proba(OTHERS).tolist() == [[1.0]] * 100
    assert len(model.history_) == 1


def test_rare_classes_gain_by_balanced_weights():
    """Nine of ten series are of one kind, and the features are close to each other."""
    rng = np.random.default_rng(0)
    y = (np.arange(300) % 10 == 0).astype(int)
    X = rng.normal(size=(300, 12)) + 0.35 * y[:, None]
    options = {"hidden_size": 8, "max_epochs": 6, "random_state": 0, "bidirectional": False}
    free = LipschitzRNNClassifier(**options).fit(X, y).predict(X)
    balanced = LipschitzRNNClassifier(**options, class_weight="balanced").fit(X, y).predict(X)
    assert balanced_accuracy_score(y, balanced) > balanced_accuracy_score(y, free) + 0.1
    assert y.mean() < 2 * balanced.mean()


def test_class_weights_are_those_of_the_loss():
    """A weight of zero leaves a class out: the gradient is that of the others alone."""
    y = np.where(np.arange(120) < 60, "a", "b")
    model = LipschitzRNNClassifier(**SHORT | {"max_epochs": 30}, class_weight={"a": 0.0, "b": 1.0})
    assert set(model.fit(SERIES, y).predict(OTHERS)) == {"b"}


def test_batches_of_nothing_but_weightless_classes_do_no_harm():
    y = np.where(np.arange(40) < 30, "a", "b")
    options = SHORT | {"batch_size": 4, "max_epochs": 4}
    model = LipschitzRNNClassifier(**options, class_weight={"a": 0.0}).fit(SERIES[:40], y)
    assert set(model.predict(SERIES[:40])) == {"b"}


WEIGHTS = {
    "all zero": ({"fast": 0, "slow": 0.0}, "above 0 for some class of y"),
    "a typing error": ("balancd", "Did you mean 'balanced'"),
    "another class": ({"fast": 1.0, "slwo": 3.0}, "one of 'slwo' and none of 'slow'"),
    "negative": ({"fast": -1.0}, r"class_weight\['fast'\]"),
}


@pytest.mark.parametrize(("given", "message"), WEIGHTS.values(), ids=WEIGHTS)
def test_class_weights_that_make_no_sense_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        LipschitzRNNClassifier(**SHORT, class_weight=given).fit(SERIES, KINDS)


def test_class_weights_may_name_classes_that_a_fold_lacks():
    weights = {"fast": 1.0, "slow": 2.0, "still": 3.0}
    LipschitzRNNClassifier(**SHORT, class_weight=weights).fit(SERIES, KINDS)


WRONG = {
    "hidden_size": [0, 2.5, True],
    "num_layers": [0],
    "unit": ["lipshitz"],
    "unit_options": [{"epsilon": 1}, {"batch_first": True}, 3],
    "bidirectional": [1],
    "pooling": ["first"],
    "patch": [0],
    "window": [0],
    "dropout": [1.0, -0.1],
    "lr": [0.0],
    "batch_size": [0],
    "max_epochs": [0],
    "patience": [0],
    "validation_fraction": [1.0],
    "weight_decay": [-1.0],
    "clip_norm": [0.0],
    "class_weight": ["even", {"fast": -1.0}, {"fast": "1"}],
    "standardize": ["yes"],
    "warm_start": ["yes"],
    "device": ["gpu", "cuda:99", "meta"],
}


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, vs in WRONG.items() for v in vs])
def test_wrong_parameters_are_refused_by_name(name, value):
    model = LipschitzRNNClassifier(**SHORT | {name: value})
    with pytest.raises((ValueError, TypeError), match=name.split("_")[-1]):
        model.fit(SERIES, KINDS)


def test_numpy_numbers_are_parameters_too():
    options = {"hidden_size": np.int64(3), "lr": np.float32(0.01), "bidirectional": np.bool_(False)}
    LipschitzRNNClassifier(**SHORT | options).fit(SERIES, KINDS)


def test_times_need_a_unit_that_takes_them():
    with pytest.raises(InputError, match="a unit that takes irregular times, got 'lstm'"):
        LipschitzRNNClassifier(**SHORT, unit="lstm").fit(SERIES, KINDS, times=TIMES)


def test_a_device_that_cannot_compute_is_refused():
    model = LipschitzRNNClassifier(**SHORT).fit(SERIES, KINDS)
    with pytest.raises(InputError, match=r"can compute here, got 'meta': .*device='cpu'"):
        model.set_params(device="meta").predict(SERIES)


def test_times_and_a_constraint_on_the_step_exclude_each_other():
    model = LipschitzRNNClassifier(**SHORT, unit_options={"constraint": "contractive"})
    with pytest.raises(InputError, match=r"expected no `times` .* Choose 'contractive-flow'"):
        model.fit(SERIES, KINDS, times=TIMES)
    model.fit(SERIES, KINDS)
    model.set_params(unit_options={"constraint": "contractive-flow"})
    model.fit(SERIES, KINDS, times=TIMES)
