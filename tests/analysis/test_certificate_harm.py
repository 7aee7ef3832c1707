"""Files that are harmed or foreign: one line, and never a yes."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from certificate_content import put, sign_again
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis import certificate_file, certify
from lipschitz_rnn.analysis.certificate_file import (
    load_certificate,
    save_certificate,
    verify_certificate,
)
from lipschitz_rnn.ops import Nonlinearity

SHARED = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def refuses(path, expected=""):
    """One line that names the file, from both calls."""
    for call in (load_certificate, verify_certificate):
        with pytest.raises(InputError, match=expected) as caught:
            call(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert message.isprintable()
        assert len(message) < 600


def set_at(content, keys, value):
    for key in keys[:-1]:
        content = content[key]
    content[keys[-1]] = value


HARM = [
    (["version"], 2, "version: expected 1, got 2"),
    (["format"], "other", "expected a certificate of lipschitz-rnn"),
    (["extra"], 1, "expected the keys .* got 'also extra'"),
    (["library"], 3, "library: expected a line"),
    (["weights_sha256"], "ab", "expected 64 hexadecimal digits"),
    (["weights_sha256"], "A" * 64, "expected 64 hexadecimal digits"),
    (["units_sha256"], None, "units_sha256: expected 64 hexadecimal digits"),
    (["units"], [], "expected at least one"),
    (["units"], [1], r"units\[0\]: expected an object, got 1"),
    (["units"], {}, "expected a list"),
    (["units"], [{}] * 65, "expected a list of at most 64"),
    (["units", 0, "name"], "a\x1b[2J", "printable"),
    (["units", 0, "name"], ["l0"], "printable characters, got list"),
    (["units", 0, "reason"], "x" * 4001, "at most 4000"),
    (["units", 0, "holds"], 1, "holds: expected true or false, got 1"),
    (["units", 0, "strength"], "great", "expected one of none, construction, norm"),
    (["units", 0, "growth"], "-1", "growth: expected a finite number"),
    (["units", 0, "growth"], None, "growth: expected a number below 0 where it holds"),
    (["units", 0, "growth"], 5.0, "growth: expected a number below 0 where it holds"),
    (["units", 0, "growth"], -(10**400), "growth: expected a finite number"),
    (["units", 0, "growth"], True, "growth: expected a finite number"),
    (["units", 0, "rate"], None, "rate: expected .* which follows"),
    (["units", 0, "contraction"], 0.5, "contraction: expected .* which follows"),
    (["units", 0, "seconds"], -1, "seconds: expected a finite number of at least 0"),
    (["units", 0, "step_size"], -0.1, "step_size: expected a finite number of at least 0"),
    (["units", 0, "substeps"], 0, "substeps: expected an integer from 1"),
    (["units", 0, "substeps"], 1.0, "substeps: expected an integer from 1"),
    (["units", 0, "substeps"], 10**9, "substeps: expected an integer from 1"),
    (["units", 0, "max_dt"], 0, "max_dt: expected a number above 0"),
    (["units", 0, "sha256"], None, "expected 64 hexadecimal digits"),
    (["units", 0, "metric"], None, "expected a list of 0"),
    (["units", 0, "multipliers"], [], "expected a list of 2"),
    (["units", 0, "multipliers", 1], {"dtype": "float64"}, "expected the keys"),
    (["units", 0, "multipliers", 0, "shape"], [2], r"shape: expected \(3,\), got '\(2,\)'"),
    (["units", 0, "metric", "dtype"], "float32", "dtype: expected float64"),
    (["units", 0, "metric", "shape"], [9], r"expected \(3,\) or \(3, 3\)"),
    (["units", 0, "a", "dtype"], "object", "dtype: expected float32 or float64"),
    (["units", 0, "a", "dtype"], ["float32"], "dtype: expected float32 or float64"),
    (["units", 0, "a", "shape"], [2, 2], r"expected \(3, 3\), got '\(2, 2\)'"),
    (["units", 0, "w", "shape"], [3, 2], r"expected \(N, N\)"),
    (["units", 0, "w", "shape"], [-3, -3], "expected an integer from 1"),
    (["units", 0, "w", "shape"], [0, 0], "expected an integer from 1"),
    (["units", 0, "w", "shape"], [10**9, 10**9], "expected an integer from 1 to 4096"),
    (["units", 0, "w", "shape"], [4096, 4096], "67108864 bytes in base64"),
    (["units", 0, "w", "shape"], [3], r"expected \(N, N\)"),
    (["units", 0, "w", "data"], "A" * 47 + "=", "36 bytes in base64"),
    (["units", 0, "w", "data"], "!" * 48, "36 bytes in base64"),
    (["units", 0, "w", "data"], "é" * 48, "36 bytes in base64"),
    (["units", 0, "w", "data"], "A" * 52, "36 bytes in base64"),
    (["units", 0, "w", "data"], None, "36 bytes in base64"),
    (["units", 0, "method", "b"], [1.0], "coefficients that fit together"),
    (["units", 0, "method", "b"], [0.5, 0.5], "the coefficients of midpoint"),
    (["units", 0, "method", "a_lower"], [[[1]]], "expected a finite number, got list"),
    (["units", 0, "method", "a_lower"], 0.5, "expected a list"),
    (["units", 0, "method", "order"], "2", "order: expected an integer"),
    (["units", 0, "nonlinearity", "slope_max"], 0.5, "expected the slopes of tanh"),
    (["units", 0, "nonlinearity", "slope_max"], -1, "slope_max: expected a finite number of at"),
    (["units", 0, "nonlinearity"], "tanh", "expected an object"),
]


@pytest.mark.parametrize(("keys", "value", "expected"), HARM, ids=str)
def test_fields_that_do_not_fit(content, write, keys, value, expected):
    set_at(content, keys, value)
    refuses(write(content), expected)


def test_numbers_that_are_not_finite(content, write):
    for name in ("metric", "a", "w"):
        changed = copy.deepcopy(content)
        entry = changed["units"][0][name]
        put(entry, np.full(entry["shape"], math.nan))
        if name == "metric":
            found = verify_certificate(write(changed))
            assert not found.holds
        else:
            refuses(write(changed), "finite matrices and a step size where it holds")


@pytest.mark.parametrize("value", [1.7e308, 1e200, 1e-300, 5e-324, 0.0, -1.0])
@pytest.mark.parametrize("name", ["a", "w", "metric", "multipliers"])
def test_extreme_numbers_are_not_proved(content, write, name, value):
    unit = content["units"][0]
    for entry in unit[name] if name == "multipliers" else [unit[name]]:
        entry["dtype"] = "float64"
        array = np.full(entry["shape"], value)
        put(entry, array)
    sign_again(content)
    found = verify_certificate(write(content))
    assert not found.holds or (name == "w" and abs(value) < 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "expected a certificate in JSON"),
        (b"\xff\xfe\x00", "expected a certificate in JSON"),
        (b"\x00" * 100, "expected a certificate in JSON"),
        (b"[" * 100_000, "too deep a nesting"),
        (b'{"units":' * 100_000, "too deep a nesting"),
        (b"1e999", "expected a certificate of lipschitz-rnn, got inf"),
        (b"NaN", "the number NaN"),
        (b'{"format": -Infinity}', "the number -Infinity"),
        (b"9" * 5000, "expected a certificate in JSON"),
        (b'{"format": 1, "format": 1}', "a key that appears twice"),
        (b"null", "expected a certificate of lipschitz-rnn"),
        (b"[]", "expected a certificate of lipschitz-rnn"),
        (b'"' + b"x" * 10_000 + b'"', "expected a certificate of lipschitz-rnn"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_text_that_is_no_certificate(write, text, expected):
    refuses(write(text), expected)


def test_numbers_beyond_floats_in_their_place(content, write):
    for number in ("1e999", "-1e999", "NaN"):
        text = json.dumps(content).replace('"step_size": 0.1', f'"step_size": {number}')
        refuses(write(text), "step_size: expected a finite|the number NaN")


def test_a_file_that_is_too_large_is_not_read(monkeypatch, saved):
    size = saved[2].stat().st_size
    monkeypatch.setattr(certificate_file, "MAX_BYTES", size)
    assert verify_certificate(saved[2]).holds
    monkeypatch.setattr(certificate_file, "MAX_BYTES", size - 1)
    refuses(saved[2], "expected a file of at most")
    with pytest.raises(ValueError, match="save_certificate: expected a certificate that fits"):
        save_certificate(saved[1], saved[2].with_name("large.json"), model=saved[0])


def test_a_device_without_end_is_not_read(monkeypatch):
    monkeypatch.setattr(certificate_file, "MAX_BYTES", 1000)
    refuses("/dev/zero", "expected a file of at most 1,000 bytes")


def test_an_inequality_that_is_too_large_is_not_certified(monkeypatch, saved):
    monkeypatch.setattr(certificate_file, "MAX_ORDER", 8)
    found = verify_certificate(saved[2])
    assert not found.holds
    assert "order 9, and up to 8" in found.reason


def test_what_could_not_be_read_is_not_written(tmp_path):
    false = Nonlinearity("tanh", torch.tanh, 0.0, 0.5)
    certificate = certify(-torch.eye(2), torch.eye(2), nonlinearity=false)
    with pytest.raises(ValueError, match="expected the slopes of tanh"):
        save_certificate(certificate, tmp_path / "c.json")
    assert not list(tmp_path.iterdir())


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        verify_certificate(tmp_path / "absent.json")


def judge(path, saved):
    """Any file at all: a line, or an answer; and a yes is about the same matrices."""
    try:
        found = verify_certificate(path)
        loaded = load_certificate(path)
    except InputError as error:
        message = str(error)
    else:
        message = found.reason
        for before, after in zip(saved[1].units, loaded.units, strict=True):
            for name in ("a", "w", "step_size", "tableau"):
                assert np.array_equal(getattr(before.system, name), getattr(after.system, name))
    assert message.isprintable()


@given(data=st.data())
@SHARED
def test_flipped_bytes(saved, write, data):
    text = bytearray(saved[2].read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    judge(write(bytes(text)), saved)


@given(data=st.data())
@SHARED
def test_cut_files(saved, write, data):
    text = saved[2].read_bytes()
    end = data.draw(st.integers(0, len(text) - 3))
    refuses(write(text[:end]), "expected")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(data=st.data(), value=plain)
@SHARED
def test_any_value_in_any_field(saved, write, data, value):
    content = json.loads(saved[2].read_text())
    here = content
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(here[key], (dict, list)) or not here[key] or data.draw(st.booleans()):
            here[key] = value
            break
        here = here[key]
    judge(write(content), saved)
