"""Streams equal whole sequences: every kind of model, one by one and in chunks of any size."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matching import assert_matches
from nn.streamed import (
    MODELS,
    TIMED,
    P,
    build,
    is_text,
    layer,
    observations,
    offline,
    pushed,
    swap,
    with_head,
)
from torch import nn

from lipschitz_rnn import LipschitzRNN, SequenceClassifier, Streamer, use_backend
from lipschitz_rnn.nn import NoisyLipschitzRNNCell, RecurrentLayer, SequenceRegressor

T, B = 12, 4


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_one_by_one(name, batch_first):
    model = build(name, batch_first)
    input = observations(model, T, B)
    expected = offline(model, input)
    assert_matches("batch", pushed(Streamer(model), input), expected, steps=T)
    assert_matches("alone", pushed(Streamer(model), input[:, 1]), expected[:, 1], steps=T)


@pytest.mark.parametrize("name", TIMED)
def test_one_by_one_with_times(name):
    model = build(name)
    input, dt = observations(model, T, B), 2 * torch.rand(T, B, dtype=torch.float64)
    expected = offline(model, input, dt=dt)
    assert_matches("batch", pushed(Streamer(model), input, dt=dt), expected, steps=T)
    alone = pushed(Streamer(model), input[:, 1], dt=dt[:, 1].tolist())
    assert_matches("alone", alone, expected[:, 1], steps=T)


def in_chunks(model, sizes, input, dt):
    """Pushed in chunks, those of one observation by ``push`` or as chunks of one."""
    streamer, start, answers = Streamer(model), 0, []
    for size, single in sizes:
        part, times = input[start : start + size], None if dt is None else dt[start : start + size]
        if single and size == 1:
            times = None if times is None else times[0]
            answers.append(streamer.push(part[0], dt=times).unsqueeze(0))
        else:
            found = streamer.push_chunk(swap(model, part), dt=swap(model, times))
            answers.append(swap(model, found))
        start += size
    return torch.cat(answers)


SIZES = st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=6)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=8, deadline=None)
@given(sizes=SIZES, batch_first=st.booleans(), timed=st.booleans(), seed=st.integers(0, 99))
def test_any_partition(name, sizes, batch_first, timed, seed):
    torch.manual_seed(seed)
    model, steps = build(name, batch_first), sum(size for size, _ in sizes)
    input = observations(model, steps, B)
    dt = torch.rand(steps, B, dtype=torch.float64) if timed and name in TIMED else None
    expected = offline(model, input, **({} if dt is None else {"dt": dt}))
    assert_matches("answers", in_chunks(model, sizes, input, dt), expected, steps=steps)


@pytest.mark.parametrize("name", MODELS)
def test_only_the_last_answer(name):
    model = build(name, batch_first=True)
    input, streamer = observations(model, T, B), Streamer(model)
    last = streamer.push_chunk(swap(model, input), every_step=False)
    assert_matches("batch", last, offline(model, input)[-1], steps=T)
    assert torch.equal(streamer.answer(), last)
    assert last.shape == (B, *last.shape[1:])
    alone = Streamer(model).push_chunk(input[:, 1], every_step=False)
    assert_matches("alone", alone, last[1], steps=T)


def test_a_chunk_without_a_batch():
    model = with_head()(batch_first=True)
    input, dt = observations(model, T), torch.rand(T, dtype=torch.float64)
    expected = offline(model, input.unsqueeze(1), dt=dt.unsqueeze(1))[:, 0]
    assert_matches("answers", Streamer(model).push_chunk(input, dt=dt), expected, steps=T)


def test_times_shared_by_a_batch():
    model = layer(batch_first=True)
    input, dt = observations(model, T, B), torch.rand(T, dtype=torch.float64)
    expected = offline(model, input, dt=dt.unsqueeze(1).expand(T, B))
    found = Streamer(model).push_chunk(swap(model, input), dt=dt)
    assert_matches("a chunk", swap(model, found), expected, steps=T)
    found = Streamer(model).push_chunk(swap(model, input), dt=0.5)
    expected = offline(model, input, dt=torch.full((T, B), 0.5))
    assert_matches("a number", swap(model, found), expected, steps=T)
    assert_matches("steps", pushed(Streamer(model), input, dt=[0.5] * T), expected, steps=T)


@pytest.mark.parametrize("make", [list, lambda x: x.tolist(), lambda x: x.numpy()])
def test_numbers_become_tensors_of_the_model(make):
    model = SequenceClassifier(LipschitzRNN(P, 8), 2)
    input = torch.randn(P)
    expected = Streamer(model).push(input)
    assert torch.equal(Streamer(model).push(make(input)), expected)
    assert expected.dtype == torch.float32


def test_training_mode_changes_nothing():
    """Neither dropout nor noise, and the modes of the model's parts are as before."""
    for name in ("classifier at every step", "noisy cells"):
        model = build(name)
        input = observations(model, T, B)
        expected = offline(model, input)
        model.train()
        model.head = getattr(model, "head", nn.Identity()).eval()
        modes = [module.training for module in model.modules()]
        assert_matches(name, pushed(Streamer(model), input), expected, steps=T)
        assert [module.training for module in model.modules()] == modes
        with pytest.raises(ValueError, match="`input` of shape"):
            Streamer(model).push(input)
        assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("part", ["rnn", "head.1", "rnn.cells.0"])
