import inspect
import os
from pathlib import Path

import numpy as np
import pytest
from data.made_speech import noise, wav, write

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.sources import DataUnavailableError
from lipschitz_rnn.data.spectra import log_magnitudes
from lipschitz_rnn.data.speech import load_speech, speaker_and_prompt

PROMPTS = [f"{kind}/{number}" for kind in ("digits", "letters") for number in range(15)]
SPEAKERS = ("ann", "bob", "eve")


def level(speaker: int, prompt: int) -> int:
    """A size of samples that tells a file from all others."""
    return 100 + 30 * prompt + 7 * speaker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """30 prompts of three speakers; prompt 4 is missing of one of them."""
    for s, speaker in enumerate(SPEAKERS):
        for p, prompt in enumerate(PROMPTS):
            if (s, p) != (1, 4):
                samples = np.full(400 + 16 * p, level(s, p), np.int16)
                write(tmp_path / f"speech/{speaker}/{prompt}.wav", wav(samples))
    return tmp_path


def said(dataset) -> list[tuple[int, int]]:
    """Speaker and prompt of each sequence, by its level: ln(128 x / 32768 + 1e-3) at bin 0."""
    names = {}
    for s in range(len(SPEAKERS)):
        for p in range(len(PROMPTS)):
            names[round(float(np.log(128 * level(s, p) / 32768 + 1e-3)), 4)] = (s, p)
    return [names[round(float(dataset.frames[start, 0]), 4)] for start in dataset.starts]


def parts(split):
    return split.train, split.validation, split.test


def test_a_prompt_is_in_one_part_whoever_says_it(folder: Path) -> None:
    split = load_speech(data_dir=folder)
    everything = [said(part) for part in parts(split)]
    prompts = [{p for _, p in part} for part in everything]
    assert [len(part) for part in prompts] == [24, 3, 3]
    assert len(set.union(*prompts)) == 30
    assert sorted(said for part in everything for said in part) == [
        (s, p) for s in range(3) for p in range(30) if (s, p) != (1, 4)
    ]
    for part in everything:  # all speakers of a prompt in a row, so that the first few are of all
        assert [p for _, p in part] == [p for p in dict.fromkeys(p for _, p in part)
                                        for _ in range(2 if p == 4 else 3)]  # fmt: skip


def test_the_seed_deals_the_prompts_out(folder: Path) -> None:
    one, same, other = (
        [said(part) for part in parts(load_speech(split_seed=seed, data_dir=folder))]
        for seed in (1234, 1234, 1235)
    )
    assert one == same
    assert sorted(one[2]) != sorted(other[2])
    # the rule is fixed for ever: figures of different versions are of the same files
    assert sorted({p for _, p in one[2]}) == [11, 20, 26]


def test_a_new_speaker_changes_nobodys_part(folder: Path) -> None:
    before = [{p for _, p in said(part)} for part in parts(load_speech(data_dir=folder))]
    for prompt in PROMPTS[:9]:
        (folder / f"speech/bob/{prompt}.wav").unlink(missing_ok=True)
    after = [{p for _, p in said(part)} for part in parts(load_speech(data_dir=folder))]
    assert before == after


def test_frames_are_those_of_the_front_end(folder: Path) -> None:
    samples = noise(2000)
    write(folder / "speech/ann/digits/0.wav", wav(samples))
    split = load_speech(data_dir=folder)
    expected = log_magnitudes(samples / 32768)
    frames = [
        dataset.frames[start : start + count].numpy()
        for dataset in parts(split)
        for start, count in zip(dataset.starts, dataset.counts, strict=True)
    ]
    assert sum(np.array_equal(found, expected) for found in frames) == 1
    assert (split.kind, split.output_size, split.train.input_size) == ("spectra", 129, 129)


def test_constant_tones_persist(folder: Path) -> None:
    trivial = load_speech(data_dir=folder).trivial
    assert trivial["persistence"] == 0
    assert trivial["mean"] > 0


