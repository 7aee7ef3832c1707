"""How estimators train: seeds, early stopping, warm starts, interrupts, failures."""

import logging

import numpy as np
import pytest
import torch
from estimators.made_series import gappy_series
from sklearn.model_selection import GridSearchCV

from lipschitz_rnn.estimators import (
    LipschitzRNNClassifier,
    LipschitzRNNForecaster,
    LipschitzRNNRegressor,
    trainer,
)
from lipschitz_rnn.estimators.task import answers_of, split

SERIES, TIMES, KINDS = gappy_series(120)
OTHERS, _, OTHER_KINDS = gappy_series(100, seed=1)
SHORT = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}


def weights_of(estimator):
    return torch.cat([p.detach().flatten() for p in estimator.model_.parameters()])


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


NUMBERS = [len(series) for series in SERIES]
FITS = {
    "classifier": lambda **options: (LipschitzRNNClassifier(**options), SERIES, KINDS),
    "regressor": lambda **options: (LipschitzRNNRegressor(**options), SERIES, NUMBERS),
    "forecaster": lambda **options: (LipschitzRNNForecaster(3, **options), SERIES[:9], None),
}


@pytest.mark.parametrize("made", FITS.values(), ids=FITS)
def test_an_interrupt_keeps_the_best_weights_and_goes_on(made, monkeypatch):
    options = SHORT | {"max_epochs": 5, "patience": 9}
    whole, X, y = made(**options)
    whole.fit(X, y)
    interrupt_after(monkeypatch, 3)
    model = made(**options)[0]
    with pytest.raises(KeyboardInterrupt, match="interrupted after 3 epochs; it is fitted"):
        model.fit(X, y)
    assert model.history_ == whole.history_[:3]
    assert set(vars(model)) == set(vars(whole))
    assert model.predict(X).shape == whole.predict(X).shape


def test_an_interrupt_stops_a_search(monkeypatch):
    interrupt_after(monkeypatch, 1)
    search = GridSearchCV(LipschitzRNNClassifier(**SHORT), {"lr": [0.1, 0.01]}, cv=2)
    with pytest.raises(KeyboardInterrupt, match="after 1 epochs"):
        search.fit(SERIES, KINDS)


def test_an_interrupt_of_another_training_keeps_the_first_until_an_epoch_is_over(monkeypatch):
    model = LipschitzRNNClassifier(**SHORT).fit(SERIES, KINDS)
    before = weights_of(model)
    interrupt_after(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(OTHERS, ["other"] * 100)
    assert model.classes_.tolist() == ["fast", "slow"]
    assert torch.equal(weights_of(model), before)


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


TABLE = np.random.default_rng(0).normal(size=(12, 5))
BLOCK = np.stack((TABLE, TABLE**2), 2)
WRONG_REFITS = {
    "too few targets": (LipschitzRNNClassifier, BLOCK, [0, 1], {}),
    "no targets": (LipschitzRNNRegressor, BLOCK, None, {}),
    "a wrong parameter": (LipschitzRNNRegressor, BLOCK, TABLE[:, 0], {"lr": -1}),
    "a wrong width": (LipschitzRNNClassifier, BLOCK, [0, 2] * 6, {"hidden_size": 0}),
    "no loss": (LipschitzRNNRegressor, BLOCK, TABLE[:, :3], {"unit_options": {"step_size": 1e30}}),
    "a wrong horizon": (LipschitzRNNForecaster, BLOCK, None, {"horizon": 0}),
}


@pytest.mark.parametrize(("kind", "X", "y", "options"), WRONG_REFITS.values(), ids=WRONG_REFITS)
def test_a_refit_that_fails_changes_nothing(kind, X, y, options):
    model = kind(**SHORT).fit(TABLE, np.arange(12) % 2)
    answers = model.predict(TABLE)
    model.set_params(**options)
    before = dict(vars(model))
    with pytest.raises((ValueError, FloatingPointError)):
        model.fit(X, y)
    assert vars(model) == before  # the very same objects
    assert model.n_features_in_ == 5
    model.set_params(**kind(**SHORT).get_params())
    np.testing.assert_array_equal(model.predict(TABLE), answers)


def test_a_first_fit_that_fails_leaves_nothing():
    model = LipschitzRNNClassifier(**SHORT)
    before = set(vars(model))
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit(TABLE, [0, 1])
    assert set(vars(model)) == before


def test_epochs_are_logged(caplog):
    with caplog.at_level(logging.INFO, "lipschitz_rnn.estimators"):
        LipschitzRNNClassifier(**SHORT).fit(SERIES, KINDS)
    assert len(caplog.records) == 2
    assert "'epoch': 2" in caplog.text
