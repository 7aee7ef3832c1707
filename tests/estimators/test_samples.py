"""Batches, patches and what is read of states: each against a plain loop."""

import numpy as np
import pytest
import torch
from estimators.by_hand import patched
from matching import assert_matches

from lipschitz_rnn import LipschitzRNN
from lipschitz_rnn.estimators.model import PooledRegressor
from lipschitz_rnn.estimators.scaling import Scaling, moments
from lipschitz_rnn.estimators.series import Series
from lipschitz_rnn.estimators.task import split
from lipschitz_rnn.nn.patches import Patches, hold_last

COUNTS = np.array([3, 9, 1, 5, 5])
VALUES = np.random.default_rng(0).normal(size=(23, 2))
CPU = torch.device("cpu")


def samples(gaps=None, values=VALUES):
    scaling = Scaling(np.zeros(2), np.ones(2), None if gaps is None else 1.0)
    return scaling.apply(Series(values, COUNTS, gaps))


def test_a_batch_holds_the_series_and_repeats_their_last_step():
    input, extras = samples().batch(torch.tensor([4, 0, 2]), CPU)
    assert set(extras) == {"lengths"}
    assert extras["lengths"].tolist() == [5, 3, 1]
    ends = COUNTS.cumsum()
    for row, k in zip(input, (4, 0, 2), strict=True):
        part = VALUES[ends[k] - COUNTS[k] : ends[k]].astype(np.float32)
        np.testing.assert_array_equal(row[: COUNTS[k]], part)
        np.testing.assert_array_equal(row[COUNTS[k] :], np.tile(part[-1], (5 - COUNTS[k], 1)))


def test_a_batch_of_equal_lengths_without_gaps_is_just_the_input():
    input, extras = samples().batch(torch.tensor([3, 4]), CPU)
    assert input.shape == (2, 5, 2)
    assert not extras


def test_missing_values_and_times_go_along():
    values, gaps = VALUES.copy(), np.arange(23.0) / 2
    values[4, 1] = np.nan
    gaps[COUNTS.cumsum() - 1] = np.nan
    input, extras = samples(gaps, values).batch(torch.tensor([1]), CPU)
    assert input[0, 1, 1] == 0
    assert (~extras["mask"][0]).nonzero().tolist() == [[1, 1]]
    # held for 8 usual steps at most, and the last one for 1
    assert extras["dt"][0].tolist() == [1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 1]
    _, extras = samples(4 * gaps, values).batch(torch.tensor([1]), CPU)
    assert extras["dt"][0].tolist() == [6, 8, 8, 8, 8, 8, 8, 8, 1]


def test_numbers_beyond_float32_are_refused_where_they_are():
    values = VALUES.copy()
    values[13, 1] = -1e300
    with pytest.raises(ValueError, match=r"up to 1e\+15 .* got -1e\+300 in series 3 of X"):
        samples(values=values)
    Scaling(np.zeros(2), np.array([1.0, 1e300])).apply(Series(values, COUNTS))  # small in its unit
    with pytest.raises(ValueError, match=r"moments: expected numbers with a finite standard"):
        moments(values * 1e7)


def test_constants_of_any_size_and_tiny_numbers_are_standardised():
    x = np.column_stack((np.full(7, 1e308), np.full(7, 0.1), np.arange(7) * 1e-200))
    mean, scale = moments(x)
    assert mean.tolist()[:2] == [1e308, 0.1]
    assert scale.tolist() == [1, 1, 1]


def many(count=1000):
    counts = np.random.default_rng(0).integers(1, 100, count)
    series = Series(np.zeros((counts.sum(), 2)), counts)
    return Scaling(np.zeros(2), np.ones(2)).apply(series), counts


def test_a_plan_has_every_series_once_in_batches_of_like_lengths():
    made, counts = many()
    index = torch.arange(0, 1000, 2)
    plan = made.plan(index, 16, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(plan).tolist()) == index.tolist()
    assert {len(batch) for batch in plan} <= {15, 16}
    again = made.plan(index, 16, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(plan, again, strict=True))
    other = made.plan(index, 16, torch.Generator().manual_seed(1))
    assert torch.cat(plan).tolist() != torch.cat(other).tolist()
    # padding: less than a tenth of all, where batches at random would be half padding
    padded = sum(int(counts[b.numpy()].max()) * len(b) for b in plan)
    assert padded < 1.1 * counts[::2].sum()


