"""Time stamps: an input is held until the next one, and the whole sequence says the same."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matching import assert_matches
from nn.streamed import TIMED, P, build, layer, observations, offline, pushed, swap
from torch import nn

from lipschitz_rnn import LipschitzRNN, Streamer
from lipschitz_rnn.nn import RecurrentLayer

T, B, UNIT = 9, 3, 0.25


def stamps(steps, *batch, start=1.7e9):
    """Such as seconds of this century; a fifth of them at the same time as the one before."""
    gaps = torch.rand(steps, *batch, dtype=torch.float64)
    gaps[torch.rand(steps, *batch) < 0.2] = 0
    return start + gaps.cumsum(0)


def held(time):
    """For how long each input but the last is held, in steps; the differences are exact."""
    return time.diff(dim=0) / UNIT


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", TIMED)
def test_answers_at_a_stamp_are_those_of_the_step_that_ends_there(name, batch_first):
    model = build(name, batch_first)
    input, time = observations(model, T, B), stamps(T + 1, B)
    expected = offline(model, input, dt=held(time))
    streamer = Streamer(model, time_unit=UNIT)
    answers = pushed(streamer, input, time=time[:-1])
    assert_matches("answers", answers[1:], expected[:-1], steps=T)
    for b in range(B):  # each row has a clock of its own
        alone = Streamer(model, time_unit=UNIT)
        answers = pushed(alone, input[:, b], time=time[:-1, b].tolist())
        assert_matches("alone", answers[1:], expected[:-1, b], steps=T)
        ahead = alone.answer(time=time[-1, b].item())
        assert_matches("ahead", ahead, expected[-1, b], steps=T)


def test_the_first_answer_is_of_the_initial_state():
    model = build("classifier")
    streamer = Streamer(model, time_unit=1.0)
    first = streamer.push(torch.ones(P, dtype=torch.float64), time=5.0)
    assert torch.equal(first, model.head(torch.zeros_like(model.head.weight[0])))
    bare = Streamer(layer(), time_unit=1.0)
    assert not bare.push(torch.ones(P, dtype=torch.float64), time=5.0).any()


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6), batched=st.booleans())
def test_any_partition(sizes, batched):
    model, batch = build("classifier at every step", True), (B,) if batched else ()
    input, time = observations(model, sum(sizes), *batch), stamps(sum(sizes), *batch)
    streamer, start, answers = Streamer(model, time_unit=UNIT), 0, []
    for size in sizes:
        part = slice(start, start + size)
        x, s = (swap(model, v) if batched else v for v in (input[part], time[part]))
        found = streamer.push_chunk(x, time=s)
        answers.append(swap(model, found) if batched else found)
        start += size
    expected = pushed(Streamer(model, time_unit=UNIT), input, time=time)
    assert_matches("answers", torch.cat(answers), expected, steps=sum(sizes))
    assert torch.equal(streamer.clock(), time[-1])


def test_stamps_shared_by_a_batch():
    model = layer(batch_first=True)
    input, time = observations(model, T, B), stamps(T)
    each = time.unsqueeze(1).expand(T, B)
    expected = pushed(Streamer(model, time_unit=UNIT), input, time=each)
    shared = Streamer(model, time_unit=UNIT)
    assert torch.equal(pushed(shared, input, time=time.tolist()), expected)
    found = Streamer(model, time_unit=UNIT).push_chunk(swap(model, input), time=time)
    assert_matches("a chunk", swap(model, found), expected, steps=T)


def test_the_unit_of_time_is_one_step():
    """Stamps one unit apart are a stream without times."""
    model = layer()
    input, streamer = observations(model, T), Streamer(model, time_unit=0.5)
    answers = pushed(streamer, input, time=[10 + 0.5 * t for t in range(T)])
    assert_matches("answers", answers[1:], pushed(Streamer(model), input)[:-1], steps=T)


def test_looking_ahead_changes_nothing():
    model = layer()
    input, time = observations(model, T, B), stamps(T, B)
    plain, looking = (Streamer(model, time_unit=UNIT) for _ in range(2))
    expected = pushed(plain, input, time=time)
    for t in range(T):
        answer = looking.push(input[t], time=time[t])
        assert torch.equal(answer, expected[t])
        assert torch.equal(looking.answer(), answer)
        far = looking.answer(time=time[t].max().item() + 3)
        assert not torch.equal(far, answer)
        assert torch.equal(looking.clock(), time[t])


def test_a_long_pause_is_one_step_as_it_is_offline():
    """Nothing is cut into pieces: holding for 3 is not holding for 1 and then for 2."""
    model = layer()
    input = observations(model, 2)
    streamer = Streamer(model, time_unit=1.0)
    streamer.push(input[0], time=0.0)
    at_three = streamer.push(input[1], time=3.0)
    dt = torch.tensor([[3.0]], dtype=torch.float64)
    assert_matches("pause", at_three, offline(model, input[:1, None], dt=dt)[0, 0])


BACKWARDS = "`time` not before the last one, 7.0, got 6.0. Time stamps must not decrease"


def test_stamps_that_decrease_are_refused_and_change_nothing():
    model = layer()
    x = torch.ones(P, dtype=torch.float64)
    streamer = Streamer(model, time_unit=1.0)
    streamer.push(x, time=7.0)
    before = streamer.state_dict()["tensors"]
    with pytest.raises(ValueError, match=BACKWARDS):
        streamer.push(2 * x, time=6.0)
    with pytest.raises(ValueError, match=BACKWARDS):
        streamer.answer(time=6.0)
    with pytest.raises(ValueError, match=r"the last one, 9.0, got 8.5"):
        streamer.push_chunk(x.expand(3, P), time=[7.0, 9.0, 8.5])
    streamer.push(x, time=7.0, stream="b")
    with pytest.raises(ValueError, match=r"of stream 'b' not before the last one, 7.0"):
        streamer.push(x.expand(2, P), time=[1.0, 2.0], stream=["c", "b"])
    assert list(streamer.streams) == ["b"]
    after = streamer.state_dict()["tensors"]
    assert all(torch.equal(after[name], before[name]) for name in before)
    rows = Streamer(model, time_unit=1.0)
    rows.push(x.expand(2, P), time=7.0)
    with pytest.raises(ValueError, match=r"of row 1 not before the last one, 7.0, got 6.0"):
        rows.push(x.expand(2, P), time=[7.0, 6.0])


X = torch.ones(P, dtype=torch.float64)
BAD = [
    ({}, {"time": 1.0}, "expected no `time`, got one. Make the streamer with `time_unit`"),
    ({"time_unit": 1.0}, {}, "expected `time` and no `dt` with `time_unit`, got no `time`"),
    ({"time_unit": 1.0}, {"time": 1.0, "dt": 1.0}, "got `dt`"),
    ({"time_unit": 1.0}, {"time": float("nan")}, "a finite `time`"),
    ({"time_unit": 1.0}, {"time": float("inf")}, "a finite `time`"),
    ({"time_unit": 1.0}, {"time": [1.0, 2.0]}, r"`time` of shape \(\)|scalar `time`"),
    ({}, {"dt": -1.0}, "finite `dt` >= 0"),
    ({}, {"dt": float("nan")}, "finite `dt` >= 0"),
    ({}, {"dt": [1.0, 2.0]}, "scalar `dt`"),
]


@pytest.mark.parametrize(("made", "options", "message"), BAD)
def test_times_that_do_not_fit(made, options, message):
    streamer = Streamer(layer(), **made)
    with pytest.raises(ValueError, match=message):
        streamer.push(X, **options)
    with pytest.raises(ValueError, match="expected a push before, got none"):
        streamer.answer()


def test_units_that_take_no_times():
    model = RecurrentLayer(nn.GRUCell(P, 4))
    with pytest.raises(TypeError, match="takes times `dt` with `time_unit`, got RecurrentLayer"):
        Streamer(model, time_unit=1.0)
    for rnn in (model, nn.LSTM(P, 4)):
        with pytest.raises(TypeError, match="takes times `dt` with `dt`"):
            Streamer(rnn).push(torch.ones(P), dt=1.0)
    for unit in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="finite `time_unit` > 0"):
            Streamer(layer(), time_unit=unit)


def test_a_contractive_layer_refuses_times_that_it_does_not_cover():
    model = LipschitzRNN(P, 4, constraint="contractive")
    streamer = Streamer(model, time_unit=1.0)
    x = torch.ones(P)
    streamer.push(x, time=0.0)
    answer = streamer.push(x, time=0.5)
    with pytest.raises(ValueError, match="times `dt` from 0 to 1"):
        streamer.push(x, time=2.0)
    assert torch.equal(streamer.answer(), answer)
    assert streamer.clock() == 0.5


def test_the_clock_needs_stamps():
    streamer = Streamer(layer())
    streamer.push(X)
    with pytest.raises(ValueError, match="a streamer with `time_unit`"):
        streamer.clock()
    with pytest.raises(ValueError, match="expected no `time`"):
        streamer.answer(time=3.0)
