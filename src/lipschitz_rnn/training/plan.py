"""Which samples make up each batch of an epoch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Dataset, Split, group_by_length
from lipschitz_rnn.data.by_length import lengths_of
from lipschitz_rnn.training.config import RunConfig, TrainingConfig
from lipschitz_rnn.training.seeds import derive_seed, epoch_order


@dataclass(frozen=True)
class Plan:
    """The batches of an epoch.

    Attributes:
        batches: What ``dataset.batch`` takes, one entry a batch.
        steps: Valid steps of an update, in the mean over the epoch, if batches were grouped by
            length. The mean over the answers of an update is then weighed by how many they are:
            else a step of a short sequence, among others like it, would count for more than one of
            a long sequence.
    """

    batches: Sequence[Any]
    steps: float | None = None

    def weight(self, answers: int, every_step: bool) -> float:
        """What the loss of an update is multiplied with.

        Args:
            answers: Over which it is a mean.
            every_step: Whether every step has one; sequences are equally many in all batches.

        Returns:
            1 in the mean over the updates of an epoch.
        """
        return answers / self.steps if self.steps and every_step else 1.0


def plan_epoch(config: RunConfig, dataset: Dataset, epoch: int) -> Plan:
    """The batches of an epoch, whatever happened before it.

    Args:
        config: Of the run.
        dataset: The training samples.
        epoch: Counted from 1.

    Returns:
        The plan; the same for every worker.
    """
    settings, seed = config.training, config.seed.order
    if dataset.carries_state:
        return Plan(dataset.plan(settings.batch_size))
    order = epoch_order(seed, epoch, len(dataset))
    lengths = lengths_of(dataset) if settings.group_by_length else None
    if lengths is None:
        return Plan(dataset.plan(settings.batch_size, order))
    generator = torch.Generator().manual_seed(derive_seed("batches", seed, epoch))
    batches = group_by_length(lengths, order, settings.batch_size, generator)
    updates = sum(_updates(lengths[batch], settings.truncate_steps) for batch in batches)
    return Plan(batches, int(lengths.sum()) / updates)


def _updates(lengths: Tensor, piece: int | None) -> int:
    """Of a batch in which every step has an answer."""
    return 1 if piece is None else math.ceil(int(lengths.max()) / piece)


def require_lengths_to_group(settings: TrainingConfig, split: Split) -> None:
    """Raise ``InputError`` if samples are to be grouped by lengths that they do not have."""
    if settings.group_by_length and lengths_of(split.train) is None:
        raise InputError(
            "training.group_by_length: expected sequences of unequal lengths, got "
            f"{split.name}, whose data set has no `lengths`. Remove the setting."
        )
