"""What a forecaster learns to tell, found again by loops over every step."""

import numpy as np
import pytest
import torch
from matching import assert_matches

from lipschitz_rnn import LipschitzRNN
from lipschitz_rnn.estimators.forecast_model import ForecastModel, between
from lipschitz_rnn.estimators.futures import Futures
from lipschitz_rnn.estimators.scaling import Scaling
from lipschitz_rnn.estimators.series import Series
from lipschitz_rnn.estimators.windows import WindowTask, cut
from lipschitz_rnn.nn.patches import Patches

COUNTS = np.array([7, 1, 9])
HORIZON = 4


def made(timed, holes=True):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(17, 2))
    values[rng.random((17, 2)) < (0.2 if holes else 0)] = np.nan
    gaps = rng.uniform(0.3, 2, 17) if timed else None
    if timed:
        gaps[COUNTS.cumsum() - 1] = np.nan
    series = Series(values, COUNTS, gaps)
    return series, Scaling(np.zeros(2), np.ones(2), 1.0 if timed else None).apply(series)


def ahead(series, row):
    """Rows of the next K observations of the same series, and when: after the next one."""
    end = COUNTS.cumsum()[np.searchsorted(COUNTS.cumsum(), row, side="right")]
    rows = range(row + 1, min(row + 1 + HORIZON, end))
    if series.gaps is None:
        return [(k, k - row - 1) for k in rows]
    return [(k, series.gaps[row + 1 : k].sum()) for k in rows]


def held(series, row):
    """The last observed value of each feature at a row, or 0."""
    start = (COUNTS.cumsum() - COUNTS)[np.searchsorted(COUNTS.cumsum(), row, side="right")]
    found = []
    for column in series.values[start : row + 1].T:
        known = column[~np.isnan(column)]
        found.append(known[-1] if len(known) else 0.0)
    return np.array(found)


@pytest.mark.parametrize("timed", [False, True])
def test_values_after_each_step(timed):
    series, samples = made(timed)
    rows = torch.arange(17)
    high = torch.full((17,), 17)
    values, known, offsets = Futures.of(samples, HORIZON).after(rows, 0, high)
    for row in range(17):
        expected = ahead(series, row)
        for k, (later, offset) in enumerate(expected):
            seen = ~np.isnan(series.values[later])
            wanted = seen & (offset <= HORIZON - 1)
            assert known[row, k].tolist() == wanted.tolist()
            got = values[row, k][torch.tensor(wanted)]
            np.testing.assert_allclose(got, series.values[later][wanted], rtol=1e-6)
            if timed:
                assert float(offsets[row, k]) == pytest.approx(offset, abs=1e-5)
        assert not known[row, len(expected) :].any()
    np.testing.assert_allclose(samples.held(), [held(series, r) for r in range(17)], rtol=1e-6)


@pytest.mark.parametrize("timed", [False, True])
def test_spread_is_the_root_mean_square_of_moves(timed):
    series, samples = made(timed)
    got = Futures.of(samples, HORIZON).spread(torch.full((17,), 12))
    squares, weights = np.zeros((HORIZON, 2)), np.zeros((HORIZON, 2))
    for row in range(17):
        for later, offset in ahead(series, row):
            if later >= 12 or offset > HORIZON - 1:
                continue
            moved = np.square(series.values[later] - held(series, row))
            for node in range(HORIZON):
                share = max(0.0, 1 - abs(offset - node)) * ~np.isnan(moved)
                squares[node] += share * np.nan_to_num(moved)
                weights[node] += share
    expected = np.sqrt(squares / weights)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_spread_of_what_never_moves_is_one():
    series = Series(np.full((5, 1), 3.0), np.array([5]))
    futures = Futures.of(Scaling(np.zeros(1), np.ones(1)).apply(series), 7)
    assert futures.spread(torch.full((5,), 5)).tolist() == [[1.0]] * 7


