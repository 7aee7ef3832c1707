"""The classifier: what it learns, and what it keeps its hands off."""

import logging

import numpy as np
import pytest
import torch
from estimators.made_series import gappy_series
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.estimators import LipschitzRNNClassifier, trainer
from lipschitz_rnn.nn import UNITS

SERIES, TIMES, KINDS = gappy_series(120)
OTHERS, OTHER_TIMES, OTHER_KINDS = gappy_series(100, seed=1)
SHORT = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}


def weights_of(estimator):
    return torch.cat([p.detach().flatten() for p in estimator.model_.parameters()])


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
    timed = options.fit(SERIES, KINDS, times=TIMES).architecture_.options
    plain = options.fit(SERIES, KINDS).architecture_.options
    assert plain["beta"] == timed["beta"] == 0.6
    assert timed["step_size"] == plain["step_size"] / 2
    lem = LipschitzRNNClassifier(**SHORT, unit="lem").fit(SERIES, KINDS)
    assert lem.architecture_.options == {}  # at its own


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


def test_the_seed_decides_and_nothing_else(monkeypatch):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = LipschitzRNNClassifier(**SHORT, dropout=0.3).fit(SERIES, KINDS)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    np.random.rand()  # noqa: NPY002
    second = LipschitzRNNClassifier(**SHORT, dropout=0.3).fit(SERIES, KINDS)
    assert torch.equal(weights_of(first), weights_of(second))
    other = LipschitzRNNClassifier(**SHORT | {"random_state": 1}, dropout=0.3).fit(SERIES, KINDS)
    assert not torch.equal(weights_of(first), weights_of(other))


def test_dropout_acts_in_training_only():
    model = LipschitzRNNClassifier(**SHORT, dropout=0.5, num_layers=2).fit(SERIES, KINDS)
    np.testing.assert_array_equal(model.predict_proba(OTHERS), model.predict_proba(OTHERS))
    plain = LipschitzRNNClassifier(**SHORT, num_layers=2).fit(SERIES, KINDS)
    assert plain.history_ != model.history_


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


def test_early_stopping_keeps_the_best_weights():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 10)), rng.integers(2, size=200)  # nothing to learn but by heart
    options = {"hidden_size": 16, "batch_size": 16, "random_state": 0, "validation_fraction": 0.3}
    model = LipschitzRNNClassifier(**options, max_epochs=80, patience=5).fit(X, y)
    losses = [epoch["validation_loss"] for epoch in model.history_]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 5 < 80
    # the loss of the weights that are kept, over the series that were held back
    kept = trainer_task(X, y, options, model)
    assert kept == losses[best]


def trainer_task(X, y, options, model):
    """Validation loss of a fitted model, from the series that its seed held back."""
    from lipschitz_rnn.estimators.task import answers_of, split

    seed = np.random.RandomState(options["random_state"]).randint(np.iinfo(np.int32).max)
    generator = torch.Generator().manual_seed(int(seed))
    held = split(y, options["validation_fraction"], generator)
    assert [int(held[torch.tensor(y == k)].sum()) for k in (0, 1)] == [
        round(0.3 * (y == k).sum()) for k in (0, 1)
    ]
    samples = model.scaling_.apply(model._read(X, None, reset=False))
    answers = answers_of(model.model_, samples, held.nonzero().squeeze(1), torch.device("cpu"))
    return torch.nn.functional.cross_entropy(answers, torch.tensor(y)[held]).item()


def test_without_patience_all_series_are_learned_from():
    model = LipschitzRNNClassifier(**SHORT).fit(SERIES, KINDS)
    assert [set(epoch) for epoch in model.history_] == [{"epoch", "loss"}] * 2


def test_too_few_series_to_hold_any_back_are_refused():
    with pytest.raises(ValueError, match=r"expected enough series .* got 3. Set patience=None"):
        LipschitzRNNClassifier(**SHORT, patience=2).fit(SERIES[:3], [0, 1, 2])


def test_epochs_by_default_make_enough_updates(monkeypatch):
    monkeypatch.setattr(trainer, "_UPDATES", 30)
    monkeypatch.setattr(trainer, "_LEAST_EPOCHS", 2)

    def epochs(count):
        model = LipschitzRNNClassifier(1, bidirectional=False, random_state=0)
        return len(model.fit(np.zeros((count, 1)), np.arange(count) % 2).history_)

    assert epochs(40) == 30  # one batch each
    assert epochs(600) == 3  # ten
    assert epochs(2000) == 2  # more than 30


