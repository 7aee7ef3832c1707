"""Tasks by name: their samples as sequences, split for training, validation and test."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.checks import nearest
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import digits, mnist
from lipschitz_rnn.data.images import LabelledImages
from lipschitz_rnn.data.permutations import named_permutation
from lipschitz_rnn.data.sequence import SequenceDataset, Split, check_steps, to_sequences
from lipschitz_rnn.data.sources import Report


@dataclass(frozen=True)
class Task:
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

    @property
    def scale(self) -> float:
        """Factor from pixels to model input in [0, 1]."""
        return 1.0 / self.maximum


TASKS = {
    "mnist": Task(
        "mnist",
        mnist.SIDE,
        255,
        mnist.CLASSES,
        mnist.TRAIN_COUNT,
        lambda data_dir, report: mnist.load_mnist(data_dir=data_dir, report=report),
    ),
    "digits": Task(
        "digits",
        digits.SIDE,
        digits.MAXIMUM,
        digits.CLASSES,
        digits.TRAIN_COUNT,
        lambda _data_dir, _report: digits.load_digits(),
    ),
}


def find_task(name: str) -> Task:
    """A task by name.

    Args:
        name: ``"mnist"`` or ``"digits"``.

    Returns:
        The task.

    Raises:
        InputError: If there is none of that name; the message gives the nearest one.
    """
    if name not in TASKS:
        hint = nearest(name, TASKS)
        raise InputError(
            f"task: expected one of {', '.join(TASKS)}, got {name!r}."
            + (f" {hint}" if hint else "")
        )
    return TASKS[name]


def load_split(
    name: str,
    *,
    steps: int,
    permutation: str | None = None,
    validation_size: int,
    split_seed: int = 1234,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> Split:
    """Load a task and split it.

    The training samples are put in the order ``RandomState(split_seed).permutation(n)``; the last
    ``validation_size`` of them are for validation. The test samples are the task's own.

    Args:
        name: ``"mnist"`` (60,000 training and 10,000 test images) or ``"digits"`` (1,437 and 360).
        steps: Sequence length T; must divide the number of pixels, 784 or 64.
        permutation: Name of a permutation of the pixels, see `named_permutation`.
        validation_size: Samples for validation; 0 for none.
        split_seed: Seed of the split, 0 ... 2**32 - 1.
        data_dir: A data folder to ask first.
        report: Takes one line for each source that failed.

    Returns:
        Sequences ``(n, T, P)`` of bytes, scaled to [0, 1] when a batch is taken.

    Raises:
        InputError: If an argument does not fit the task, or a file in the user's folder is wrong.
        DataUnavailableError: If no source has the data.

    Examples:
        >>> split = load_split("digits", steps=8, validation_size=137)
        >>> len(split.train), len(split.validation), len(split.test), split.train.input_size
        (1300, 137, 360, 8)
    """
    task = find_task(name)
    check_steps(task.pixels, steps)  # before anything is downloaded
    if permutation is not None:
        named_permutation(permutation, task.pixels)
    if not 0 <= validation_size < task.train_count:
        raise InputError(
            f"load_split: expected 0 <= `validation_size` < {task.train_count}, "
            f"got {validation_size}."
        )
    if not 0 <= split_seed < 2**32:
        raise InputError(f"load_split: expected 0 <= `split_seed` < 2**32, got {split_seed}.")
    images = task.load(data_dir, report)

    def dataset(pixels: np.ndarray, target: np.ndarray) -> SequenceDataset:
        values = to_sequences(pixels, steps, permutation)
        return SequenceDataset(values, torch.from_numpy(target.astype(np.int64)), task.scale)

    fitted, held_out = split_order(task.train_count, validation_size, split_seed)
    train = dataset(images.train_images, images.train_target)
    return Split(
        name=name,
        train=train.subset(fitted),
        validation=train.subset(held_out),
        test=dataset(images.test_images, images.test_target),
        num_classes=task.num_classes,
        source=images.source,
        digest=images.digest,
    )


def split_order(count: int, validation_size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices for training and for validation.

    Args:
        count: Number of samples.
        validation_size: How many of them are for validation.
        seed: Seed of numpy's ``RandomState``, whose permutations numpy promises never to change.

    Returns:
        Shapes ``(count - validation_size,)`` and ``(validation_size,)``, int64.
    """
    order = torch.from_numpy(np.random.RandomState(seed).permutation(count))
    cut = count - validation_size
    return order[:cut], order[cut:]
