"""Missing values: NaN and masks along a stream are ``mask`` of the whole sequence."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matching import assert_matches
from nn.streamed import DOUBLE, P, build, layer, observations, offline, pushed, swap
from torch import nn

from lipschitz_rnn import SequenceClassifier, Streamer
from lipschitz_rnn.nn import RecurrentLayer

T, B = 10, 3
NAN = float("nan")


def holes(shape, seed=0):
    """True where observed; one row begins with a gap, one is never observed."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) > 0.4
    mask[:3, 0] = False
    mask[:, 1] = False
    return mask


def models(missing, batch_first=False):
    yield layer(batch_first, missing=missing)
    cell = nn.LSTMCell(P, 4, **DOUBLE)
    yield RecurrentLayer(cell, missing=missing, batch_first=batch_first).eval()
    encoder = nn.Linear(P, P, **DOUBLE)
    rnn = layer(batch_first, missing=missing)
    yield SequenceClassifier(rnn, 2, encoder=encoder, every_step=True).eval()


@pytest.mark.parametrize("missing", ["hold", "zero"])
@pytest.mark.parametrize("per_feature", [False, True])
def test_gaps_are_filled_as_offline(missing, per_feature):
    mask = holes((T, B, P) if per_feature else (T, B))
    full = mask if per_feature else mask.unsqueeze(-1).expand(T, B, P)
    for model in models(missing):
        input = observations(model, T, B)
        expected = offline(model, input, mask=mask)
        spoiled = torch.where(full, input, torch.full_like(input, NAN))
        assert_matches("NaN", pushed(Streamer(model), spoiled), expected, steps=T)
        masked = pushed(Streamer(model), input, mask=mask)
        assert_matches("mask", masked, expected, steps=T)
        alone = pushed(Streamer(model), input[:, 2], mask=mask[:, 2])
        assert_matches("alone", alone, expected[:, 2], steps=T)
        named = pushed(Streamer(model), input, mask=mask, stream=[["a", "b", "c"]] * T)
        assert_matches("named", named, expected, steps=T)
        assert expected.isfinite().all()


def test_none_in_a_list_is_missing():
    streamer, other = (Streamer(layer()) for _ in range(2))
    streamer.model.load_state_dict(other.model.state_dict())
    for row in ([0.1, 0.2, 0.3], [1, None, 2], np.array([None, 1, None])):
        numbers = [NAN if value is None else float(value) for value in row]
        assert torch.equal(streamer.push(row), other.push(numbers))
    chunk = [[1.0, None, 3.0], [None] * P]
    assert torch.equal(streamer.push_chunk(chunk), other.push_chunk([[1.0, NAN, 3.0], [NAN] * P]))


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    seed=st.integers(0, 99),
    missing=st.sampled_from(["hold", "zero"]),
    per_feature=st.booleans(),
)
def test_any_partition(sizes, seed, missing, per_feature):
    steps = sum(sizes)
    mask = holes((steps, B, P) if per_feature else (steps, B), seed)
    for model in models(missing, batch_first=True):
        input = observations(model, steps, B)
        expected = offline(model, input, mask=mask)
        streamer, start, answers = Streamer(model), 0, []
        for size in sizes:
            x, m = (swap(model, v[start : start + size]) for v in (input, mask))
            answers.append(swap(model, streamer.push_chunk(x, mask=m)))
            start += size
        assert_matches("answers", torch.cat(answers), expected, steps=steps)


def test_the_last_value_is_carried_by_each_stream():
    """A gap is filled by what its own stream saw, not by its neighbour's."""
    model = layer()
    streamer = Streamer(model)
    one, two = observations(model, 2, P)[..., 0], observations(model, 2, P)[..., 0]
    gap = torch.full((2, P), NAN, **DOUBLE)
    streamer.push(torch.stack((one[0], two[0])), stream=["a", "b"])
    streamer.push(one[0], stream="c")
    answers = streamer.push(gap, stream=["b", "a"])
    for answer, x in zip(answers, (two[0], one[0]), strict=True):
        assert_matches("gap", answer, offline(model, x.expand(2, 1, P))[-1, 0])


def test_a_gap_with_a_time_stamp_asks_for_the_present():
    """The input before stays on, so that the answer after is that of another split of the time."""
    model = layer()
    streamer = Streamer(model, time_unit=1.0)
    x = torch.ones(P, **DOUBLE)
    streamer.push(x, time=0.0)
    ahead = streamer.answer(time=2.0)
    assert torch.equal(streamer.push(NAN * x, time=2.0), ahead)
    dt = torch.tensor([[2.0], [1.0]], **DOUBLE)
    expected = offline(model, x.expand(2, 1, P), dt=dt)[-1, 0]
    assert_matches("after", streamer.answer(time=3.0), expected)


def test_infinity_is_no_gap():
    """Whole sequences take it in, and so do streams, on the fast way too."""
    model = layer()
    input = observations(model, 3)
    input[1, 0], input[1, 1] = float("inf"), float("-inf")
    expected = offline(model, input.unsqueeze(1))[:, 0]
    found = pushed(Streamer(model), input)
    assert torch.equal(found.isnan(), expected.isnan())
    assert expected[1].isnan().any()


X = torch.ones(2, P, **DOUBLE)
BAD = [
    (X, torch.ones(2, P), TypeError, "boolean `mask`"),
    (X, torch.ones(3, dtype=torch.bool), ValueError, r"`mask` of shape \(B,\) = \(2,\)"),
    (X, torch.ones(2, 1, dtype=torch.bool), ValueError, r"`mask` of shape \(B, P\) = \(2, 3\)"),
]


@pytest.mark.parametrize(("input", "mask", "error", "message"), BAD)
def test_masks_that_do_not_fit(input, mask, error, message):
    with pytest.raises(error, match=message):
        Streamer(layer()).push(input, mask=mask)


def test_symbols_are_never_missing():
    with pytest.raises(ValueError, match="no `mask` for symbols"):
        Streamer(build("language model")).push(1, mask=True)
