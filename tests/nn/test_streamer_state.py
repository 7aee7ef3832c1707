"""Where streams are, kept and put back: bit for bit, and never into another model."""

import copy
import json

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nn.streamed import MODELS, TIMED, P, build, layer, observations

from lipschitz_rnn import LipschitzRNN, Streamer
from lipschitz_rnn._base.errors import InputError

T = 8
NAN = float("nan")


def make(model, timed):
    return Streamer(model, time_unit=0.5 if timed else None)


def push_all(streamer, input, start=0):
    """Observations (T, 4, ...): two without a name, two with; some values are missing."""
    answers = []
    for t, x in enumerate(input, start):
        if x.is_floating_point() and t % 3 == 1:
            x = torch.where(torch.arange(P) == 1, torch.full_like(x, NAN), x)
        when = {} if streamer.time_unit is None else {"time": 10 + t**2 / 7}
        answers.append(streamer.push(x[:2], **when))
        answers.append(streamer.push(x[2], stream="ä" if t % 2 else "a\n", **when))
    return answers


@pytest.mark.parametrize(
    ("name", "timed"), [(name, False) for name in MODELS] + [(name, True) for name in TIMED]
)
def test_goes_on_bit_for_bit(name, timed, tmp_path):
    model = build(name)
    input = observations(model, T, 4)
    whole = make(model, timed)
    push_all(whole, input[:5])
    whole.save(tmp_path / "state")
    expected = push_all(whole, input[5:], 5)
    other = make(copy.deepcopy(model), timed)
    push_all(other, input[:2])  # which the file replaces
    other.push(input[0, 0], stream="x", **({"time": 0} if timed else {}))
    other.load(tmp_path / "state")
    assert list(other.streams) == ["ä", "a\n"]
    found = push_all(other, input[5:], 5)
    assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(0, T), timed=st.booleans())
def test_at_any_point(cut, timed):
    """Also before the first push; and what was returned does not change any more."""
    model = layer(num_layers=2)
    input, whole = observations(model, T, 4), make(model, timed)
    push_all(whole, input[:cut])
    state = whole.state_dict()
    expected = push_all(whole, input[cut:], cut)
    for _ in range(2):
        again = make(model, timed)
        again.load_state_dict(state)
        found = push_all(again, input[cut:], cut)
        assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))


def filled(model=None, **options):
    streamer = Streamer(model or layer(), **options)
    input = torch.ones(2, P, dtype=torch.float64)
    when = {"time": 1.0} if options else {}
    streamer.push(input, **when)
    streamer.push(input, stream=["a", "b"], **when)
    return streamer


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def refused(streamer, call, message):
    before = streamer.state_dict()
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    after = streamer.state_dict()
    assert same(before.pop("tensors"), after.pop("tensors"))
    assert before == after


def test_other_models_are_refused(tmp_path):
    model = layer()
    filled(model).save(tmp_path / "state")
    trained = copy.deepcopy(model)
    torch.nn.init.ones_(trained.bias_l0)
    twin = layer(step_size=0.2)
    twin.load_state_dict(model.state_dict())
    others = [
        (filled(trained), "streams of the model's weights, got those of another"),
        (filled(layer(num_layers=2)), "streams of the model's weights"),
        (filled(twin), "streams of the model's layer, got those of another"),
        (filled(model, time_unit=1.0), "streams of time_unit 1.0, got those of another"),
    ]
    for streamer, message in others:
        refused(streamer, lambda s=streamer: s.load(tmp_path / "state"), message)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-3])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


HARM = {
    "truncated": (truncate, "damaged"),
    "half": (lambda path: path.write_bytes(path.read_bytes()[:40]), "truncated or foreign"),
    "one bit": (flip, "damaged"),
    "empty": (lambda path: path.write_bytes(b""), "truncated or foreign"),
    "text": (lambda path: path.write_text("hello, world"), "truncated or foreign"),
    "another's": (
        lambda path: path.write_bytes(safetensors.torch.save({"x": torch.ones(2)})),
        "truncated or foreign",
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_harmed_files_are_refused(harm, tmp_path):
    path, streamer = tmp_path / "state", filled()
    streamer.save(path)
    do, message = HARM[harm]
    do(path)
    refused(streamer, lambda: streamer.load(path), f"{path}: expected .*{message}")


def test_a_checkpoint_is_no_file_of_streams(tmp_path):
    from lipschitz_rnn.training import save_checkpoint

    save_checkpoint(tmp_path / "last", {"x": torch.ones(2)}, {"kind": "last"})
    streamer = filled()
    refused(streamer, lambda: streamer.load(tmp_path / "last"), "one of another kind")


def without(name):
    return lambda state: state["tensors"].pop(name)


def with_tensor(name, change):
    def harm(state):
        state["tensors"][name] = change(state["tensors"][name])

    return harm


WRONG = {
    "no names": lambda state: state.pop("names"),
    "no tensors": lambda state: state.pop("tensors"),
    "no state": without("own/state"),
    "no held": without("named/held"),
    "one more": lambda state: state["tensors"].update(more=torch.ones(1)),
    "a clock": lambda state: state["tensors"].update({"own/clock": torch.ones(2)}),
    "one name less": lambda state: state["names"].pop(),
    "a name twice": lambda state: state.update(names=["a", "a"]),
    "a number": lambda state: state.update(names=["a", 3]),
    "another dtype": with_tensor("own/state", torch.Tensor.float),
    "other rows": with_tensor("own/held", lambda x: x[:1]),
    "other features": with_tensor("own/held", lambda x: x[:, :1]),
    "another size": with_tensor("named/state", lambda x: x[..., :2]),
    "no tensor": with_tensor("named/state", lambda x: 3),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_states_that_do_not_fit(wrong):
    streamer = filled()
    state = streamer.state_dict()
    WRONG[wrong](state)
    refused(streamer, lambda: streamer.load_state_dict(state), "tensors that fit")
    refused(streamer, lambda: streamer.load_state_dict({}), "the state of a streamer")


def test_a_tuple_of_states_is_not_one_state():
    streamer = filled(build("LSTM cells"))
    state = streamer.state_dict()
    state["tensors"]["own/state"] = state["tensors"].pop("own/0")
    refused(streamer, lambda: streamer.load_state_dict(state), "tensors that fit")


def test_the_file_is_safetensors(tmp_path):
    path = tmp_path / "state"
    filled(time_unit=2.0).save(str(path))
    with safetensors.safe_open(path, "pt") as file:
        meta = json.loads(file.metadata()["meta"])
        names = set(file.keys())
    assert meta["kind"] == "streams"
    assert meta["state"]["names"] == ["a", "b"]
    assert names == {
        f"{group}/{part}" for group in ("own", "named") for part in ("state", "held", "clock")
    }
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path, streamer = tmp_path / "state", filled()
    streamer.save(path)
    before = path.read_bytes()
    streamer.push(torch.ones(P, dtype=torch.float64), stream="a")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        streamer.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_the_state_of_nothing():
    streamer, other = Streamer(LipschitzRNN(P, 4)), filled()
    assert streamer.state_dict()["tensors"] == {}
    refused(other, lambda: other.load_state_dict(streamer.state_dict()), "weights")
    again = filled(streamer.model.double())
    again.load_state_dict(Streamer(again.model).state_dict())
    assert not again.streams
    with pytest.raises(ValueError, match="expected a push before"):
        again.answer()
