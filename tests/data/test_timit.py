from pathlib import Path

import numpy as np
import pytest
import torch
from data.made_speech import noise, sphere, wav, write

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.sources import DataUnavailableError
from lipschitz_rnn.data.spectra import log_magnitudes, resample
from lipschitz_rnn.data.timit import CORE_TEST, DEVELOPMENT, Protocol, load_timit, read_timit

SMALL = Protocol(
    train_speakers=2,
    sentences=3,
    train_size=5,
    validation=frozenset({"MDAB0"}),
    test=frozenset({"FAKS0", "MGWT0"}),
)
SPEAKERS = {
    "TRAIN": ("DR1/FCJF0", "DR8/MTCS0"),
    "TEST": ("DR1/MDAB0", "DR1/FAKS0", "DR2/MGWT0", "DR3/MCSH0"),
}
SENTENCES = ("SA1", "SA2", "SI648", "SX127", "SX37")
TONE = {}  # each file is different


def make_tree(root: Path, name: str = "{part}/{speaker}/{sentence}.WAV") -> Path:
    """TIMIT in small: six speakers, five sentences each, about a tenth of a second long."""
    for part, speakers in SPEAKERS.items():
        for speaker in speakers:
            for sentence in SENTENCES:
                path = name.format(part=part, speaker=speaker, sentence=sentence)
                key = f"{part}/{speaker}/{sentence}"
                TONE.setdefault(key, noise(1600 + 16 * len(TONE)))
                write(root / path, sphere(TONE[key]))
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "timit")


def test_the_lists_are_the_published_ones() -> None:
    assert len(CORE_TEST) == 24
    assert len(DEVELOPMENT) == 50
    assert not CORE_TEST & DEVELOPMENT
    # core test: two men and a woman of each of eight regions
    assert sum(speaker.startswith("F") for speaker in CORE_TEST) == 8
    counts = Protocol()
    assert (counts.train_speakers * 8, counts.train_size) == (3696, 3690)
    assert len(counts.validation) * counts.sentences == 192
    assert len(counts.test) * counts.sentences == 400


def test_each_utterance_is_where_it_belongs(tree: Path) -> None:
    split = read_timit(tree, SMALL)
    assert (len(split.train), len(split.validation), len(split.test)) == (5, 3, 6)
    assert (split.kind, split.output_size, split.train.input_size) == ("spectra", 129, 129)
    order = {
        "train": [f"TRAIN/DR1/FCJF0/{s}" for s in ("SI648", "SX127", "SX37")]
        + [f"TRAIN/DR8/MTCS0/{s}" for s in ("SI648", "SX127")],  # the sixth by path is left out
        "validation": [f"TEST/DR1/MDAB0/{s}" for s in ("SI648", "SX127", "SX37")],
        "test": [f"TEST/{s}" for s in (
            "DR1/FAKS0/SI648", "DR1/FAKS0/SX127", "DR1/FAKS0/SX37",
            "DR2/MGWT0/SI648", "DR2/MGWT0/SX127", "DR2/MGWT0/SX37",
        )],
    }  # fmt: skip
    for part, names in order.items():
        data = getattr(split, part)
        for number, name in enumerate(names):
            expected = log_magnitudes(resample(TONE[name] / 32768, 16_000))
            start, count = int(data.starts[number]), int(data.counts[number])
            np.testing.assert_array_equal(data.frames[start : start + count], expected)


def test_the_target_is_the_next_frame(tree: Path) -> None:
    batch = read_timit(tree, SMALL).test.batch(slice(None))
    for row, length in enumerate(batch.lengths.tolist()):
        assert torch.equal(batch.input[row, 1:length], batch.target[row, : length - 1])
        assert not torch.equal(batch.input[row, length - 1], batch.target[row, length - 1])


def test_figures_carry_what_they_must_be_read_with(tree: Path) -> None:
    split = read_timit(tree, SMALL)
    assert split.notes["speakers"].startswith("2 for training, 1 for validation (core test set)")
    assert "not comparable" in split.notes["comparison"]
    assert "natural logarithm" in split.notes["units"]
    assert 0 < split.trivial["mean"] < split.trivial["persistence"]  # noise is not persistent
    assert all("\n" not in note for note in split.notes.values())


