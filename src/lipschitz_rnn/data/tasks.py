"""Data sets by name: one function a data set, its keyword arguments the options it takes."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lipschitz_rnn._base.checks import require_name
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.array_dataset import ArrayDataset
from lipschitz_rnn.data.arrays import load_arrays
from lipschitz_rnn.data.batch import Dataset
from lipschitz_rnn.data.image_tasks import load_image_split
from lipschitz_rnn.data.pendulum import load_pendulum
from lipschitz_rnn.data.ptb import load_ptb
from lipschitz_rnn.data.ragged import FrameDataset
from lipschitz_rnn.data.scifar import load_scifar
from lipschitz_rnn.data.sequence import SequenceDataset
from lipschitz_rnn.data.series import SeriesStream
from lipschitz_rnn.data.shakespeare import load_shakespeare
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.speech import load_speech
from lipschitz_rnn.data.split import Split
from lipschitz_rnn.data.stream import SymbolStream
from lipschitz_rnn.data.synthetic import load_adding, load_copying
from lipschitz_rnn.data.timit import load_timit


@dataclasses.dataclass(frozen=True)
class Task:
    """A data set by what is known of it before it is loaded.

    Attributes:
        load: The function that loads it.
        timed: Whether its inputs come with times ``dt``; of arrays, only their files say.
    """

    load: Callable[..., Split]
    timed: bool = False


TASKS: Mapping[str, Task] = {
    "adding": Task(load_adding),
    "arrays": Task(load_arrays),
    "cifar10": Task(partial(load_scifar, "cifar10")),
    "cifar10-jpeg": Task(partial(load_scifar, "cifar10-jpeg")),
    "copying": Task(load_copying),
    "digits": Task(partial(load_image_split, "digits")),
    "mnist": Task(partial(load_image_split, "mnist")),
    "pendulum": Task(load_pendulum, timed=True),
    "ptb-char": Task(partial(load_ptb, "char")),
    "ptb-word": Task(partial(load_ptb, "word")),
    "shakespeare": Task(load_shakespeare),
    "speech": Task(load_speech),
    "timit": Task(load_timit),
}
"""Every data set."""

_EVERYWHERE = ("data_dir", "report")


def split_options(name: str) -> tuple[str, ...]:
    """Options that a data set takes, besides ``train_size`` and where to look for it.

    Args:
        name: One of :data:`TASKS`.

    Returns:
        Names of the keyword arguments of :func:`load_split`.

    Raises:
        InputError: If there is no such data set; the message gives the nearest one.

    Examples:
        >>> split_options("shakespeare")
        ('steps',)
    """
    parameters = inspect.signature(_task(name).load).parameters.values()
    keywords = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    return tuple(name for name in keywords if name not in _EVERYWHERE)


def has_times(name: str) -> bool:
    """Whether the inputs of a data set come with times ``dt``; nothing is loaded.

    Args:
        name: One of :data:`TASKS`.

    Returns:
        Whether every part of its split has ``dt``; False for arrays, whose files alone say.

    Raises:
        InputError: If there is no such data set; the message gives the nearest one.

    Examples:
        >>> has_times("pendulum"), has_times("digits")
        (True, False)
    """
    return _task(name).timed


def _task(name: str) -> Task:
    require_name("data set", name, TASKS)
    return TASKS[name]


def load_split(
    name: str,
    *,
    train_size: int | None = None,
    data_dir: Path | None = None,
    report: Report | None = None,
    **options: Any,
) -> Split:
    """Load a data set and split it.

    Args:
        name: One of :data:`TASKS`.
        train_size: Use the first so many training samples alone; all if None.
        data_dir: A data folder to ask first.
        report: Takes one line for each source that failed.
        options: What the data set takes, see :func:`split_options` and its own function; an option
            that is None is left at the data set's own choice.

    Returns:
        Its samples in three parts.

    Raises:
        InputError: If an option does not fit the data set, or a file is wrong or missing.

    Examples:
        >>> split = load_split("digits", steps=8, validation_size=137)
        >>> len(split.train), len(split.validation), len(split.test), split.train.input_size
        (1300, 137, 360, 8)
    """
    taken = split_options(name)
    given = {key: value for key, value in options.items() if value is not None}
    for key, value in given.items():
        if key not in taken:
            raise InputError(
                f"data set {name}: expected options among {', '.join(taken)}, "
                f"got {key}={value!r}. Remove it."
            )
    task = _task(name)
    required = inspect.signature(task.load).parameters
    for key in taken:
        if key not in given and required[key].default is inspect.Parameter.empty:
            raise InputError(f"data set {name}: expected a value for {key}, got none.")
    split = task.load(data_dir=data_dir, report=report, **given)
    if train_size is None:
        return split
    return dataclasses.replace(split, train=_first(split.train, train_size))


def _first(dataset: Dataset, count: int) -> Dataset:
    """The first samples of a data set, in its order."""
    if not 1 <= count <= len(dataset):
        raise InputError(f"train_size: expected 1 to {len(dataset)}, got {count}.")
    if isinstance(dataset, ArrayDataset | SeriesStream):
        return dataset.subset(count)
    if isinstance(dataset, SymbolStream):
        return dataclasses.replace(dataset, symbols=dataset.symbols[: count + 1])
    assert isinstance(dataset, (SequenceDataset, FrameDataset))  # for the type checker: all others
    return dataset.subset(torch.arange(count))
