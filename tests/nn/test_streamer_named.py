"""Streams by name: each as if it were alone, however they are pushed together."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matching import assert_matches
from nn.streamed import MODELS, TIMED, P, build, layer, observations, offline, pushed, swap

from lipschitz_rnn import Streamer

T = 8
X = torch.ones(P, dtype=torch.float64)


@pytest.mark.parametrize("name", MODELS)
def test_named_streams_are_a_batch(name):
    model = build(name)
    input, names = observations(model, T, 3), ["a", "b", "c"]
    expected = offline(model, input)
    streamer = Streamer(model)
    answers = torch.stack([streamer.push(x, stream=names) for x in input])
    assert_matches("together", answers, expected, steps=T)
    one = Streamer(model)
    for t, x in enumerate(input):
        for row in torch.randperm(3).tolist():
            found = one.push(x[row], stream=names[row])
            assert_matches("one by one", found, expected[t, row], steps=T)
    assert_matches("answer", one.answer(stream=["b", "a"]), expected[-1, [1, 0]], steps=T)
    assert_matches("answer", one.answer(stream="c"), expected[-1, 2], steps=T)


WHO = st.lists(st.sets(st.integers(0, 4), min_size=1), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(
    pushes=WHO, timed=st.booleans(), model=st.sampled_from(["two layers, midpoint", "LEM cells"])
)
def test_whoever_is_pushed_together(pushes, timed, model):
    """New ones beside old ones, in any order, each with time stamps of its own."""
    model = build(model, batch_first=True)
    unit = {"time_unit": 0.5} if timed else {}
    together, alone = Streamer(model, **unit), {}
    clocks = torch.zeros(5, dtype=torch.float64)
    for rows in pushes:
        rows = sorted(rows, key=lambda row: (7 * row + len(pushes)) % 5)
        chunk = 1 + len(rows) % 3
        input = observations(model, chunk, len(rows))
        time = clocks[rows] + torch.rand(chunk, len(rows), dtype=torch.float64).cumsum(0)
        clocks[rows] = time[-1]
        options = {"time": swap(model, time)} if timed else {}
        names = [f"s{row}" for row in rows]
        found = together.push_chunk(swap(model, input), stream=names, **options)
        for i, row in enumerate(rows):
            own = alone.setdefault(row, Streamer(model, **unit))
            options = {"time": time[:, i]} if timed else {}
            expected = pushed(own, input[:, i], **options)
            assert_matches("answers", swap(model, found)[:, i], expected, steps=3 * len(pushes))
    assert set(together.streams) == {f"s{row}" for row in alone}
    for row, own in alone.items():
        assert_matches("state", together.answer(stream=f"s{row}"), own.answer(), steps=24)
        if timed:
            assert torch.equal(together.clock(f"s{row}"), own.clock())


@pytest.mark.parametrize("name", TIMED)
def test_each_has_its_own_time(name):
    model = build(name)
    input, dt = observations(model, T, 3), torch.rand(T, 3, dtype=torch.float64)
    streamer = Streamer(model)
    answers = pushed(streamer, input, dt=dt, stream=[["a", "b", "c"]] * T)
    assert_matches("answers", answers, offline(model, input, dt=dt), steps=T)


def test_a_stream_without_a_name_is_another_one():
    model = layer()
    streamer, input = Streamer(model), observations(model, T)
    expected = pushed(Streamer(model), input)
    for t, x in enumerate(input):
        assert torch.equal(streamer.push(x), expected[t])
        assert_matches("named", streamer.push(x, stream="a"), expected[t], steps=T)


def test_the_order_is_that_of_the_last_push():
    streamer = Streamer(layer())
    for name in "abcab":
        streamer.push(X, stream=name)
    assert list(streamer.streams) == ["c", "a", "b"]
    streamer.push(X.expand(2, P), stream=["b", "c"])
    assert list(streamer.streams) == ["a", "b", "c"]


def test_a_forgotten_stream_begins_anew():
    model = layer()
    streamer, input = Streamer(model), observations(model, T)
    first = streamer.push(input[0], stream="a")
    other = [streamer.push(x, stream="b") for x in input]
    streamer.push(input[1], stream="a")
    streamer.forget("a")
    assert list(streamer.streams) == ["b"]
    assert torch.equal(streamer.push(input[0], stream="a"), first)
    assert torch.equal(streamer.answer(stream="b"), other[-1])
    streamer.forget(streamer.streams)
    assert not streamer.streams
    streamer.push(input[0])
    streamer.reset()
    assert torch.equal(streamer.push(input[0]), first)


def rows_held(streamer):
    rows = streamer._engine.named._rows
    return 0 if rows is None else len(rows.held)


def test_memory_follows_the_number_of_streams():
    """At most four times as many rows as streams, on the way up and on the way down."""
    model = layer()
    streamer = Streamer(model)
    expected = {}
    for start in range(0, 300, 7):
        names = [f"s{i}" for i in range(start, start + 7)]
        input = observations(model, 7)
        answers = streamer.push(input, stream=names)
        expected |= dict(zip(names, answers, strict=True))
        assert rows_held(streamer) <= 4 * len(streamer.streams)
    for name in torch.randperm(len(expected)).tolist()[5:]:
        streamer.forget(f"s{name}")
        assert rows_held(streamer) <= 4 * len(streamer.streams)
    for name in streamer.streams:
        assert torch.equal(streamer.answer(stream=name), expected[name])
    streamer.forget(list(streamer.streams))
    assert rows_held(streamer) == 0


def test_a_limit_on_the_number_of_streams():
    streamer = Streamer(layer(), max_streams=2)
    streamer.push(X.expand(2, P), stream=["a", "b"])
    before = streamer.answer(stream="a")
    with pytest.raises(
        ValueError, match=r"at most 2 streams, got another one, 'c'. Forget one before"
    ):
        streamer.push(X.expand(2, P), stream=["a", "c"])
    assert torch.equal(streamer.answer(stream="a"), before)
    streamer.forget("b")
    streamer.push(X.expand(2, P), stream=["a", "c"])
    assert list(streamer.streams) == ["a", "c"]


BAD = [
    (X, ["a"], ValueError, "a name for an `input` without a batch, or as many"),
    (X.expand(2, P), "a", ValueError, "a name for an `input` without a batch"),
    (X.expand(2, P), ["a"], ValueError, "got 1 names for 2"),
    (X.expand(2, P), ["a", "a"], ValueError, "each `stream` once"),
    (X.expand(2, P), ["a", 1], TypeError, "`stream` to be a str or several"),
]


@pytest.mark.parametrize(("input", "stream", "error", "message"), BAD)
def test_names_that_do_not_fit(input, stream, error, message):
    streamer = Streamer(layer())
    with pytest.raises(error, match=message):
        streamer.push(input, stream=stream)
    assert not streamer.streams


def test_names_that_are_not_there():
    streamer = Streamer(layer())
    streamer.push(X, stream="a")
    for call in (streamer.forget, lambda name: streamer.answer(stream=name), streamer.clock):
        for name in ("b", ["a", "b"]):
            with pytest.raises(ValueError, match="expected the name of a stream, got 'b'"):
                call(name)
    with pytest.raises(ValueError, match="expected the name of a stream, got none"):
        streamer.answer(stream=[])
    streamer.forget([])
    assert list(streamer.streams) == ["a"]
