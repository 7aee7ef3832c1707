"""MNIST from its official files: 60,000 training and 10,000 test images of 28 x 28 pixels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.cache import default_sources, found_digest
from lipschitz_rnn.data.idx import parse_idx
from lipschitz_rnn.data.images import LabelledImages
from lipschitz_rnn.data.mnist_files import MNIST_FILES
from lipschitz_rnn.data.sources import Report, Source, obtain

SIDE = 28
CLASSES = 10
TRAIN_COUNT = 60_000
TEST_COUNT = 10_000


def parse_images(content: bytes, *, where: str, count: int) -> np.ndarray:
    """Parse an IDX file of images.

    Args:
        content: The whole file, uncompressed.
        where: What to call it in errors.
        count: Number of images it must hold.

    Returns:
        Shape ``(count, 28, 28)``, uint8.

    Raises:
        InputError: If a field of the file is wrong.
    """
    images = parse_idx(content, where=where, ndim=3)
    if images.shape != (count, SIDE, SIDE):
        raise InputError(
            f"{where}: expected {count} images of {SIDE} x {SIDE} pixels, "
            f"got {images.shape[0]} of {images.shape[1]} x {images.shape[2]}."
        )
    return images


def parse_labels(content: bytes, *, where: str, count: int) -> np.ndarray:
    """Parse an IDX file of labels.

    Args:
        content: The whole file, uncompressed.
        where: What to call it in errors.
        count: Number of labels it must hold, one per image.

    Returns:
        Shape ``(count,)``, uint8, values 0 to 9.

    Raises:
        InputError: If a field of the file or a label is wrong.
    """
    labels = parse_idx(content, where=where, ndim=1)
    if labels.shape != (count,):
        raise InputError(f"{where}: expected {count} labels, one per image, got {labels.shape[0]}.")
    wrong = np.flatnonzero(labels >= CLASSES)
    if wrong.size:
        raise InputError(
            f"{where}: expected labels 0 to {CLASSES - 1}, "
            f"got {labels[wrong[0]]} at index {wrong[0]}."
        )
    return labels


def load_mnist(
    *,
    data_dir: Path | None = None,
    report: Report | None = None,
    sources: Sequence[Source] | None = None,
) -> LabelledImages:
    """MNIST, from the first source that has it.

    Args:
        data_dir: A data folder to ask first; it holds ``mnist/train-images-idx3-ubyte[.gz]`` ...
        report: Takes one line for each source that failed.
        sources: Where to ask instead of the default sources.

    Returns:
        All 70,000 images with their digits.

    Raises:
        InputError: If a file in the user's folder has the wrong content.
        DataUnavailableError: If no source has a file.
    """
    found = obtain(
        MNIST_FILES, default_sources(data_dir, report) if sources is None else sources, report
    )
    train_images, train_labels, test_images, test_labels = found
    return LabelledImages(
        parse_images(train_images.content, where=str(train_images.path), count=TRAIN_COUNT),
        parse_labels(train_labels.content, where=str(train_labels.path), count=TRAIN_COUNT),
        parse_images(test_images.content, where=str(test_images.path), count=TEST_COUNT),
        parse_labels(test_labels.content, where=str(test_labels.path), count=TEST_COUNT),
        source=", ".join(dict.fromkeys(item.source for item in found)),
        digest=found_digest(found),
    )