def test_pieces_are_bounded_and_have_every_series_once():
    made, counts = many()
    pieces = made.pieces(torch.arange(1000), 500)
    assert sorted(torch.cat(pieces).tolist()) == list(range(1000))
    assert all(counts[p.numpy()].max() * len(p) <= 500 for p in pieces)
    assert len(pieces) < 1.2 * counts.sum() / 500
    alone = made.pieces(torch.arange(1000), 1)
    assert [len(p) for p in alone if counts[int(p[0])] > 1] == [1] * int((counts > 1).sum())


def test_moments_are_numpys_without_the_missing():
    x = np.random.default_rng(0).normal(5, 3, size=(50, 3))
    x[::7, 0] = np.nan
    mean, scale = moments(x)
    np.testing.assert_allclose(mean, np.nanmean(x, 0), rtol=1e-13)
    np.testing.assert_allclose(scale, np.nanstd(x, 0), rtol=1e-13)
    nothing = np.full((4, 1), np.nan)
    assert [part.tolist() for part in moments(nothing)] == [[0], [1]]
    assert moments(np.full((7, 1), 0.1))[1].tolist() == [1]


def test_the_held_back_part_has_its_share_of_every_group():
    groups = np.repeat(["a", "b", "c"], [100, 40, 1])
    held = split(groups, 0.2, torch.Generator().manual_seed(0)).numpy()
    assert [int(held[groups == name].sum()) for name in "abc"] == [20, 8, 0]
    other = split(groups, 0.2, torch.Generator().manual_seed(1)).numpy()
    assert (held != other).any()
    assert not split(groups, 0.0, torch.Generator()).any()


@pytest.mark.parametrize(("patch", "window"), [(1, 1), (1, 4), (3, 3), (3, 5), (4, 30), (20, 20)])
def test_patches_are_those_of_a_loop(patch, window):
    x = torch.randn(4, 11, 2)
    dt = torch.rand(4, 11)
    lengths = torch.tensor([11, 4, 1, 9])
    got, times, short = Patches(patch, window)(x, dt, lengths)
    for k, length in enumerate(lengths):
        rows, expected = patched(x[k, :length], patch, window, dt[k, :length])
        assert short[k] == len(rows)
        assert torch.equal(got[k, : len(rows)], rows)
        assert_matches("dt", times[k, : len(rows)], expected)
    whole, none, same = Patches(patch, window)(x, None, None)
    assert none is None
    assert same is None
    assert torch.equal(whole[0], got[0, : whole.shape[1]])


def test_every_observation_is_in_some_patch():
    for length in range(1, 40):
        x = torch.arange(float(length)).view(1, -1, 1)
        assert set(Patches(5, 5)(x, None, None)[0].flatten().tolist()) == set(x.flatten().tolist())


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_head_sees_last_mean_largest_and_deviation(bidirectional):
    rnn = LipschitzRNN(2, 3, step_size=0.5, batch_first=True, bidirectional=bidirectional)
    model = PooledRegressor(rnn, 2).eval()
    x, lengths = torch.randn(3, 8, 2), torch.tensor([8, 2, 5])
    got = model(x, lengths=lengths)
    for k, length in enumerate(lengths):
        states, h_n = rnn(x[k, :length])
        parts = [h_n.flatten(), states.mean(0), states.amax(0)]
        parts.append((states.var(0, correction=0) + 1e-6).sqrt())
        assert_matches("answer", got[k], model.head(torch.cat(parts)), steps=8)
    assert_matches("whole", model(x)[0], got[0], steps=8)


def test_the_deviation_has_a_slope_where_states_do_not_vary():
    model = PooledRegressor(LipschitzRNN(1, 3, batch_first=True), 1)
    model(torch.zeros(2, 1, 1)).sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_holding_is_up_to_the_next_observation():
    x = torch.tensor([[[1.0], [2], [3], [4]]])
    mask = torch.tensor([[[False], [True], [False], [True]]])
    assert hold_last(x, mask).flatten().tolist() == [0, 2, 2, 4]