def test_what_is_skipped_is_counted(folder: Path) -> None:
    digest = load_speech(data_dir=folder).digest
    write(folder / "speech/ann/silence/1.wav", wav(np.zeros(8000, np.int16)))
    write(folder / "speech/ann/README.txt", b"text")
    write(folder / "speech/ann/._7.wav", b"what macOS leaves")
    assert load_speech(data_dir=folder).digest == digest
    write(folder / "speech/eve/hm.WAV", wav(np.zeros(383, np.int16)))
    write(folder / "speech/eve/nothing.wav", wav(np.zeros(0, np.int16)))
    split = load_speech(data_dir=folder)
    assert split.digest != digest
    assert sum(map(len, parts(split))) == 89
    assert split.notes["files"] == "89 used; skipped 1 of silence and 2 shorter than 2 frames"
    assert split.notes["speakers"] == "3: ann (30 files), bob (29 files), eve (30 files)"
    assert "never to be placed beside" in split.notes["comparison"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ann/7.wav", ("ann", "7")),
        ("ann/Digits/7.WAV", ("ann", "digits/7")),
        ("7.wav", ("", "7")),
        ("v1.2/a.b.wav", ("v1.2", "a.b")),
        ("usr/share/asterisk/sounds/it_IT_m_Carlo/digits/7.wav", ("it_IT_m_Carlo", "digits/7")),
        ("it/usr/share/asterisk/sounds/it_IT_m_Carlo/7.wav", ("it_IT_m_Carlo", "7")),
    ],
)
def test_speaker_and_prompt_are_in_the_path(path: str, expected: tuple[str, str]) -> None:
    assert speaker_and_prompt(path) == expected


def test_the_debian_packages_can_stay_as_they_unpack(folder: Path) -> None:
    plain = [said(part) for part in parts(load_speech(data_dir=folder))]
    below = folder / "speech/usr/share/asterisk/sounds"
    below.mkdir(parents=True)
    for speaker in SPEAKERS:
        (folder / "speech" / speaker).rename(below / speaker)
    assert [said(part) for part in parts(load_speech(data_dir=folder))] == plain


def test_too_few_prompts_are_refused(folder: Path) -> None:
    for path in (folder / "speech").rglob("*.wav"):
        if path.stem not in {"0", "1"} or path.parent.name == "letters":
            path.unlink()
    with pytest.raises(InputError, match=r"^speech: expected at least 3 prompts .*got 2 in "):
        load_speech(data_dir=folder)


@pytest.mark.parametrize(
    "content", [b"", wav(noise(500))[:-2], wav(noise(500), channels=2)], ids=["empty", "cut", "two"]
)
def test_a_wrong_file_is_named_in_one_line(folder: Path, content: bytes) -> None:
    path = write(folder / "speech/bob/wrong.wav", content)
    with pytest.raises(InputError, match=f"^{path}: expected ") as caught:
        load_speech(data_dir=folder)
    assert "\n" not in str(caught.value)


def test_without_a_folder_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIPSCHITZ_RNN_DATA", raising=False)
    with pytest.raises(DataUnavailableError, match=r"expected a folder speech/ .*--data-dir DIR"):
        load_speech(data_dir=tmp_path)


def test_only_options_are_keywords() -> None:
    assert list(inspect.signature(load_speech).parameters) == ["split_seed", "data_dir", "report"]


@pytest.mark.slow
def test_the_stand_in_is_complete() -> None:
    folder = os.environ.get("LIPSCHITZ_RNN_DATA", "")
    if not (Path(folder) / "speech/it_IT_m_Carlo").is_dir():
        pytest.skip("LIPSCHITZ_RNN_DATA names no folder with the prompts of Debian's asterisk")
    split = load_speech()
    assert sum(map(len, parts(split))) == 2780
    assert len(split.train.frames) == 470_046
    assert split.trivial == pytest.approx({"persistence": 1.41566, "mean": 3.30612}, abs=1e-4)
