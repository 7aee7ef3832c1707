"""The estimator against the same model fed by hand, on series with gaps and unequal lengths."""

import numpy as np
import pytest
import torch
from estimators.by_hand import answer, holds, standardised
from estimators.made_series import gappy_series
from matching import assert_matches
from torch.nn.utils.rnn import pad_sequence

from lipschitz_rnn import LipschitzRNN, SequenceRegressor
from lipschitz_rnn.estimators import LipschitzRNNClassifier, LipschitzRNNRegressor

SERIES, TIMES, KINDS = gappy_series(30)
OPTIONS = {
    "defaults": {},
    "one direction": {"bidirectional": False},
    "patches": {"patch": 3, "window": 5},
    "every step": {"window": 1},
    "midpoint": {"unit_options": {"method": "midpoint", "step_size": 0.2}},
    "LEM": {"unit": "lem"},
}


def fitted(timed, **options):
    model = LipschitzRNNClassifier(8, max_epochs=3, batch_size=12, random_state=0, **options)
    return model.fit(SERIES, KINDS, times=TIMES if timed else None)


@pytest.mark.parametrize("timed", [True, False], ids=["timed", "untimed"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_answers_are_those_of_the_equations(options, timed):
    model = fitted(timed, **options)
    got = model.predict_proba(SERIES, times=TIMES if timed else None)
    for row, series, stamps in zip(got, SERIES, TIMES, strict=True):
        logits = answer(model, series, stamps if timed else None)
        expected = logits.double().softmax(0)
        assert_matches("probabilities", torch.tensor(row).float(), expected, steps=len(series))


@pytest.mark.parametrize("unit", ["lstm", "gru", "rnn"])
def test_torchs_layers_answer_alike(unit):
    model = fitted(False, unit=unit)
    got = model.predict_proba(SERIES)
    for row, series in zip(got, SERIES, strict=True):
        expected = answer(model, series).double().softmax(0)
        assert_matches("probabilities", torch.tensor(row).float(), expected, steps=len(series))


def test_the_model_takes_a_padded_batch_by_hand():
    """What stands in the padding, and under the mask, is not looked at."""
    model = fitted(True)
    scaled = [(s - model.scaling_.mean) / model.scaling_.scale for s in SERIES]
    input = pad_sequence([torch.tensor(s).float() for s in scaled], True, padding_value=torch.nan)
    dt = pad_sequence([holds(model, stamps) for stamps in TIMES], True, padding_value=7.0)
    lengths = torch.tensor([len(s) for s in SERIES])
    with torch.no_grad():
        logits = model.model_(input, dt=dt, mask=~input.isnan(), lengths=lengths)
    expected = torch.tensor(model.predict_proba(SERIES, times=TIMES))
    assert_matches("probabilities", logits.softmax(1), expected, steps=40)


def test_each_series_alone_is_answered_as_among_others():
    model = fitted(True)
    together = torch.tensor(model.predict_proba(SERIES, times=TIMES)).float()
    for row, series, stamps in zip(together, SERIES, TIMES, strict=True):
        alone = torch.tensor(model.predict_proba([series], times=[stamps])[0])
        assert_matches("probabilities", row, alone, steps=len(series))


def test_with_one_step_a_window_the_model_is_the_plain_one():
    """``pooling="last"``, ``window=1``: a ``SequenceRegressor`` of a ``LipschitzRNN``."""
    options = {"bidirectional": False, "pooling": "last", "window": 1, "patch": 1}
    model = fitted(False, unit_options={"step_size": 0.2, "gamma_a": 0.001}, **options)
    plain = SequenceRegressor(LipschitzRNN(2, 8, step_size=0.2, batch_first=True), 2)
    plain.load_state_dict(model.model_.state_dict())
    assert type(model.model_) is SequenceRegressor
    for row, series in zip(model.predict_proba(SERIES), SERIES, strict=True):
        with torch.no_grad():
            logits = plain(standardised(model, series).unsqueeze(0))[0]
        expected = logits.double().softmax(0)
        assert_matches("probabilities", torch.tensor(row).float(), expected, steps=len(series))


def test_training_is_that_of_the_plain_model():
    """Five updates over all series at once, by an optimiser and a schedule of torch's own."""
    y = np.array([np.nanmax(s) for s in SERIES])
    estimator = LipschitzRNNRegressor(
        8,
        bidirectional=False,
        pooling="last",
        window=1,
        patch=1,
        unit_options={"step_size": 0.2, "gamma_a": 0.001},
        dropout=0.0,
        batch_size=len(SERIES),
        max_epochs=5,
        random_state=0,
    )
    estimator.fit(SERIES, y, times=TIMES)

    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    torch.manual_seed(seed)
    model = SequenceRegressor(LipschitzRNN(2, 8, step_size=0.2, batch_first=True), 1)
    with torch.no_grad():
        model.rnn.weight_ih_l0.mul_(3)  # how an estimator starts
    input = pad_sequence([standardised(estimator, s) for s in SERIES], True)
    dt = pad_sequence([holds(estimator, stamps) for stamps in TIMES], True)
    lengths = torch.tensor([len(s) for s in SERIES])
    target = torch.tensor((y - y.mean()) / y.std()).float().unsqueeze(1)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=8, pct_start=0.25)
    losses = []
    for _ in range(5):
        loss = (model(input, dt=dt, lengths=lengths) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    got = torch.tensor([epoch["loss"] for epoch in estimator.history_]).float()
    # each update multiplies rounding by the ratio of lr to the size of a gradient, at most about 10
    assert_matches("losses", got, torch.tensor(losses), steps=40, factor=80)
    assert len(set(losses)) == 5  # each update changed something
