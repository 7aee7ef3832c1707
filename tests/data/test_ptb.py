import gzip
import hashlib
import math
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import ptb
from lipschitz_rnn.data.files import DataFile, sha256
from lipschitz_rnn.data.ptb import load_ptb, read_characters, read_words
from lipschitz_rnn.data.sources import DataUnavailableError
from lipschitz_rnn.data.supplied import obtain_supplied

ROOT = Path(__file__).parents[2]
PUBLISHED_MD5 = {
    "ptb.train.txt": "f26c4b92c5fdc7b3f8c7cdcb991d8420",
    "ptb.valid.txt": "aa0affc06ff7c36e977d7cd49e3839bf",
    "ptb.test.txt": "8b80168b89c18661a38ef683c0dc3721",
}
MADE = {
    "ptb.train.txt": " the <unk> sat on the mat \n the end \n",
    "ptb.valid.txt": " the end sat \n",
    "ptb.test.txt": " mat on <unk> \n end \n",
}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a made text, and the loader told to expect it."""
    monkeypatch.delenv("LIPSCHITZ_RNN_DATA", raising=False)
    (tmp_path / "ptb").mkdir()
    files = []
    for name, text in MADE.items():
        (tmp_path / "ptb" / name).write_text(text)
        files.append(DataFile("ptb", name, len(text), sha256(text.encode())))
    monkeypatch.setattr(ptb, "PTB_FILES", tuple(files))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "characters", "words"),
    [
        ("", "", []),
        ("\n", "\n", ["<eos>"]),
        (" a  b \n", "a  b\n", ["a", "b", "<eos>"]),
        (" a \n\n b", "a\n\nb\n", ["a", "<eos>", "<eos>", "b", "<eos>"]),
        ("a\x0bb\n", "a\x0bb\n", ["a", "b", "<eos>"]),
    ],
)
def test_lines_end_in_a_symbol(text: str, characters: str, words: list[str]) -> None:
    assert read_characters(text) == characters
    assert read_words(text) == words


def test_characters(made: Path) -> None:
    split = load_ptb("char", steps=5, data_dir=made)
    text = "the <unk> sat on the mat\nthe end\n"
    symbols = sorted(set(text))
    assert [symbols[number] for number in split.train.symbols] == list(text)
    assert "".join(symbols[number] for number in split.test.symbols) == "mat on <unk>\nend\n"
    assert (split.name, split.kind, split.output_size) == ("ptb-char", "characters", len(symbols))
    assert split.train.steps == 5
    assert split.source == f"folder {made}"


def test_words(made: Path) -> None:
    split = load_ptb("word", steps=2, data_dir=made)
    symbols = ["<eos>", "<unk>", "end", "mat", "on", "sat", "the"]
    words = ["the", "<unk>", "sat", "on", "the", "mat", "<eos>", "the", "end", "<eos>"]
    assert [symbols[number] for number in split.train.symbols] == words
    assert [symbols[n] for n in split.validation.symbols] == ["the", "end", "sat", "<eos>"]
    assert (split.name, split.kind, split.output_size) == ("ptb-word", "words", 7)
    counts = [words.count(word) for word in ("on", "<unk>", "<eos>", "end", "<eos>")]
    expected = -sum(math.log((count + 1) / (10 + 7)) for count in counts) / 5
    assert split.trivial == pytest.approx({"unigram": expected, "uniform": math.log(7)})


def test_both_levels_name_the_same_data(made: Path) -> None:
    by_word = load_ptb("word", steps=2, data_dir=made)
    assert load_ptb("char", steps=2, data_dir=made).digest == by_word.digest


def test_arguments_are_checked_before_any_file_is_read() -> None:
    nowhere = Path("/nonexistent")
    with pytest.raises(InputError, match=r"`level` to be one of char, word, got 'words'\. Did you"):
        load_ptb("words", steps=5, data_dir=nowhere)
    with pytest.raises(InputError, match=r"^ptb-char: expected `steps` .* got 0"):
        load_ptb("char", steps=0, data_dir=nowhere)


def test_missing_files_are_told_in_one_line(made: Path) -> None:
    (made / "ptb" / "ptb.valid.txt").unlink()
    with pytest.raises(DataUnavailableError, match=r"got no ptb.valid.txt: folder .*DIR/ptb/"):
        load_ptb("char", steps=5, data_dir=made)
    with pytest.raises(DataUnavailableError, match=r"ptb: expected a data folder that holds ptb/"):
        load_ptb("char", steps=5)


def test_another_preprocessing_is_refused(made: Path) -> None:
    path = made / "ptb" / "ptb.train.txt"
    path.write_text(MADE["ptb.train.txt"].upper())
    with pytest.raises(InputError, match=r"ptb.train.txt: expected SHA-256 .*, got ") as caught:
        load_ptb("char", steps=5, data_dir=made)
    assert "\n" not in str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), compress=st.booleans())
def test_damaged_files_are_refused(made: Path, data: st.DataObject, compress: bool) -> None:
    plain = MADE["ptb.train.txt"].encode()
    content = bytearray(gzip.compress(plain, mtime=0) if compress else plain)
    if data.draw(st.booleans(), "truncate"):
        del content[data.draw(st.integers(0, len(content) - 1), "length") :]
    else:
        content[data.draw(st.integers(0, len(content) - 1), "place")] ^= data.draw(
            st.integers(1, 255), "flip"
        )
    path = made / "ptb" / "ptb.train.txt"
    path.unlink(missing_ok=True)
    path = path.with_name("ptb.train.txt.gz") if compress else path
    path.write_bytes(content)
    message, found = "", []
    try:
        found = obtain_supplied(ptb.PTB_FILES, made)
    except InputError as error:
        message = str(error)
    path.unlink()
    assert "\n" not in message
    if not message:  # name and time in gzip's header may change
        assert compress
        assert found[0].content == plain


@pytest.fixture(scope="module")
def real_folder() -> Path:
    for place in (os.environ.get("LIPSCHITZ_RNN_DATA"), ROOT.parent / "data"):
        if place and (Path(place) / "ptb" / "ptb.train.txt").is_file():
            return Path(place)
    pytest.skip(f"no ptb/ptb.train.txt in LIPSCHITZ_RNN_DATA or in {ROOT.parent / 'data'}")


def test_the_real_files_have_the_published_digests(real_folder: Path) -> None:
    for item in obtain_supplied(ptb.PTB_FILES, real_folder):
        digest = hashlib.md5(item.content, usedforsecurity=False).hexdigest()
        assert digest == PUBLISHED_MD5[item.file.name]


@pytest.mark.parametrize(
    ("level", "size", "counts"),
    [("char", 50, (5_017_482, 393_042, 442_423)), ("word", 10_000, (929_589, 73_760, 82_430))],
)
def test_the_real_text_has_its_published_size(real_folder: Path, level, size, counts) -> None:
    split = load_ptb(level, steps=150, data_dir=real_folder)
    assert split.output_size == size
    parts = (split.train, split.validation, split.test)
    assert tuple(len(part.symbols) for part in parts) == counts
    assert split.trivial["unigram"] < split.trivial["uniform"] == math.log(size)
