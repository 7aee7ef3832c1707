"""Which samples make up each batch of an epoch."""

from collections.abc import Sequence
from typing import Any

import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Dataset, Split, group_by_length, lengths_of
from lipschitz_rnn.training.config import RunConfig, TrainingConfig
from lipschitz_rnn.training.seeds import derive_seed, epoch_order


def plan_epoch(config: RunConfig, dataset: Dataset, epoch: int) -> Sequence[Any]:
    """The batches of an epoch, whatever happened before it.

    Args:
        config: Of the run.
        dataset: The training samples.
        epoch: Counted from 1.

    Returns:
        What ``dataset.batch`` takes, one entry a batch.
    """
    settings, seed = config.training, config.seed.order
    if dataset.carries_state:
        return dataset.plan(settings.batch_size)
    order = epoch_order(seed, epoch, len(dataset))
    lengths = lengths_of(dataset) if settings.group_by_length else None
    if lengths is None:
        return dataset.plan(settings.batch_size, order)
    generator = torch.Generator().manual_seed(derive_seed("batches", seed, epoch))
    return group_by_length(lengths, order, settings.batch_size, generator)


def require_plan(settings: TrainingConfig, split: Split) -> None:
    """Raise ``InputError`` if samples are to be grouped by lengths that they do not have."""
    if settings.group_by_length and lengths_of(split.train) is None:
        raise InputError(
            "training.group_by_length: expected sequences with lengths of their own, got "
            f"{split.name}, which has none. Remove it."
        )