def test_between_is_numpys_interpolation():
    nodes = torch.randn(3, 5, 2, dtype=torch.double)
    offsets = torch.cat((torch.rand(3, 9).double() * 4, torch.tensor([[0.0, 4.0, 7.0]] * 3)), 1)
    got = between(nodes, offsets)
    for b in range(3):
        for p in range(2):
            expected = np.interp(offsets[b], np.arange(5), nodes[b, :, p])
            np.testing.assert_allclose(got[b, :, p], expected, rtol=1e-12)
    assert between(torch.ones(2, 1, 3), torch.rand(2, 4)).tolist() == torch.ones(2, 4, 3).tolist()


@pytest.mark.parametrize("timed", [False, True])
def test_loss_is_the_mean_over_known_futures(timed):
    series, samples = made(timed)
    model = ForecastModel(LipschitzRNN(4, 3, batch_first=True), Patches(1, 2), HORIZON)
    model.spread.copy_(torch.rand(HORIZON, 2) + 0.5)
    futures, limit = Futures.of(samples, HORIZON), cut(samples, 0.2)
    task = WindowTask(model, futures, limit, 5, 2, torch.Generator(), torch.device("cpu"))
    assert limit.tolist() == [6] * 7 + [8] + [15] * 9  # 20 % of 7 and 9 are held back, none of 1
    task.plan()
    # every step but those without a future in training
    assert set(pairs(task._windows)) == {(0, 5), (8, 5), (9, 5)}
    index = torch.arange(3)
    expected = by_loops(model, series, task._windows, [(0, limit)] * 17, range(5))
    assert_matches("loss", task.loss(index), torch.tensor(expected), steps=20)
    low = [(int(c), torch.full((17,), 17)) for c in limit]
    assert pairs(task.origins) == [(1, 5), (10, 5), (11, 5)]
    expected = by_loops(model, series, task.origins, low, [4])
    assert_matches("validation", torch.tensor(task.validate()), torch.tensor(expected), steps=20)


def pairs(windows):
    """Start and length of each."""
    return list(zip(windows.starts.tolist(), windows.counts.tolist(), strict=True))


def by_loops(model, series, windows, limits, steps):
    total, count = 0.0, 0
    for start, length in pairs(windows):
        x = torch.tensor(series.values[start : start + length]).float()
        dt = None
        if series.gaps is not None:
            dt = torch.tensor(series.gaps[start : start + length]).float()[None].nan_to_num(1.0)
        with torch.no_grad():
            nodes = model(x[None], mask=~x[None].isnan(), dt=dt)[0]
        for step in steps:
            low, high = limits[start + step]
            for k, (later, offset) in enumerate(ahead(series, start + step)):
                if not low <= later < high[start + step] or offset > HORIZON - 1:
                    continue
                at = torch.tensor([[float(offset if series.gaps is not None else k)]])
                told = between(nodes[step][None], at)[0, 0]
                spread = between(model.spread[None], at)[0, 0]
                error = ((told - torch.tensor(series.values[later])) / spread).square()
                total += float(error.nansum())
                count += int((~error.isnan()).sum())
    return total / count


def test_the_model_forecasts_from_what_came_before_alone():
    model = ForecastModel(LipschitzRNN(6, 5, batch_first=True), Patches(1, 3), HORIZON)
    x = torch.randn(2, 9, 2)
    whole = model(x)
    assert whole.shape == (2, 9, HORIZON, 2)
    changed = x.clone()
    changed[:, 6:] = 100
    assert torch.equal(model(changed)[:, :6], whole[:, :6])
    assert_matches("cut", model(x[:, :6]), whole[:, :6], steps=9)


def test_a_shift_of_the_series_shifts_the_forecasts():
    model = ForecastModel(LipschitzRNN(6, 5, batch_first=True), Patches(1, 3), HORIZON).double()
    x = torch.randn(2, 9, 2, dtype=torch.double)
    assert_matches("shifted", model(x + 64) - 64, model(x), steps=9, factor=64)
