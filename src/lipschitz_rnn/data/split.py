"""A task's samples in three parts, and how a model of them is to be judged."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_choice
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.batch import Dataset

KINDS = ("classes", "values", "frames", "spectra", "symbols", "characters", "words")
"""What is asked of a model.

``"classes"``: a class after the last step. ``"values"``: numbers after the last step. ``"frames"``:
numbers at every step; ``"spectra"``: the same, natural logarithms of magnitudes. ``"symbols"``: a
class at every step; ``"characters"`` and ``"words"``: the next symbol of a text.
"""

PIPELINES = ("task", "authors")
"""How samples are prepared: as the task is described, or as the authors' code does it."""


@dataclass(frozen=True)
class Split:
    """A task's samples for training, for choosing a model, and for the final figure.

    Attributes:
        name: The data set, such as ``"mnist"``.
        train: What the parameters are fitted to.
        validation: Held out of the training samples to choose between models; may be empty.
        test: The task's own test samples.
        output_size: Q, numbers of an answer: how many classes, symbols or values.
        source: Where the bytes came from: ``"folder X"``, ``"cache X"``, ``"mirror HOST"``, ...
        digest: SHA-256 that names the raw data, see `lipschitz_rnn.data.manifest_digest`.
        kind: What is asked, one of :data:`KINDS`.
        trivial: Loss on the test samples of predictors that know nothing, by name; a model that has
            learned is below them.
        notes: What else a figure must be read with, such as speakers or units.
    """

    name: str
    train: Dataset
    validation: Dataset
    test: Dataset
    output_size: int
    source: str
    digest: str
    kind: str = "classes"
    trivial: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def timed(self) -> bool:
        """Whether its inputs come with times ``dt``."""
        return getattr(self.train, "dt", None) is not None

    @property
    def input_dtype(self) -> str | None:
        """Type of the inputs of arrays, which :func:`as_input` scales by it; None of others."""
        values = getattr(self.train, "values", None)
        return values.dtype.name if isinstance(values, np.ndarray) else None


def require_known(where: str, name: str, value: str, choices: Collection[str]) -> None:
    """Raise ``InputError`` that names the nearest choice unless ``value`` is one."""
    try:
        require_choice(where, name, value, choices)
    except ValueError as error:
        raise InputError(str(error)) from None


def require_split(where: str, count: int, validation_size: int, split_seed: int) -> None:
    """Raise ``InputError`` unless so many of ``count`` samples can be held out under the seed."""
    require_below(where, "validation_size", validation_size, count)
    require_below(where, "split_seed", split_seed, 2**32)


def require_below(where: str, name: str, value: int, high: int) -> None:
    """Raise ``InputError`` unless ``value`` is at least 0 and below ``high``."""
    if not 0 <= value < high:
        raise InputError(f"{where}: expected 0 <= `{name}` < {high}, got {value}.")


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
