import dataclasses
import gzip
import hashlib
import io
import math
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.cifar10 import RECORD, check_classes, load_cifar10, parse_batch
from lipschitz_rnn.data.cifar10_files import EDITIONS, Archive, Cifar10
from lipschitz_rnn.data.files import DataFile, sha256
from lipschitz_rnn.data.scifar import load_scifar
from lipschitz_rnn.data.sources import DataUnavailableError

ROOT = Path(__file__).parents[2]
FOLDER = "cifar-10-batches-bin"
NAMES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
EACH = 20  # records in a made file, two of each class
TRAIN = 5 * EACH


def batch(seed: int, count: int = EACH) -> bytes:
    records = np.random.default_rng(seed).integers(0, 256, (count, RECORD), dtype=np.uint8)
    records[:, 0] = np.arange(count) % 10
    return records.tobytes()


def refused(call, *args, **kwargs) -> str | None:
    """The message, None if nothing is wrong; anything but a one-line InputError fails the test."""
    try:
        call(*args, **kwargs)
    except InputError as error:
        message = str(error)
    else:
        return None
    assert "\n" not in message
    return message


# One file.


def test_pixels_are_where_the_format_puts_them() -> None:
    content = batch(0)
    images, labels = parse_batch(content, where="file", count=EACH)
    assert images.shape == (EACH, 32, 32, 3)
    assert images.flags.c_contiguous
    for record in (0, 7, EACH - 1):
        assert labels[record] == content[record * RECORD]
        for row, column in ((0, 0), (0, 31), (31, 0), (13, 22)):
            for channel in range(3):
                place = record * RECORD + 1 + channel * 1024 + row * 32 + column
                assert images[record, row, column, channel] == content[place]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (batch(0)[:-1], "expected 20 records of 3073 bytes = 61460 bytes, got 61459"),
        (batch(0) + b"x", "expected 20 records of 3073 bytes = 61460 bytes, got 61461"),
        (b"", "expected 20 records of 3073 bytes = 61460 bytes, got 0"),
        (b"\x0a" + batch(0)[1:], "expected labels 0 to 9, got 10 in record 0"),
        (batch(0, 19) + b"\xff" + bytes(3072), "expected labels 0 to 9, got 255 in record 19"),
    ],
    ids=["short", "long", "empty", "first label", "last label"],
)
def test_other_files_are_refused(content: bytes, text: str) -> None:
    with pytest.raises(InputError, match=f"^file: {text}"):
        parse_batch(content, where="file", count=EACH)


@given(st.binary(max_size=2 * RECORD), st.integers(0, 3))
def test_any_bytes_are_read_or_refused(content: bytes, count: int) -> None:
    message = refused(parse_batch, content, where="file", count=count)
    fits = len(content) == count * RECORD and all(label < 10 for label in content[::RECORD])
    assert (message is None) == fits


def test_classes_of_unequal_size_are_refused() -> None:
    labels = np.arange(50) % 10
    check_classes(labels, where="file")
    labels[3] = 4
    with pytest.raises(InputError, match=r"file: expected 5 images of each class, got 4 of class"):
        check_classes(labels, where="file")
    with pytest.raises(InputError, match=r"expected 4.9 images of each class"):
        check_classes(labels[1:], where="file")


# The whole data set, made.


