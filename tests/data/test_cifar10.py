"""Files of CIFAR-10, one by one; and the real ones, where they are."""

import os
from pathlib import Path

import numpy as np
import pytest
from data.made_cifar10 import EACH, FOLDER, batch, refused
from hypothesis import given
from hypothesis import strategies as st

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.cifar10 import RECORD, check_classes, load_cifar10, parse_batch

ROOT = Path(__file__).parents[2]


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


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match=r"got 'cifar-10'\. Did you mean 'cifar10'\?"):
        load_cifar10("cifar-10")


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
