"""CIFAR-10 from its official binary files: 50,000 training and 10,000 test images, 32 x 32, RGB."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lipschitz_rnn._base.checks import require_name
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.cache import found_digest
from lipschitz_rnn.data.cifar10_files import EDITIONS, BatchesSource, Cifar10
from lipschitz_rnn.data.files import FoundFile
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.supplied import obtain_supplied

SIDE = 32
CHANNELS = 3
CLASSES = 10
RECORD = 1 + CHANNELS * SIDE * SIDE


@dataclass(frozen=True)
class ColourImages:
    """Images in colour with their classes.

    Attributes:
        name: The data set, ``"cifar10"`` or ``"cifar10-jpeg"``.
        train_images: Shape ``(n, H, W, 3)``, uint8, channels red, green, blue.
        train_target: Shape ``(n,)``, uint8.
        test_images: Shape ``(m, H, W, 3)``, uint8.
        test_target: Shape ``(m,)``, uint8.
        source: Where the bytes came from.
        digest: SHA-256 that names the raw data.
    """

    name: str
    train_images: np.ndarray
    train_target: np.ndarray
    test_images: np.ndarray
    test_target: np.ndarray
    source: str
    digest: str


def parse_batch(content: bytes, *, where: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Parse one of the binary files.

    A record is the label and then the red, the green and the blue plane, each row by row; records
    follow each other without anything between them.

    Args:
        content: The whole file.
        where: What to call it in errors.
        count: Number of records it must hold.

    Returns:
        Images ``(count, 32, 32, 3)`` and labels ``(count,)``, both uint8 and writable.

    Raises:
        InputError: If the length or a label is wrong.

    Examples:
        >>> red, green, blue = (bytes([level]) * 1024 for level in (10, 20, 30))
        >>> images, labels = parse_batch(bytes([7]) + red + green + blue, where="file", count=1)
        >>> images[0, 31, 31].tolist(), labels.tolist()
        ([10, 20, 30], [7])
    """
    if len(content) != count * RECORD:
        raise InputError(
            f"{where}: expected {count} records of {RECORD} bytes = {count * RECORD} bytes, "
            f"got {len(content)}."
        )
    records = np.frombuffer(content, dtype=np.uint8).reshape(count, RECORD)
    labels = records[:, 0].copy()
    wrong = np.flatnonzero(labels >= CLASSES)
    if wrong.size:
        raise InputError(
            f"{where}: expected labels 0 to {CLASSES - 1}, "
            f"got {labels[wrong[0]]} in record {wrong[0]}."
        )
    planes = records[:, 1:].reshape(count, CHANNELS, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def check_classes(labels: np.ndarray, *, where: str) -> None:
    """Check that every class has as many images as any other, as the data set promises.

    Args:
        labels: Shape ``(n,)``, values 0 to 9.
        where: What to call them in errors.

    Raises:
        InputError: If a class has more or fewer than ``n / 10``.
    """
    counts = np.bincount(labels, minlength=CLASSES)
    wrong = np.flatnonzero(counts * CLASSES != len(labels))
    if wrong.size:
        raise InputError(
            f"{where}: expected {len(labels) / CLASSES:g} images of each class, "
            f"got {counts[wrong[0]]} of class {wrong[0]}."
        )


def find_edition(name: str) -> Cifar10:
    """An edition of the data set by name.

    Args:
        name: ``"cifar10"`` or ``"cifar10-jpeg"``.

    Returns:
        Its files.

    Raises:
        InputError: If there is none of that name.
    """
    require_name("cifar10", name, EDITIONS)
    return EDITIONS[name]


def load_cifar10(
    name: str = "cifar10", *, data_dir: Path | None = None, report: Report | None = None
) -> ColourImages:
    """CIFAR-10 from a folder that the user keeps; it is never downloaded, no pickle is ever loaded.

    A data folder holds the official files as ``cifar10/cifar-10-batches-bin/*.bin`` or as the
    archive they come in, ``cifar10/cifar-10-binary.tar.gz``; and those of the JPEG copy as
    ``cifar10-jpeg/cifar-10-batches-bin/*.bin``. Neither passes for the other.

    Args:
        name: ``"cifar10"`` or ``"cifar10-jpeg"``, the copy.
        data_dir: A data folder to ask first; then the one that ``LIPSCHITZ_RNN_DATA`` names.
        report: Takes one line for each folder that lacks a file.

    Returns:
        All 60,000 images.

    Raises:
        InputError: If a file has the wrong content, or that of the other edition.
        DataUnavailableError: If a file is missing.
    """
    edition = find_edition(name)
    found = obtain_supplied(
        edition.files, data_dir, report, partial(BatchesSource, edition=edition)
    )
    train_images, train_target = _parse(found[:-1], f"{edition.title}, training images")
    test_images, test_target = _parse(found[-1:], f"{edition.title}, test images")
    return ColourImages(
        name,
        train_images,
        train_target,
        test_images,
        test_target,
        source=", ".join(dict.fromkeys(item.source for item in found)),
        digest=found_digest(found),
    )


def _parse(found: Sequence[FoundFile], where: str) -> tuple[np.ndarray, np.ndarray]:
    counts = [item.file.size // RECORD for item in found]
    images = np.empty((sum(counts), SIDE, SIDE, CHANNELS), np.uint8)
    labels = np.empty(sum(counts), np.uint8)
    first = 0
    for item, count in zip(found, counts, strict=True):
        part = slice(first, first + count)
        images[part], labels[part] = parse_batch(item.content, where=str(item.path), count=count)
        first += count
    check_classes(labels, where=where)
    return images, labels
