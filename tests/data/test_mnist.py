import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import get, load_mnist, load_split, named_permutation, verify
from lipschitz_rnn.data.mnist import parse_images, parse_labels
from lipschitz_rnn.data.mnist_files import MNIST_FILES
from lipschitz_rnn.data.sources import FolderSource

PUBLISHED_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def images_file(n: int, height: int = 28, width: int = 28) -> bytes:
    return b"\0\0\x08\x03" + struct.pack(">3I", n, height, width) + bytes(n * height * width)


def labels_file(labels: bytes) -> bytes:
    return b"\0\0\x08\x01" + struct.pack(">I", len(labels)) + labels


def test_images_and_labels_are_read() -> None:
    assert parse_images(images_file(3), where="file", count=3).shape == (3, 28, 28)
    labels = parse_labels(labels_file(bytes(range(10))), where="file", count=10)
    assert labels.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (images_file(2), "expected 3 images of 28 x 28 pixels, got 2 of 28 x 28"),
        (images_file(3, 14, 56), "expected 3 images of 28 x 28 pixels, got 3 of 14 x 56"),
        (labels_file(b"123"), "expected 3 dimensions, got 1"),
    ],
    ids=["count", "shape", "labels"],
)
def test_other_images_are_refused(content: bytes, text: str) -> None:
    with pytest.raises(InputError, match=f"^file: {text}"):
        parse_images(content, where="file", count=3)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (labels_file(b"\1\2"), "expected 3 labels, one per image, got 2"),
        (labels_file(b"\1\2\x0a"), "expected labels 0 to 9, got 10 at index 2"),
        (images_file(1), "expected 1 dimensions, got 3"),
    ],
    ids=["count", "value", "images"],
)
def test_other_labels_are_refused(content: bytes, text: str) -> None:
    with pytest.raises(InputError, match=f"^file: {text}"):
        parse_labels(content, where="file", count=3)


@pytest.fixture(scope="module")
def real_folder() -> Path:
    folder = os.environ.get("LIPSCHITZ_RNN_DATA")
    if not folder or not (Path(folder) / "mnist").is_dir():
        pytest.skip("LIPSCHITZ_RNN_DATA names no folder with mnist/")
    return Path(folder)


def test_the_real_files_have_the_published_digests(real_folder: Path) -> None:
    for item in FolderSource(real_folder).locate(MNIST_FILES):
        digest = hashlib.md5(item.content, usedforsecurity=False).hexdigest()
        assert digest == PUBLISHED_MD5[item.file.name]
        assert len(item.content) == item.file.size


def test_the_real_images_are_all_there(real_folder: Path) -> None:
    images = load_mnist()
    assert images.train_images.shape == (60_000, 28, 28)
    assert images.test_images.shape == (10_000, 28, 28)
    # Counts per digit as published with the data set.
    assert np.bincount(images.train_target).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert np.bincount(images.test_target).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    # Mean and deviation that everybody normalises MNIST with.
    assert round(images.train_images.mean() / 255, 4) == 0.1307
    assert round(images.train_images.std() / 255, 4) == 0.3081


def test_get_and_verify_agree_on_the_real_files(real_folder: Path) -> None:
    lines: list[str] = []
    status = get("mnist", data_dir=real_folder, report=lines.append)
    assert status == verify("mnist", data_dir=real_folder)
    assert status.ok
    assert lines == []


def test_the_real_split_is_the_authors(real_folder: Path) -> None:
    split = load_split(
        "mnist", steps=784, permutation="authors", validation_size=2000, data_dir=real_folder
    )
    assert (len(split.train), len(split.validation), len(split.test)) == (58_000, 2_000, 10_000)
    assert split.output_size == 10
    assert split.source == f"folder {real_folder}"
    assert split.digest == verify("mnist", data_dir=real_folder).digest
    raw = load_mnist(data_dir=real_folder)
    order = np.random.RandomState(1234).permutation(60_000)
    pixels = named_permutation("authors", 784).numpy()
    for part, row, position in (("train", 0, order[0]), ("validation", -1, order[-1])):
        dataset = getattr(split, part)
        picture = raw.train_images[position].reshape(784)[pixels]
        assert dataset.values[row, :, 0].tolist() == picture.tolist()
        assert dataset.target[row] == raw.train_target[position]
    everything = split.test.batch(slice(0, 1000)).input
    assert (everything.min(), everything.max()) == (0, 1)