def test_warm_start_goes_on_from_the_weights():
    model = LipschitzRNNClassifier(**SHORT, warm_start=True).fit(SERIES, KINDS)
    before, scaling = weights_of(model), model.scaling_
    model.set_params(lr=1e-9).fit(OTHERS, OTHER_KINDS)
    # AdamW moves a weight by at most about lr an update
    assert (weights_of(model) - before).abs().max() < 1e-7
    assert model.scaling_ is scaling
    model.set_params(warm_start=False).fit(SERIES, KINDS)
    assert (weights_of(model) - before).abs().max() > 1e-3


REFUSED = {
    "another class": (lambda m: m.fit(SERIES, ["other"] * 120), "also 'other'"),
    "another width": (lambda m: m.set_params(hidden_size=5).fit(SERIES, KINDS), "`hidden_size`"),
    "another unit": (
        lambda m: m.set_params(unit="lem", unit_options=None).fit(SERIES, KINDS),
        "`unit`",
    ),
    "other options": (
        lambda m: m.set_params(unit_options={"beta": 0.6}).fit(SERIES, KINDS),
        r"`unit_options\['beta'\]`",
    ),
    "another patch": (lambda m: m.set_params(patch=3).fit(SERIES, KINDS), "`patch`"),
    "other features": (lambda m: m.fit([s[:, :1] for s in SERIES], KINDS), "`input_size`"),
    "times": (lambda m: m.fit(SERIES, KINDS, times=TIMES), "`times` both"),
}


@pytest.mark.parametrize(("fit", "message"), REFUSED.values(), ids=REFUSED)
def test_warm_start_refuses_what_does_not_fit(fit, message):
    model = LipschitzRNNClassifier(**SHORT, warm_start=True, unit_options={"beta": 0.75})
    before = weights_of(model.fit(SERIES, KINDS))
    with pytest.raises(ValueError, match=message):
        fit(model)
    assert torch.equal(weights_of(model), before)


def test_fewer_classes_are_fine_for_a_warm_start():
    model = LipschitzRNNClassifier(**SHORT, warm_start=True).fit(SERIES, KINDS)
    model.set_params(class_weight="balanced").fit(SERIES[:5], ["slow"] * 5)
    assert model.classes_.tolist() == ["fast", "slow"]


def test_an_interrupt_keeps_the_best_weights(monkeypatch):
    options = SHORT | {"max_epochs": 9, "patience": 9}
    whole = LipschitzRNNClassifier(**options).fit(SERIES, KINDS)
    interrupt_after(monkeypatch, 3)
    with pytest.warns(UserWarning, match="interrupted after 3 epochs"):
        model = LipschitzRNNClassifier(**options).fit(SERIES, KINDS)
    assert model.history_ == whole.history_[:3]
    assert model.predict(OTHERS).shape == (100,)


def test_an_interrupt_before_the_first_epoch_is_one(monkeypatch):
    model = LipschitzRNNClassifier(**SHORT)
    interrupt_after(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(SERIES, KINDS)
    assert not hasattr(model, "model_")


def interrupt_after(monkeypatch, epochs):
    real, count = trainer.Training._epoch, iter(range(100))

    def epoch(*args):
        if next(count) == epochs:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(trainer.Training, "_epoch", epoch)


def test_a_loss_that_is_not_finite_is_an_error_and_changes_nothing():
    model = LipschitzRNNClassifier(**SHORT).fit(SERIES, KINDS)
    before = weights_of(model)
    model.set_params(lr=1e30, unit_options={"step_size": 1e30})
    with pytest.raises(FloatingPointError, match=r"expected a finite loss .* Lower lr"):
        model.fit(SERIES, KINDS)
    assert torch.equal(weights_of(model), before)


def test_epochs_are_logged(caplog):
    with caplog.at_level(logging.INFO, "lipschitz_rnn.estimators"):
        LipschitzRNNClassifier(**SHORT).fit(SERIES, KINDS)
    assert len(caplog.records) == 2
    assert "'epoch': 2" in caplog.text


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
    "class_weight": ["even"],
    "standardize": ["yes"],
    "warm_start": ["yes"],
    "device": ["gpu", "cuda:99"],
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