def test_a_part_in_training_mode_changes_nothing(part):
    """Dropout or noise of that part alone, by the short way of a push too."""
    rnn = LipschitzRNN(P, 8, 2, dropout=0.5)
    if "cells" in part:
        rnn = RecurrentLayer([NoisyLipschitzRNNCell(P, 8, additive_noise=1.0)])
    model = SequenceRegressor(rnn, 2)
    model.head = nn.Sequential(model.head, nn.Dropout(0.5))
    input = torch.randn(T, P)
    expected = pushed(Streamer(model.eval()), input)
    model.get_submodule(part).train()
    assert torch.equal(pushed(Streamer(model), input), expected)
    assert_matches("chunk", Streamer(model).push_chunk(input), expected, steps=T)
    assert model.get_submodule(part).training


def test_answers_have_no_gradient():
    model = layer()
    answers = pushed(Streamer(model), observations(model, 3).requires_grad_())
    assert not answers.requires_grad


@pytest.mark.parametrize("name", ["LipschitzRNN", "classifier", "LSTM cells"])
def test_changed_weights_are_seen(name):
    model = build(name)
    input, streamer = observations(model, 6), Streamer(model)
    before = pushed(streamer, input[:3])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    fresh = Streamer(model)
    fresh.load_state_dict(streamer.state_dict())
    with use_backend("reference"):  # which keeps no weights
        expected = pushed(fresh, input[3:])
    assert_matches("answers", pushed(streamer, input[3:]), expected, steps=3)
    assert not torch.equal(before[-1], expected[0])


def test_what_is_pushed_and_answered_is_the_callers():
    """Writing over an input or an answer changes no stream."""
    model = layer(missing="hold")
    input, streamer = observations(model, 6, B), Streamer(model)
    expected = offline(model, input)
    for t, x in enumerate(input):
        held = x.clone()
        answer = streamer.push(held) if t % 2 else streamer.push_chunk(held.unsqueeze(0))[0]
        assert_matches("answer", answer, expected[t], steps=6)
        held.fill_(9.0)
        answer.fill_(9.0)
        streamer.answer().fill_(9.0)
    streamer.push_chunk(x.unsqueeze(0), every_step=False).fill_(9.0)
    input = torch.cat((input, x[None]))
    gap = torch.full_like(x, float("nan"))
    assert_matches("held", streamer.push(gap), offline(model, torch.cat((input, x[None])))[-1])


