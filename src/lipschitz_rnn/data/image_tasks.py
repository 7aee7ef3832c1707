"""Images read pixel by pixel: MNIST and scikit-learn's digits as sequences, split in three."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lipschitz_rnn._base.checks import require_name
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import digits, mnist
from lipschitz_rnn.data.images import LabelledImages
from lipschitz_rnn.data.permutations import named_permutation
from lipschitz_rnn.data.sequence import SequenceDataset, check_steps, to_sequences
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.split import (
    PIPELINES,
    Split,
    require_below,
    require_known,
    require_split,
    split_order,
)
from lipschitz_rnn.data.warp import random_moves


@dataclass(frozen=True)
class ImageTask:
    """What the samples of a task look like.

    Attributes:
        name: Its name.
        side: Height and width of an image, in pixels.
        maximum: Pixels are whole numbers from 0 to this; the model sees ``pixel / maximum``.
        num_classes: Number of classes.
        train_count: Samples for training and validation together.
        load: Reads the samples; takes a data folder and a report, or None for either.
    """

    name: str
    side: int
    maximum: int
    num_classes: int
    train_count: int
    load: Callable[[Path | None, Report | None], LabelledImages]

    @property
    def pixels(self) -> int:
        """Pixels of one image."""
        return self.side * self.side

    def scale(self, pipeline: str = "task", permutation: str | None = None) -> float:
        """Factor from pixels to model input.

        Args:
            pipeline: ``"authors"`` feeds permuted images as they are stored, 0 to ``maximum``.
            permutation: Of the pixels, if any.

        Returns:
            ``1 / maximum``, or 1.
        """
        return 1.0 if pipeline == "authors" and permutation is not None else 1.0 / self.maximum


IMAGE_TASKS = {
    "mnist": ImageTask(
        "mnist",
        mnist.SIDE,
        255,
        mnist.CLASSES,
        mnist.TRAIN_COUNT,
        lambda data_dir, report: mnist.load_mnist(data_dir=data_dir, report=report),
    ),
    "digits": ImageTask(
        "digits",
        digits.SIDE,
        digits.MAXIMUM,
        digits.CLASSES,
        digits.TRAIN_COUNT,
        lambda _data_dir, _report: digits.load_digits(),
    ),
}


def find_image_task(name: str) -> ImageTask:
    """A task by name.

    Args:
        name: ``"mnist"`` or ``"digits"``.

    Returns:
        The task.

    Raises:
        InputError: If there is none of that name; the message gives the nearest one.
    """
    require_name("task", name, IMAGE_TASKS)
    return IMAGE_TASKS[name]


def load_image_split(
    name: str,
    *,
    steps: int,
    permutation: str | None = None,
    pipeline: str = "task",
    shift: int = 0,
    warp: float = 0.0,
    validation_size: int = 2000,
    split_seed: int = 1234,
    transform_seed: int = 0,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> Split:
    """Load images, read them as sequences and split them.

    The training samples are put in the order ``RandomState(split_seed).permutation(n)``; the last
    ``validation_size`` of them are for validation. The test samples are the task's own.

    Args:
        name: ``"mnist"`` (60,000 training and 10,000 test images) or ``"digits"`` (1,437 and 360).
        steps: Sequence length T; must divide the number of pixels, 784 or 64.
        permutation: Name of a permutation of the pixels, see `named_permutation`.
        pipeline: ``"task"`` for values in [0, 1]. ``"authors"`` for those of the authors' code,
            which differ for permuted images alone: bytes as they are stored, 0 to 255.
        shift: Training images are moved by up to so many pixels each way, anew in every epoch; less
            than half of their side.
        warp: Training images are stretched, turned and leaned by up to this share, see
            :class:`lipschitz_rnn.data.warp.Warp`; below 1.
        validation_size: Samples for validation; 0 for none.
        split_seed: Seed of the split, 0 ... 2**32 - 1.
        transform_seed: Seed of both, at least 0.
        data_dir: A data folder to ask first.
        report: Takes one line for each source that failed.

    Returns:
        Sequences ``(n, T, P)`` of bytes, scaled when a batch is taken.

    Raises:
        InputError: If an argument does not fit the task, or a file in the user's folder is wrong.
    """
    task = find_image_task(name)
    check_steps(task.pixels, steps)  # before anything is downloaded
    require_known(name, "pipeline", pipeline, PIPELINES)
    order = None if permutation is None else named_permutation(permutation, task.pixels)
    require_below(name, "shift", shift, -(-task.side // 2))
    if not 0 <= warp < 1:
        raise InputError(f"{name}: expected 0 <= `warp` < 1, got {warp}.")
    require_below(name, "transform_seed", transform_seed, 2**63)
    require_split(name, task.train_count, validation_size, split_seed)
    images = task.load(data_dir, report)
    scale = task.scale(pipeline, permutation)

    def dataset(pixels: np.ndarray, target: np.ndarray) -> SequenceDataset:
        values = to_sequences(pixels, steps, permutation)
        return SequenceDataset(values, torch.from_numpy(target.astype(np.int64)), scale)

    # Epoch 0, which is evaluation, moves nothing: validation samples may have the transform, too.
    moves = random_moves(warp, shift, transform_seed, order)
    fitted, held_out = split_order(task.train_count, validation_size, split_seed)
    train = dataset(images.train_images, images.train_target)
    train = dataclasses.replace(train, transform=moves)
    return Split(
        name=name,
        train=train.subset(fitted),
        validation=train.subset(held_out),
        test=dataset(images.test_images, images.test_target),
        output_size=task.num_classes,
        source=images.source,
        digest=images.digest,
        trivial={"uniform": math.log(task.num_classes)},
        notes={"input scale": f"0 to {scale * task.maximum:g}"} | _augmentation(shift, warp),
    )


def _augmentation(shift: int, warp: float) -> dict[str, str]:
    told = [f"shifts of up to {shift} px"] if shift else []
    told += [f"linear maps of up to {warp:g}"] if warp else []
    return {"augmentation": ", ".join(told)} if told else {}
