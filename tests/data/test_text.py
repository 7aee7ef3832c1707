import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.text import (
    Vocabulary,
    decode_text,
    require_steps,
    text_split,
    unigram_loss,
)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"ab\xffcd", "got byte 0xff at position 2 (invalid start byte)"),
        (b"caf\xe9", "got byte 0xe9 at position 3 (unexpected end of data)"),
        (b"\xed\xa0\x80", "got byte 0xed at position 0"),
    ],
)
def test_bytes_that_are_no_text_are_refused_with_their_place(content: bytes, text: str) -> None:
    with pytest.raises(InputError, match=f"^file: expected UTF-8 text, {re.escape(text)}"):
        decode_text(content, where="file")


@given(st.binary(max_size=64))
def test_any_bytes_are_decoded_or_refused(content: bytes) -> None:
    message, text = "", ""
    try:
        text = decode_text(content, where="file")
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    if message:
        with pytest.raises(UnicodeDecodeError):
            content.decode()
    else:
        assert text.encode() == content


@given(st.text(min_size=1))
def test_numbers_and_symbols_are_each_others_inverse(text: str) -> None:
    vocabulary = Vocabulary.of(text)
    numbers = vocabulary.encode(text, where="text")
    assert "".join(vocabulary.decode(numbers)) == text
    assert set(numbers.tolist()) == set(range(len(vocabulary)))
    assert list(vocabulary.symbols) == sorted(set(text))


@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        (1, torch.uint8),
        (256, torch.uint8),
        (257, torch.int16),
        (2**15, torch.int16),
        (2**15 + 1, torch.int32),
    ],
)
def test_numbers_are_as_small_as_they_can_be(size: int, dtype: torch.dtype) -> None:
    words = [str(number).zfill(5) for number in range(size)]
    numbers = Vocabulary(tuple(words)).encode(words, where="text")
    assert numbers.dtype == dtype
    assert numbers.tolist() == list(range(size))


def test_unseen_symbols_are_named() -> None:
    expected = (
        r"^valid: expected only symbols of the training text, 3 of them, got 'd' at position 2"
    )
    with pytest.raises(InputError, match=expected):
        Vocabulary.of("abc").encode("abdcd", where="valid")
    with pytest.raises(InputError, match=r"got 'black' at position 0"):
        Vocabulary.of(["monday"]).encode(["black", "monday"], where="valid")


@pytest.mark.parametrize("symbols", [(), ("a", "a")])
def test_a_vocabulary_has_each_symbol_once(symbols: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="at least one symbol and each once"):
        Vocabulary(symbols)


@given(st.lists(st.integers(0, 4)), st.lists(st.integers(0, 4), min_size=2))
def test_unigram_loss_equals_a_plain_loop(train: list[int], test: list[int]) -> None:
    losses = [-math.log((train.count(s) + 1) / (len(train) + 5)) for s in test[1:]]
    got = unigram_loss(
        torch.tensor(train, dtype=torch.uint8), torch.tensor(test, dtype=torch.uint8), 5
    )
    assert got == pytest.approx(sum(losses) / len(losses), rel=1e-12)


def test_unigram_loss_of_nothing_seen_is_that_of_no_knowledge() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    assert unigram_loss(nothing, torch.arange(7), 7) == pytest.approx(math.log(7), rel=1e-12)


@pytest.mark.parametrize("steps", [0, -1, True, 1.5, "5", None])
def test_steps_are_a_positive_integer(steps: object) -> None:
    with pytest.raises(InputError, match=r"^text: expected `steps` to be an integer >= 1, got"):
        require_steps("text", steps)


def test_a_split_is_numbered_by_the_training_text() -> None:
    words = {"source": "made", "digest": "0", "notes": {}, "kind": "characters"}
    split = text_split("made", ("hello world", "hold", "well"), steps=3, **words)
    symbols = sorted(set("hello world"))
    assert split.output_size == split.train.vocabulary == 8
    assert [symbols[n] for n in split.validation.symbols] == list("hold")
    assert split.trivial["uniform"] == pytest.approx(math.log(8))
    losses = [-math.log(("hello world".count(s) + 1) / (11 + 8)) for s in "ell"]
    assert split.trivial["unigram"] == pytest.approx(sum(losses) / 3)
    with pytest.raises(InputError, match=r"made, test text: .* got 't' at position 0"):
        text_split("made", ("hello world", "hold", "two"), steps=3, **words)