def pack(contents: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        folder = tarfile.TarInfo(FOLDER)
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in contents.items():
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with small files of both editions; the official ones in their archive."""
    monkeypatch.delenv("LIPSCHITZ_RNN_DATA", raising=False)
    for number, (name, title) in enumerate((("cifar10", "CIFAR-10"), ("cifar10-jpeg", "JPEG"))):
        contents = {file: batch(10 * number + i) for i, file in enumerate(NAMES)}
        files = tuple(
            DataFile(f"{name}/{FOLDER}", file, len(data), sha256(data))
            for file, data in contents.items()
        )
        archive = None
        if name == "cifar10":
            packed = pack({"readme.html": b"hello", **contents})
            md5 = hashlib.md5(packed, usedforsecurity=False).hexdigest()
            archive = Archive("cifar10/cifar-10-binary.tar.gz", len(packed), md5)
            (tmp_path / "cifar10").mkdir()
            (tmp_path / archive.name).write_bytes(packed)
        else:
            (tmp_path / name / FOLDER).mkdir(parents=True)
            for file, data in contents.items():
                (tmp_path / name / FOLDER / file).write_bytes(data)
        monkeypatch.setitem(EDITIONS, name, Cifar10(name, title, files, archive))
    return tmp_path


def unpack(made: Path) -> Path:
    """The official files beside their archive, which is removed."""
    folder = made / "cifar10" / FOLDER
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(batch(number))
    (made / "cifar10" / "cifar-10-binary.tar.gz").unlink()
    return folder


def test_archive_and_unpacked_folder_give_the_same(made: Path) -> None:
    packed = load_cifar10(data_dir=made)
    folder = unpack(made)
    (folder / "data_batch_2.bin.gz").write_bytes(gzip.compress(batch(1)))
    (folder / "data_batch_2.bin").unlink()
    images = load_cifar10(data_dir=made)
    assert images.source == packed.source == f"folder {made}"
    assert images.digest == packed.digest
    assert images.digest != load_cifar10("cifar10-jpeg", data_dir=made).digest
    for field in ("train_images", "train_target", "test_images", "test_target"):
        np.testing.assert_array_equal(getattr(images, field), getattr(packed, field))
    expected = [parse_batch(batch(number), where="", count=EACH) for number in range(6)]
    np.testing.assert_array_equal(images.train_images, np.concatenate([e[0] for e in expected[:5]]))
    np.testing.assert_array_equal(images.train_target, np.concatenate([e[1] for e in expected[:5]]))
    np.testing.assert_array_equal(images.test_images, expected[5][0])


def test_each_edition_is_refused_under_the_name_of_the_other(made: Path) -> None:
    unpack(made)
    (made / "cifar10").rename(made / "spare")
    (made / "cifar10-jpeg").rename(made / "cifar10")
    (made / "spare").rename(made / "cifar10-jpeg")
    with pytest.raises(InputError, match=r"got one of JPEG\. Use data.name=cifar10-jpeg and"):
        load_cifar10("cifar10", data_dir=made)
    with pytest.raises(InputError, match=r"got one of CIFAR-10\. Use data.name=cifar10 and"):
        load_cifar10("cifar10-jpeg", data_dir=made)


def test_a_changed_file_is_refused(made: Path) -> None:
    path = unpack(made) / "data_batch_4.bin"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"data_batch_4.bin: expected SHA-256 .*, got "):
        load_cifar10(data_dir=made)


def test_an_archive_with_other_files_in_it_is_refused(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack({name: batch(50 + number) for number, name in enumerate(NAMES)})
    md5 = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    edition = EDITIONS["cifar10"]
    (made / edition.archive.name).write_bytes(packed)
    archive = Archive(edition.archive.name, len(packed), md5)
    monkeypatch.setitem(EDITIONS, "cifar10", dataclasses.replace(edition, archive=archive))
    with pytest.raises(InputError, match=r"tar.gz/data_batch_1.bin: expected SHA-256 .*, got "):
        load_cifar10(data_dir=made)


def test_missing_files_and_folders_are_told_in_one_line(made: Path) -> None:
    (unpack(made) / "test_batch.bin").unlink()
    lines: list[str] = []
    with pytest.raises(DataUnavailableError, match=r"no cifar10/.*/test_batch.bin\)"):
        load_cifar10(data_dir=made, report=lines.append)
    assert len(lines) == 1
    with pytest.raises(
        DataUnavailableError, match=r"expected a data folder .* --data-dir"
    ) as caught:
        load_cifar10()
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told_in_one_line(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, *_args: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", fail)
    message = refused(load_cifar10, data_dir=made)
    assert message.endswith("tar.gz: expected a file that can be read, got: Permission denied.")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match=r"got 'cifar-10'\. Did you mean 'cifar10'\?"):
        load_cifar10("cifar-10")


# Sequences.


def load(made: Path, **options):
    return load_scifar("cifar10", data_dir=made, validation_size=20, **options)


def order() -> np.ndarray:
    return np.random.RandomState(1234).permutation(TRAIN)


def test_pixels_are_true_colours_in_the_authors_split(made: Path) -> None:
    split = load(made)
    images = load_cifar10(data_dir=made)
    assert (len(split.train), len(split.validation), len(split.test)) == (80, 20, 20)
    assert (split.train.steps, split.train.input_size) == (1024, 3)
    assert (split.kind, split.output_size, split.trivial) == (
        "classes",
        10,
        {"uniform": math.log(10)},
    )
    assert split.notes["data set"] == "CIFAR-10"
    assert split.digest == images.digest
    for part, row, image in (("train", 0, order()[0]), ("validation", -1, order()[-1])):
        dataset = getattr(split, part)
        taken = dataset.batch(torch.tensor([row % len(dataset)]))
        expected = torch.from_numpy(images.train_images[image].reshape(1024, 3)).float() / 255
        torch.testing.assert_close(taken.input[0], expected)
        assert taken.target[0] == images.train_target[image]
        plain = dataset.batch(torch.tensor([row % len(dataset)]), epoch=3)
        assert torch.equal(plain.input, taken.input)
    torch.testing.assert_close(
        split.test.batch(slice(0, 5)).input[:, 33],
        torch.from_numpy(images.test_images[:5, 1, 1]).float() / 255,
    )


def test_augmentation_changes_training_alone_and_every_epoch_anew(made: Path) -> None:
    plain, split = load(made), load(made, augment=True)
    index = torch.arange(20)
    for part in ("train", "validation", "test"):  # epoch 0 is evaluation
        got, expected = getattr(split, part).batch(index), getattr(plain, part).batch(index)
        assert torch.equal(got.input, expected.input)
    first, again, second = (split.train.batch(index, epoch=e).input for e in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, plain.train.batch(index).input)
    assert split.notes["augmentation"] == "random crop and flip"
    assert plain.notes["augmentation"] == "none"


def test_the_authors_pixels_equal_a_plain_loop(made: Path) -> None:
    split = load(made, pipeline="authors")
    images = load_cifar10(data_dir=made)
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])
    crop = split.train.transform.transforms[0]

    def expected(image: np.ndarray, sample: int | None, epoch: int) -> torch.Tensor:
        planes = image.transpose(2, 0, 1)  # (C, H, W)
        if sample is not None:
            top, left, flip = (int(x) for x in crop.offsets(torch.tensor([sample]), epoch))
            framed = np.pad(planes, ((0, 0), (4, 4), (4, 4)))
            planes = framed[:, top : top + 32, left : left + 32]
            planes = planes[:, :, ::-1] if flip else planes
        scaled = (planes / 255 - mean[:, None, None]) / std[:, None, None]
        return torch.from_numpy(scaled.reshape(1024, 3)).float()  # channels are not moved last

    train, held_out = order()[:80], order()[80:]
    for epoch in (1, 2):
        got = split.train.batch(torch.arange(10), epoch).input
        for row in range(10):
            wanted = expected(images.train_images[train[row]], train[row], epoch)
            torch.testing.assert_close(got[row], wanted)
    got = split.validation.batch(torch.arange(10)).input  # augmented, too
    for row in range(10):
        wanted = expected(images.train_images[held_out[row]], held_out[row], 0)
        torch.testing.assert_close(got[row], wanted)
    got = split.test.batch(torch.arange(10)).input
    for row in range(10):
        torch.testing.assert_close(got[row], expected(images.test_images[row], None, 0))


@pytest.mark.parametrize(
    ("pipeline", "noise"), [("task", "fresh"), ("task", "fixed"), ("authors", "fixed")]
)
def test_rows_come_before_the_noise(made: Path, pipeline: str, noise: str) -> None:
    split = load(made, task="noise", pipeline=pipeline, noise=noise)
    images = load_cifar10(data_dir=made)
    assert (split.train.steps, split.train.input_size) == (1000, 96)
    train = split.train.batch(torch.arange(3)).input
    test = split.test.batch(torch.arange(3)).input
    for row in range(3):
        image = images.train_images[order()[row]]
        lines = image if pipeline == "task" else image.transpose(0, 2, 1)  # R32 | G32 | B32
        expected = torch.from_numpy(np.ascontiguousarray(lines).reshape(32, 96)).float() / 255
        torch.testing.assert_close(train[row, :32], expected)
    shared = [torch.equal(train[0, 32:], other[32:]) for other in (*train[1:], *test)]
    assert all(shared) if noise == "fixed" else not any(shared)
    later = split.train.batch(torch.arange(3), epoch=5).input
    assert torch.equal(later, train)  # the same in every epoch
    other = load(made, task="noise", pipeline=pipeline, noise=noise, transform_seed=1)
    assert not torch.equal(other.train.batch(torch.arange(1)).input[0, 32:], train[0, 32:])


def test_no_two_samples_of_any_part_share_their_noise(made: Path) -> None:
    split = load(made, task="noise")
    parts = (split.train, split.validation, split.test)
    noise = torch.cat([part.batch(slice(0, len(part))).input[:, 32:] for part in parts])
    assert len(torch.unique(noise[:, 0, 0])) == len(noise) == 120


def test_the_pipeline_decides_what_noise_it_has(made: Path) -> None:
    assert load(made, task="noise").notes["noise"] == "each sample's own"
    authors = load(made, task="noise", pipeline="authors")
    assert authors.notes["noise"] == "one block for all samples"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"task": "pixel"},
            "`task` to be one of pixels, noise, got 'pixel'. Did you mean 'pixels'?",
        ),
        ({"pipeline": "author"}, "got 'author'. Did you mean 'authors'?"),
        ({"noise": "fresh"}, "expected no `noise` with task='pixels', got 'fresh'"),
        ({"task": "noise", "noise": "fres"}, "one of fresh, fixed, got 'fres'"),
        (
            {"task": "noise", "pipeline": "authors", "noise": "fresh"},
            "expected noise='fixed' with pipeline='authors', got 'fresh'",
        ),
        ({"pipeline": "authors", "augment": True}, "'authors', which augments by itself"),
        (
            {"task": "noise", "pipeline": "authors", "augment": True},
            "'authors', which does not augment by itself",
        ),
        ({"validation_size": 50_000}, "0 <= `validation_size` < 50000, got 50000"),
        ({"split_seed": -1}, "0 <= `split_seed` < 4294967296, got -1"),
        ({"transform_seed": 2**63}, "0 <= `transform_seed` < 9223372036854775808"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_refused_before_any_file_is_read(options, text) -> None:
    message = refused(load_scifar, "cifar10", data_dir=Path("/nonexistent"), **options)
    assert message.startswith("cifar10: expected ")
    assert text in message


# The real files.


def real_folder(name: str) -> Path:
    for place in (os.environ.get("LIPSCHITZ_RNN_DATA"), ROOT.parent / "data"):
        if place and (Path(place) / name / FOLDER).is_dir():
            return Path(place)
    pytest.skip(f"no {name}/{FOLDER}/ in LIPSCHITZ_RNN_DATA or in {ROOT.parent / 'data'}")


@pytest.mark.parametrize("name", ["cifar10", "cifar10-jpeg"])
def test_the_real_images_are_all_there(name: str) -> None:
    images = load_cifar10(name, data_dir=real_folder(name))
    assert images.train_images.shape == (50_000, 32, 32, 3)
    assert images.test_images.shape == (10_000, 32, 32, 3)
    assert np.bincount(images.train_target).tolist() == [5000] * 10
    assert np.bincount(images.test_target).tolist() == [1000] * 10
    # Means of red, green and blue that everybody normalises CIFAR-10 with; JPEG hardly moves them.
    mean = images.train_images.mean((0, 1, 2), dtype=np.float64) / 255
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=2e-4)