LAYOUTS = {
    "lower": "{part}/{speaker}/{sentence}.wav",
    "deep": "timit/TIMIT/{part}/{speaker}/{sentence}.WAV",
    "doubled": "data/{part}/{speaker}/{sentence}.WAV.wav",
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_other_layouts_hold_the_same_data(tree: Path, tmp_path: Path, layout: str) -> None:
    other = make_tree(tmp_path / "other", layout)
    split, expected = read_timit(other, SMALL), read_timit(tree, SMALL)
    assert split.digest == expected.digest
    assert torch.equal(split.train.frames, expected.train.frames)


def test_lower_case_folders_are_found(tmp_path: Path) -> None:
    make_tree(tmp_path)
    for folder in sorted(tmp_path.rglob("*"), reverse=True):
        folder.rename(folder.with_name(folder.name.lower()))
    assert len(read_timit(tmp_path, SMALL).train) == 5


def test_a_copy_beside_the_original_is_not_used(tree: Path) -> None:
    digest = read_timit(tree, SMALL).digest
    for path in list(tree.rglob("*.WAV")):
        write(path.with_name(f"{path.name}.wav"), wav(noise(999), 16_000))
        write(path.with_name(f"._{path.name}"), b"what macOS leaves")
    write(tree / "TRAIN/DR1/FCJF0/SX37.TXT", b"text")
    assert read_timit(tree, SMALL).digest == digest


def test_the_digest_names_the_files_that_are_used(tree: Path) -> None:
    digest = read_timit(tree, SMALL).digest
    write(tree / "TRAIN/DR1/FCJF0/SA1.WAV", sphere(noise(1700)))
    assert read_timit(tree, SMALL).digest == digest
    write(tree / "TRAIN/DR1/FCJF0/SX37.WAV", sphere(noise(1700)))
    assert read_timit(tree, SMALL).digest != digest


def remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


DAMAGE = {
    "speaker": (
        lambda tree: remove(tree / "TRAIN/DR1/FCJF0"),
        "timit: expected 2 speakers under TRAIN, got 1 in .*Copy TIMIT's own TRAIN there",
    ),
    "held out": (
        lambda tree: [remove(tree / "TEST/DR1/MDAB0"), remove(tree / "TEST/DR2/MGWT0")],
        "timit: expected 3 speakers of the core test .* got no MDAB0, MGWT0 in",
    ),
    "sentence": (
        lambda tree: (tree / "TEST/DR1/MDAB0/SX37.WAV").unlink(),
        "timit: expected 3 SI and SX utterances of every speaker, got 2 of MDAB0 in",
    ),
    "both": (
        lambda tree: [
            remove(tree / "TRAIN/DR1/FCJF0"),
            write(tree / "TRAIN/DR1/MDAB0/SX37.WAV", sphere(noise(1600))),
        ],
        "timit: expected no speaker under both TRAIN and TEST, got MDAB0 in",
    ),
    "twice": (
        lambda tree: write(tree / "old/TRAIN/DR1/FCJF0/SX37.WAV", sphere(noise(1600))),
        "timit: expected one file for TRAIN/DR1/FCJF0/SX37, got .*Remove one",
    ),
    "cut": (
        lambda tree: write(tree / "TRAIN/DR1/FCJF0/SX37.WAV", sphere(noise(1600))[:2000]),
        "FCJF0/SX37.WAV: expected 1600 samples = 3200 bytes after the header, got 976",
    ),
    "short": (
        lambda tree: write(tree / "TEST/DR1/MDAB0/SX37.WAV", sphere(noise(766))),
        "SX37.WAV: expected at least 2 frames .* got 1",
    ),
}


@pytest.mark.parametrize(("damage", "text"), DAMAGE.values(), ids=DAMAGE)
def test_what_is_wrong_or_missing_is_said_in_one_line(tree: Path, damage, text: str) -> None:
    damage(tree)
    with pytest.raises(InputError, match=text) as caught:
        read_timit(tree, SMALL)
    assert "\n" not in str(caught.value)


def test_a_tree_of_full_size_gives_the_published_counts(tmp_path: Path) -> None:
    content = sphere(noise(384), rate=8000)
    train = [f"TRAIN/DR1/M{a}{b}{c}9" for a in "ABCDEFGH" for b in "ABCDEFGH" for c in "ABCDEFGH"]
    for folder in train[:462] + [f"TEST/DR1/{name}" for name in CORE_TEST | DEVELOPMENT]:
        for number in range(8):
            write(tmp_path / f"timit/{folder}/{'SI' if number < 3 else 'SX'}{number}.WAV", content)
    split = load_timit(data_dir=tmp_path)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [3690, 192, 400]
    assert split.notes["speakers"].startswith("462 for training, 24 for validation")


def test_a_real_tree_lacks_nothing(tree: Path) -> None:
    with pytest.raises(InputError, match="expected 462 speakers under TRAIN, got 2 in"):
        load_timit(data_dir=tree.parent)


def test_without_timit_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIPSCHITZ_RNN_DATA", raising=False)
    lines: list[str] = []
    with pytest.raises(
        DataUnavailableError, match=r"expected a folder timit/ .*--data-dir"
    ) as error:
        load_timit(data_dir=tmp_path, report=lines.append)
    assert "\n" not in str(error.value)
    assert lines == [f"timit: folder {tmp_path}: no timit/."]
    with pytest.raises(DataUnavailableError, match="got none in no data folder"):
        load_timit()
