"""CIFAR-10 pixel by pixel, and row by row with noise after the image."""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.cifar10 import CLASSES, RECORD, SIDE, find_edition, load_cifar10
from lipschitz_rnn.data.noise import NOISE_KINDS, NoisePadding
from lipschitz_rnn.data.sequence import SequenceDataset, Transform
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.split import (
    PIPELINES,
    Split,
    require_below,
    require_known,
    require_split,
    split_order,
)
from lipschitz_rnn.data.transforms import ChannelPlanes, Compose, CropFlip, Normalize

TASKS = ("pixels", "noise")
NOISE_STEPS = 1000
AUTHORS_MEAN = (0.4914, 0.4822, 0.4465)
AUTHORS_STD = (0.2023, 0.1994, 0.2010)


def load_scifar(
    name: str = "cifar10",
    *,
    task: str = "pixels",
    pipeline: str = "task",
    noise: str | None = None,
    augment: bool = False,
    validation_size: int = 2000,
    split_seed: int = 1234,
    transform_seed: int = 0,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> Split:
    """Load CIFAR-10, read it as sequences and split it.

    ``task="pixels"`` is an image as 1,024 steps, row by row, of the red, green and blue of a pixel.
    ``task="noise"`` is an image as 32 steps of a row, its pixels from left to right, each red,
    green, blue, so 96 numbers, and then 968 steps of standard normal noise. Values are in [0, 1].

    ``pipeline="authors"`` is what the authors' code does instead. Pixels: the red plane, then the
    green and the blue, in steps of three neighbours; training and validation images randomly
    cropped and flipped; all images normalised. Noise: a row is its reds, its greens, its blues, and
    the noise is one block, shared by all samples. (Their validation images come with another block
    and another order of the rows, which is taken for an error: here they are like all others.)

    The training samples are put in the order ``RandomState(split_seed).permutation(n)``; the last
    ``validation_size`` of them are for validation. The test samples are the data set's own.

    Args:
        name: ``"cifar10"``, the official files, or ``"cifar10-jpeg"``, the JPEG copy.
        task: ``"pixels"`` or ``"noise"``.
        pipeline: ``"task"`` for the samples as the task is described, or ``"authors"``.
        noise: ``"fresh"`` for noise of each sample's own, the same in every epoch, or ``"fixed"``
            for one block; None for the pipeline's own, fresh or fixed in this order.
        augment: Randomly crop and flip training images, anew in every epoch.
        validation_size: Samples for validation; 0 for none.
        split_seed: Seed of the split, 0 ... 2**32 - 1.
        transform_seed: Seed of the noise, the crops and the flips, at least 0.
        data_dir: A data folder to ask first, see `load_cifar10`.
        report: Takes one line for each folder that lacks a file.

    Returns:
        Sequences ``(n, 1024, 3)`` or ``(n, 1000, 96)``, kept as bytes.

    Raises:
        InputError: If options do not go together, or a file is wrong or missing.
    """
    where = name
    edition = find_edition(name)
    count = sum(file.size for file in edition.files[:-1]) // RECORD
    require_known(where, "task", task, TASKS)
    require_known(where, "pipeline", pipeline, PIPELINES)
    noise = _noise_kind(where, task, pipeline, noise)
    if augment and pipeline == "authors":
        does = "augments" if task == "pixels" else "does not augment"
        raise InputError(
            f"{where}: expected augment=false with pipeline='authors', which {does} by itself, "
            "got augment=true."
        )
    require_split(where, count, validation_size, split_seed)
    require_below(where, "transform_seed", transform_seed, 2**63)

    images = load_cifar10(name, data_dir=data_dir, report=report)
    training, test = _transforms(task, pipeline, noise, augment, transform_seed)
    train = _dataset(images.train_images, images.train_target, task, pipeline, training)
    # Numbers of their own, or test samples would be padded with the noise of training samples.
    test_ids = torch.arange(count, count + len(images.test_images))
    fitted, held_out = split_order(count, validation_size, split_seed)
    return Split(
        name=name,
        train=train.subset(fitted),
        validation=train.subset(held_out),
        test=_dataset(images.test_images, images.test_target, task, pipeline, test, test_ids),
        output_size=CLASSES,
        source=images.source,
        digest=images.digest,
        trivial={"uniform": math.log(CLASSES)},
        notes=_notes(edition.title, task, pipeline, noise, augment),
    )


def _transforms(
    task: str, pipeline: str, noise: str | None, augment: bool, seed: int
) -> tuple[Transform | None, Transform | None]:
    """Changes to the training and validation samples, and those to the test samples."""
    changes: list[Transform] = [CropFlip(seed)] if augment else []
    if noise is not None:
        changes.append(NoisePadding(NOISE_STEPS, seed, noise))
    if pipeline == "authors" and task == "pixels":
        always: tuple[Transform, ...] = (Normalize(AUTHORS_MEAN, AUTHORS_STD), ChannelPlanes())
        return Compose((CropFlip(seed, evaluation=True), *always)), Compose(always)
    # Augmentation leaves evaluation alone, so the test samples may have the same changes.
    both = Compose(tuple(changes)) if changes else None
    return both, both


def _dataset(
    images: np.ndarray,
    target: np.ndarray,
    task: str,
    pipeline: str,
    transform: Transform | None,
    ids: Tensor | None = None,
) -> SequenceDataset:
    pixels = torch.from_numpy(images)  # (n, H, W, 3)
    if task == "pixels":
        values = pixels.reshape(len(pixels), SIDE * SIDE, -1)
    elif pipeline == "task":
        values = pixels.reshape(len(pixels), SIDE, -1)
    else:
        values = pixels.transpose(2, 3).reshape(len(pixels), SIDE, -1)
    classes = torch.from_numpy(target.astype(np.int64))
    return SequenceDataset(values, classes, scale=1 / 255, transform=transform, ids=ids)


def _notes(
    title: str, task: str, pipeline: str, noise: str | None, augment: bool
) -> dict[str, str]:
    authors = pipeline == "authors"
    cropped = "random crop and flip"
    notes = {"data set": title, "pipeline": pipeline}
    if task == "pixels":
        notes["step"] = "three neighbours of one colour" if authors else "red, green, blue"
        notes["normalised"] = "mean and deviation of each channel" if authors else "no, 0 to 1"
    else:
        notes["step"] = "a row: reds, greens, blues" if authors else "a row of red, green, blue"
        notes["noise"] = "one block for all samples" if noise == "fixed" else "each sample's own"
    if authors and task == "pixels":
        notes["augmentation"] = f"{cropped}, validation images too, those once and for all"
    else:
        notes["augmentation"] = cropped if augment else "none"
    return notes


def _noise_kind(where: str, task: str, pipeline: str, noise: str | None) -> str | None:
    if task == "pixels":
        if noise is not None:
            raise InputError(
                f"{where}: expected no `noise` with task='pixels', got {noise!r}. "
                "Use task='noise' or remove it."
            )
        return None
    own = "fixed" if pipeline == "authors" else "fresh"
    kind = own if noise is None else noise
    require_known(where, "noise", kind, NOISE_KINDS)
    if pipeline == "authors" and kind != own:
        raise InputError(
            f"{where}: expected noise={own!r} with pipeline='authors', got {noise!r}. "
            "Use pipeline='task' for fresh noise."
        )
    return kind
