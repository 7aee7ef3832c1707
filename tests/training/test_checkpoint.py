import os
import pickle

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lipschitz_rnn._base import tensor_file
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.training import load_checkpoint, save_checkpoint

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "empty": torch.zeros(0),
    "scalar": torch.tensor(3, dtype=torch.int64),
    "transposed": torch.arange(6.0, dtype=torch.float64).reshape(2, 3).T,
}
META = {"kind": "last", "x": 0.1, "quoted": '"sha256":"' + "0" * 64 + '"', "list": [1, None, True]}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, TENSORS, META)
    return path


def test_round_trip_is_exact(saved):
    tensors, meta = load_checkpoint(saved)
    assert meta == META
    assert set(tensors) == set(TENSORS)
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype
        assert torch.equal(tensors[name], value)


def test_other_readers_of_safetensors_can_read_it(saved):
    tensors = safetensors.torch.load_file(saved)
    assert torch.equal(tensors["a"], TENSORS["a"])


def test_tied_tensors_are_kept(tmp_path):
    both = {"a": TENSORS["a"], "b": TENSORS["a"]}
    save_checkpoint(tmp_path / "c", both, {})
    assert torch.equal(load_checkpoint(tmp_path / "c")[0]["b"], TENSORS["a"])


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_changed_byte_is_noticed(saved, data):
    good = saved.read_bytes()
    position = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != good[position]))
    damaged = saved.with_name("damaged")
    damaged.write_bytes(good[:position] + bytes([other]) + good[position + 1 :])
    with pytest.raises(InputError, match=r"expected .*, got|digest|format") as caught:
        load_checkpoint(damaged)
    assert "\n" not in str(caught.value)


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_truncation_is_noticed(saved, data):
    good = saved.read_bytes()
    damaged = saved.with_name("damaged")
    damaged.write_bytes(good[: data.draw(st.integers(0, len(good) - 1))])
    with pytest.raises(InputError, match=r"truncated|damaged"):
        load_checkpoint(damaged)


def test_appended_bytes_are_noticed(saved):
    saved.write_bytes(saved.read_bytes() + b"\0")
    with pytest.raises(InputError, match="damaged"):
        load_checkpoint(saved)


class Bomb:
    def __reduce__(self):
        return os._exit, (1,)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 8,
        b"\xff" * 64,
        pickle.dumps(Bomb()),
        safetensors.torch.save({"a": torch.zeros(2)}),
        safetensors.torch.save({"a": torch.zeros(2)}, {"format": "pt"}),
        (2).to_bytes(8, "little") + b"[]",
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
    ],
    ids=["empty", "zeros", "ones", "pickle", "foreign", "foreign pt", "list", "deep"],
)
def test_foreign_files_are_refused(tmp_path, content):
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="truncated or foreign"):
        load_checkpoint(path)


def test_a_pickle_inside_torch_save_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "c.safetensors")
    with pytest.raises(InputError, match="foreign"):
        load_checkpoint(tmp_path / "c.safetensors")


def test_another_format_version_is_named(saved, monkeypatch):
    monkeypatch.setattr(tensor_file, "_VERSION", "0")
    with pytest.raises(InputError, match="format 0, got '1'"):
        load_checkpoint(saved)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(saved, monkeypatch, failing):
    def fail(*_):
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(saved, {"a": torch.ones(3)}, {})
    assert saved.read_bytes() == before


def test_the_new_content_is_on_disk_before_it_has_the_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, n=name, r=real: (calls.append(n), r(*a))[1])
    save_checkpoint(tmp_path / "c", {}, {})
    assert calls == ["fsync", "replace", "fsync"]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_numbers_that_json_cannot_hold_are_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(tmp_path / "c", {}, {"x": float("nan")})
