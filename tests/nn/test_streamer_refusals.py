"""What cannot be streamed is refused, with the reason, and no stream changes."""

import threading

import pytest
import torch
from nn.streamed import P, build, layer, observations, offline, pushed
from torch import nn

from lipschitz_rnn import LipschitzRNN, SequenceClassifier, Streamer
from lipschitz_rnn.nn import SequenceRegressor


class OwnForward(SequenceRegressor):
    """Does more than encoder, layer and head."""

    def forward(self, input):
        return super().forward(input).mean()


MODELS = [
    (nn.Linear(3, 3), TypeError, "a recurrent layer, a SequenceClassifier.*, got Linear"),
    (nn.GRUCell(3, 3), TypeError, "got GRUCell"),
    (OwnForward(nn.GRU(3, 4), 2), TypeError, "got OwnForward"),
    (nn.GRU(3, 4, bidirectional=True), ValueError, "bidirectional=False, got True"),
    (layer(bidirectional=True), ValueError, "The reverse direction needs the future"),
    (SequenceClassifier(layer(bidirectional=True), 2), ValueError, "bidirectional=False"),
]


@pytest.mark.parametrize(("model", "error", "message"), MODELS)
def test_models_that_cannot_be_streamed(model, error, message):
    with pytest.raises(error, match=message):
        Streamer(model)


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_a_limit_that_is_none(count):
    with pytest.raises((ValueError, TypeError), match="`max_streams`"):
        Streamer(layer(), max_streams=count)


D = torch.float64
BAD = [
    ("push", torch.ones(2, dtype=D), r"`input` of shape \(P,\) = \(3,\), got \(2,\)"),
    ("push", torch.ones(2, 2, dtype=D), r"`input` of shape \(B, P\)"),
    ("push", torch.ones(2, 2, P, dtype=D), "Use push_chunk for several observations"),
    ("push", torch.ones(0, P, dtype=D), r"not empty, got \(0, 3\)"),
    ("push", torch.ones(2, P), "dtype of the weights, torch.float64, got torch.float32"),
    ("push", torch.ones(P, dtype=torch.int64), "a floating-point `input`"),
    ("push", torch.ones(3, P, dtype=D), "a batch of 2 streams, as pushed first, got a batch of 3"),
    ("push", torch.ones(P, dtype=D), "a batch of 2 streams, .*, got one without a batch"),
    ("push_chunk", torch.ones(P, dtype=D), r"`input` of shape \(T, P\)"),
    ("push_chunk", torch.ones(0, 2, P, dtype=D), "not empty"),
    ("push_chunk", torch.ones(1, 2, 2, P, dtype=D), r"`input` of shape \(T, B, P\)"),
]


@pytest.mark.parametrize(("method", "input", "message"), BAD)
def test_inputs_that_do_not_fit(method, input, message):
    model = layer()
    streamer, x = Streamer(model), torch.ones(2, P, dtype=D)
    answer = streamer.push(x)
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(streamer, method)(input)
    assert torch.equal(streamer.answer(), answer)
    assert torch.equal(streamer.push(x), pushed(Streamer(model), [x, x])[-1])


@pytest.mark.parametrize("input", [["a"] * P, [1, "2", 3], "123", None, {1: 2}, [[1, 2], [3]]])
def test_what_is_no_number(input):
    streamer = Streamer(layer())
    with pytest.raises(TypeError, match=r"^Streamer\.push: expected `input` to be a number, or a"):
        streamer.push(input)
    timed = Streamer(layer(), time_unit=1.0)
    with pytest.raises(TypeError, match=r"^Streamer\.push: expected `time` to be a number, or a"):
        timed.push([1.0] * P, time="noon")
    with pytest.raises(TypeError, match=r"^Streamer\.push: expected `dt` to be a number, or a"):
        streamer.push([1.0] * P, dt=[None])


@pytest.mark.parametrize("stream", [3, [3], ["a", None]])
def test_names_that_are_no_names(stream):
    streamer = Streamer(layer())
    streamer.push([1.0] * P, stream="a")
    message = "expected `stream` to be a str or several, got"
    for call in (streamer.answer, streamer.clock):
        with pytest.raises(TypeError, match=message):
            call(stream=stream)
    with pytest.raises(TypeError, match=message):
        streamer.push([1.0] * P, stream=stream)
    with pytest.raises(TypeError, match=message):
        streamer.forget(stream)


def test_a_head_that_fails_leaves_the_stream():
    model = build("classifier")
    input = observations(model, 4)
    expected = offline(model, input.unsqueeze(1))[:, 0]
    for options in ({}, {"stream": "a"}):
        streamer = Streamer(model)
        streamer.push(input[0], **options)
        handle = model.head.register_forward_pre_hook(lambda *_: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                streamer.push(input[1], **options)
        handle.remove()
        answer = streamer.push(input[1], **options)
        assert torch.allclose(answer, expected[1], rtol=1e-14, atol=1e-14)


def test_streams_of_another_dtype_do_not_mix():
    model = LipschitzRNN(P, 4)
    streamer = Streamer(model)
    streamer.push(torch.ones(P), stream="a")
    model.double()
    with pytest.raises(ValueError, match="one shape and dtype for all streams"):
        streamer.push(torch.ones(P, dtype=D), stream="b")
    assert list(streamer.streams) == ["a"]
    model.float()
    streamer.push(torch.ones(P), stream="b")


def test_an_encoder_fixes_the_features_at_the_first_push():
    class Mean(nn.Module):
        def forward(self, input):
            return input.mean(-1, keepdim=True).expand(*input.shape[:-1], P)

    streamer = Streamer(SequenceRegressor(layer(), 1, encoder=Mean()))
    for options in ({}, {"stream": "a"}):
        streamer.push(torch.ones(5, dtype=D), **options)
        with pytest.raises(ValueError, match="`input` of 5 features, as before, got 4"):
            streamer.push(torch.ones(4, dtype=D), **options)


def test_streamers_of_one_model_in_threads_of_their_own():
    model = SequenceClassifier(LipschitzRNN(P, 16), 3).eval()
    input = torch.randn(4, 300, P)
    expected = [pushed(Streamer(model), x) for x in input]
    found = [None] * 4

    def work(k):
        found[k] = pushed(Streamer(model), input[k])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        assert torch.equal(found[k], expected[k])