def test_inference_mode_of_the_caller():
    """A state that was made in inference mode may be gone on from outside, and back."""
    model = SequenceClassifier(LipschitzRNN(P, 8), 2).eval()
    input = torch.randn(6, P)
    expected = pushed(Streamer(model), input)
    for stream in (None, "a"):
        streamer, found = Streamer(model), []
        for t, x in enumerate(input):
            with torch.inference_mode(t % 2 == 0):
                found.append(streamer.push(x, stream=stream))
        assert_matches("answers", torch.stack(found), expected, steps=6)


def test_half_precision_keeps_the_state_in_single_precision():
    model = LipschitzRNN(P, 8, step_size=0.01, dtype=torch.bfloat16)
    input = torch.randn(300, 2, P, dtype=torch.bfloat16)
    whole = model(input)[0][-1].float()
    for streamer in (Streamer(model), Streamer(model)):
        answers = streamer.push_chunk(input[:200])
        last = pushed(streamer, input[200:])[-1]
        assert answers.dtype == last.dtype == streamer.answer().dtype == torch.bfloat16
        # equal up to the float32 rounding of the sum, hence at most one unit of bfloat16 after it
        assert (last.float() - whole).abs().max() <= 2**-8 * whole.abs().max()


def test_a_users_cell_with_a_state_of_its_own():
    """The initial state is the cell's, which only the cell knows: here it is learned."""

    class Counter(nn.Module):
        input_size = hidden_size = P

        def __init__(self):
            super().__init__()
            self.start = nn.Parameter(torch.arange(P, dtype=torch.float64))

        def forward(self, input, state=None):
            state = self.start.expand(len(input), P) if state is None else state
            return state + input

    model = RecurrentLayer(Counter())
    input = torch.randn(T, 2, P, dtype=torch.float64)
    expected = torch.arange(P) + input.cumsum(0)
    assert_matches("own", pushed(Streamer(model), input), expected, steps=T)
    streamer = Streamer(model)
    streamer.push(input[0, 0], stream="a")
    found = streamer.push(torch.stack((input[0, 1], input[1, 0])), stream=["b", "a"])
    assert_matches("new beside old", found, torch.stack((expected[0, 1], expected[1, 0])))


class Sums(nn.Module):
    """Somebody's layer with the contract of ``nn.RNN``, whose state is a part of its output."""

    input_size, hidden_size, bidirectional, batch_first = P, P, False, False

    def forward(self, input, hx=None):
        output = input.cumsum(0) + (0 if hx is None else hx)
        return output, output[-1:]


def test_a_state_does_not_keep_a_whole_chunk():
    """Neither in memory nor in what is done to it."""
    model = SequenceRegressor(Sums(), 1).double()
    streamer, input = Streamer(model), torch.randn(1000, 2, P, dtype=torch.float64)
    streamer.push_chunk(input)
    tensors = [x for x, _ in streamer._engine.own[0].tensors]
    assert all(x.untyped_storage().nbytes() == x.numel() * x.element_size() for x in tensors)
    expected = offline(model, torch.cat((input, input[:1])))[-1]
    assert_matches("answer", streamer.push(input[0]), expected, steps=1000)


MILLION = """
import resource, torch
from lipschitz_rnn import LipschitzRNN, Streamer
streamer, input = Streamer(LipschitzRNN(1, 64)), torch.ones(1_000_000, 1)
streamer.push_chunk(input[:1000], every_step=False)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
streamer.push_chunk(input, every_step=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.native
def test_a_million_steps_in_little_memory():
    """All states would be 256 MB; the input is 4 MB."""
    done = subprocess.run([sys.executable, "-c", MILLION], capture_output=True, check=True)
    assert int(done.stdout) * 1024 < 32e6


def test_text_stays_text():
    model = build("language model")
    assert is_text(model)
    assert torch.equal(Streamer(model).push(3), Streamer(model).push(torch.tensor(3)))
    for symbols in ([[-1]], [[7]]):
        with pytest.raises(ValueError, match="symbols from 0 to 6"):
            Streamer(model).push_chunk(symbols)
    with pytest.raises(TypeError, match="symbols in int64"):
        Streamer(model).push(torch.tensor(1.0))
