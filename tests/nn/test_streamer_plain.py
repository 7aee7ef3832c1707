"""The short way of the commonest pushes: taken where it can be, equal to the general one."""

import pytest
import torch
from matching import assert_matches
from nn.streamed import P, build, layer, observations, offline

from lipschitz_rnn import Streamer

T = 6
DOUBLE = {"dtype": torch.float64}
X = torch.ones(P, **DOUBLE)


class GeneralWay(Exception):
    """It was taken."""


def refuse(monkeypatch, streamer):
    def advance(*_):
        raise GeneralWay

    monkeypatch.setattr(streamer._engine, "_advance", advance)


@pytest.mark.parametrize("batch", [(), (1,), (4,)], ids=str)
@pytest.mark.parametrize("name", ["LipschitzRNN", "classifier", "LEM cells", "unit residual"])
def test_it_is_taken_and_right(monkeypatch, name, batch):
    model = build(name)
    input = observations(model, T, *batch)
    dt = torch.linspace(0.0, 2.0, T, **DOUBLE)
    rows = input if batch else input.unsqueeze(1)
    expected = offline(model, rows, dt=dt.unsqueeze(1).expand(rows.shape[:2]))
    streamer = Streamer(model)
    streamer.push(input[0], dt=0.0)  # which only the general way knows to begin
    refuse(monkeypatch, streamer)
    for t in range(1, T):
        answer = streamer.push(input[t], dt=dt[t].item())
        assert_matches("answer", answer if batch else answer[None], expected[t], steps=T)


@pytest.mark.parametrize("batch", [(), (1,)], ids=str)
def test_time_stamps_take_it_too(monkeypatch, batch):
    """Bit for bit what the general way says, and leaves behind."""
    model = build("classifier")
    input, time = (
        observations(model, T, *batch),
        (1.7e9 + torch.rand(T, **DOUBLE).cumsum(0)).tolist(),
    )
    general, plain = (Streamer(model, time_unit=0.3) for _ in range(2))
    expected = [
        general.push(x, time=torch.tensor(t, **DOUBLE)) for x, t in zip(input, time, strict=True)
    ]
    assert torch.equal(plain.push(input[0], time=time[0]), expected[0])
    with monkeypatch.context() as patch:
        refuse(patch, plain)
        for t in range(1, T):
            assert torch.equal(plain.push(input[t], time=time[t]), expected[t])
    one, other = general.state_dict()["tensors"], plain.state_dict()["tensors"]
    assert all(torch.equal(one[name], other[name]) for name in one)


NAN, INF = float("nan"), float("inf")
PLAIN = [
    ({}, {}, True),
    ({}, {"dt": 0.5}, True),
    ({}, {"dt": torch.ones((), **DOUBLE)}, False),
    ({}, {"mask": True}, False),
    ({"input": [1.0, 2.0, 3.0]}, {}, False),
    ({"input": X * NAN}, {}, False),
    ({"input": X * torch.tensor([INF, -INF, 0])}, {}, False),
    ({"input": X.expand(1, P)}, {}, False),
    ({}, {"stream": "a"}, False),
    ({}, {"time": 2.0}, True),
    ({}, {"time": 2}, False),
]


@pytest.mark.parametrize(("how", "options", "plain"), PLAIN)
def test_which_pushes_take_it(monkeypatch, how, options, plain):
    streamer = Streamer(layer(), time_unit=1.0 if "time" in options else None)
    streamer.push(X, **({"time": 1.0} if "time" in options else {}))
    refuse(monkeypatch, streamer)
    try:
        streamer.push(how.get("input", X), **options)
    except (GeneralWay, ValueError):
        assert not plain
    else:
        assert plain


@pytest.mark.parametrize("dt", [-1.0, NAN, INF])
def test_times_that_may_not_be_are_told_by_the_general_way(dt):
    streamer = Streamer(layer())
    streamer.push(X)
    with pytest.raises(ValueError, match=r"Streamer.push: expected a finite `dt` >= 0"):
        streamer.push(X, dt=dt)
    timed = Streamer(layer(), time_unit=1.0)
    timed.push(X, time=0.0)
    with pytest.raises(ValueError, match=r"Streamer.push: expected a"):
        timed.push(X, time=dt)


def test_models_of_other_kinds_do_not_take_it(monkeypatch):
    """Training mode, an encoder, torch's own layers, symbols."""
    models = [layer().train()]
    models += [build(n) for n in ("regressor with an encoder", "torch's LSTM", "language model")]
    for model in models:
        streamer, input = Streamer(model), observations(model, 2)
        streamer.push(input[0])
        refuse(monkeypatch, streamer)
        with pytest.raises(GeneralWay):
            streamer.push(input[1])
