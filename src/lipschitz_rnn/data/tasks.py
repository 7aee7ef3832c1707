"""Data sets by name: one function a data set, its keyword arguments the options it takes."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lipschitz_rnn._base.checks import nearest
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.batch import Dataset
from lipschitz_rnn.data.image_tasks import load_image_split
from lipschitz_rnn.data.pendulum import load_pendulum
from lipschitz_rnn.data.ptb import load_ptb
from lipschitz_rnn.data.ragged import FrameDataset
from lipschitz_rnn.data.scifar import load_scifar
from lipschitz_rnn.data.sequence import SequenceDataset
from lipschitz_rnn.data.shakespeare import load_shakespeare
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.speech import load_speech
from lipschitz_rnn.data.split import Split
from lipschitz_rnn.data.stream import SymbolStream
from lipschitz_rnn.data.synthetic import load_adding, load_copying
from lipschitz_rnn.data.timit import load_timit

LOADERS: Mapping[str, Callable[..., Split]] = {
    "adding": load_adding,
    "cifar10": partial(load_scifar, "cifar10"),
    "cifar10-jpeg": partial(load_scifar, "cifar10-jpeg"),
    "copying": load_copying,
    "digits": partial(load_image_split, "digits"),
    "mnist": partial(load_image_split, "mnist"),
    "pendulum": load_pendulum,
    "ptb-char": partial(load_ptb, "char"),
    "ptb-word": partial(load_ptb, "word"),
    "shakespeare": load_shakespeare,
    "speech": load_speech,
    "timit": load_timit,
}
"""Every data set, with the function that loads it."""

_EVERYWHERE = ("data_dir", "report")


def split_options(name: str) -> tuple[str, ...]:
    """Options that a data set takes, besides ``train_size`` and where to look for it.

    Args:
        name: One of :data:`LOADERS`.

    Returns:
        Names of the keyword arguments of :func:`load_split`.

    Raises:
        InputError: If there is no such data set; the message gives the nearest one.

    Examples:
        >>> split_options("shakespeare")
        ('steps',)
    """
    if name not in LOADERS:
        hint = nearest(name, LOADERS)
        raise InputError(
            f"data set: expected one of {', '.join(LOADERS)}, got {name!r}. {hint}".rstrip()
        )
    parameters = inspect.signature(LOADERS[name]).parameters.values()
    keywords = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    return tuple(name for name in keywords if name not in _EVERYWHERE)


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
        name: One of :data:`LOADERS`.
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
    required = inspect.signature(LOADERS[name]).parameters
    for key in taken:
        if key not in given and required[key].default is inspect.Parameter.empty:
            raise InputError(f"data set {name}: expected a value for {key}, got none.")
    split = LOADERS[name](data_dir=data_dir, report=report, **given)
    if train_size is None:
        return split
    return dataclasses.replace(split, train=_first(split.train, train_size))


def _first(dataset: Dataset, count: int) -> Dataset:
    """The first samples of a data set, in its order."""
    if not 1 <= count <= len(dataset):
        raise InputError(f"train_size: expected 1 to {len(dataset)}, got {count}.")
    if isinstance(dataset, SymbolStream):
        return dataclasses.replace(dataset, symbols=dataset.symbols[: count + 1])
    assert isinstance(dataset, (SequenceDataset, FrameDataset))  # for the type checker: all others
    return dataset.subset(torch.arange(count))
