import gzip
import hashlib
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import shakespeare
from lipschitz_rnn.data.shakespeare import load_shakespeare, read_shakespeare

PACKED = files("lipschitz_rnn.data").joinpath("shakespeare.txt.gz").read_bytes()


def test_the_text_is_the_known_one() -> None:
    text = read_shakespeare()
    assert len(text) == 1_115_394
    assert len(set(text)) == 65
    assert text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.\n")
    digest = hashlib.sha256(text.encode("ascii")).hexdigest()
    assert digest == "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def test_the_packed_file_has_neither_name_nor_time() -> None:
    assert PACKED[3] == 0  # flags: no name
    assert PACKED[4:8] == bytes(4)  # time


def test_the_parts_follow_each_other_and_make_up_the_text() -> None:
    split = load_shakespeare(steps=100)
    text = read_shakespeare()
    symbols = sorted(set(text))
    parts = [split.train, split.validation, split.test]
    assert [len(part.symbols) for part in parts] == [1_003_854, 55_769, 55_771]
    numbers = [number for part in parts for number in part.symbols.tolist()]
    assert "".join(symbols[number] for number in numbers) == text
    assert (split.name, split.kind, split.output_size) == ("shakespeare", "characters", 65)
    assert all(part.steps == 100 for part in parts)
    assert 0 < split.trivial["unigram"] < split.trivial["uniform"]


def test_wrong_steps_are_refused() -> None:
    with pytest.raises(InputError, match=r"^shakespeare: expected `steps` .* got 0"):
        load_shakespeare(steps=0)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_refused(data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray(PACKED)
    if data.draw(st.booleans(), "truncate"):
        del content[data.draw(st.integers(0, len(content) - 1), "length") :]
    else:
        content[data.draw(st.integers(0, len(content) - 1), "place")] ^= data.draw(
            st.integers(1, 255), "flip"
        )
    (tmp_path / "shakespeare.txt.gz").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shakespeare, "files", lambda _package: tmp_path)
        message, text = "", ""
        try:
            text = read_shakespeare()
        except InputError as error:
            message = str(error)
    assert "\n" not in message
    if not message:  # name and time in gzip's header may change
        assert text.encode() == gzip.decompress(PACKED)


def test_another_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shakespeare.txt.gz").write_bytes(gzip.compress(b"To be"))
    monkeypatch.setattr(shakespeare, "files", lambda _package: tmp_path)
    with pytest.raises(InputError, match=r"shakespeare.txt.gz: expected SHA-256 .* \(5 bytes"):
        read_shakespeare()
