"""Rows that a trained run reads, and how training scaled what they hold."""

from dataclasses import dataclass

import numpy as np

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.array_dataset import SCALES
from lipschitz_rnn.data.image_tasks import IMAGE_TASKS
from lipschitz_rnn.training import DataConfig


class RowError(ValueError):
    """A row that cannot be used; the message says why, and not which one it is."""


@dataclass(frozen=True)
class Row:
    """One time step of one stream.

    Attributes:
        number: Of its line, counted from 1.
        values: P numbers, NaN where missing.
        stream: The name of its stream; None if there is only one.
        when: Its time stamp, or for how long it is held; None for one step each.
    """

    number: int
    values: list[float]
    stream: str | None = None
    when: float | None = None


@dataclass(frozen=True)
class Scale:
    """From the numbers of a row to the model's input.

    Attributes:
        factor: What numbers are multiplied with.
        maximum: Numbers are whole, up to this; None for any number.
        minimum: And from this on.
    """

    factor: float = 1.0
    maximum: int | None = None
    minimum: int = 0


def training_scale(data: DataConfig, input_dtype: str | None = None) -> Scale:
    """How training scaled the numbers that a data set stores.

    Args:
        data: The data of a run.
        input_dtype: Type of the arrays that it was trained on, if it was.

    Returns:
        The scale; 1 for numbers that the model reads as they are.

    Raises:
        InputError: If more was done to them than to scale them.

    Examples:
        >>> training_scale(DataConfig("digits", steps=8))
        Scale(factor=0.0625, maximum=16, minimum=0)
    """
    if data.name in IMAGE_TASKS:
        task = IMAGE_TASKS[data.name]
        return Scale(task.scale(data.pipeline or "task", data.permutation), task.maximum)
    if input_dtype in SCALES:
        limits = np.iinfo(input_dtype)
        return Scale(SCALES[input_dtype], limits.max, limits.min)
    if not data.name.startswith("cifar10"):
        return Scale()
    if data.task == "noise" or data.pipeline == "authors":
        raise InputError(
            f"stream: expected --scale with a model of {data.name} that was trained on "
            f"{'noise' if data.task == 'noise' else 'normalised pixels'}, got none. Give rows as "
            "the model reads them, and --scale 1."
        )
    return Scale(1 / 255, 255)
