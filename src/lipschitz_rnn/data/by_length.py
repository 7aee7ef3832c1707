"""Batches of sequences of like length: less padding, and random still."""

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_positive_int
from lipschitz_rnn.data.batch import Dataset

POOL = 16
"""Batches that are sorted by length together: enough to save padding, few enough to stay random."""


def group_by_length(
    lengths: Tensor, order: Tensor, batch_size: int, generator: torch.Generator
) -> list[Tensor]:
    """Batches of nearly equal size, of the sequences that a random order leaves near each other.

    The order is cut into pools of 16 batches, each is sorted by length and cut, and then the
    batches of all pools are shuffled: what is together in a batch differs from epoch to epoch.

    A mean over the steps of a batch is then one over sequences of like length. Who averages such
    means over batches counts each step of a short sequence more than one of a long sequence, unless
    each is weighed by the steps of its batch, as training does.

    Args:
        lengths: Steps of all sequences, shape ``(n,)``.
        order: Those to batch, in random order, shape ``(m,)``, int64.
        batch_size: Sequences a batch, at most.
        generator: For the order of the batches.

    Returns:
        Indices of each batch; there are as many as without grouping, ``m / batch_size`` rounded up.

    Raises:
        TypeError: If the batch size is no integer.
        ValueError: If it is not positive.

    Examples:
        >>> lengths, order = torch.tensor([9, 2, 8, 1, 9]), torch.arange(5)
        >>> batches = group_by_length(lengths, order, 2, torch.Generator().manual_seed(0))
        >>> sorted(lengths[batch].tolist() for batch in batches)
        [[1, 2], [8, 9], [9]]
    """
    require_positive_int("group_by_length", "batch_size", batch_size)
    batches: list[Tensor] = []
    for pool in torch.split(order, POOL * batch_size) if len(order) else ():
        by_length = pool[lengths[pool].argsort(stable=True)]
        batches.extend(by_length.tensor_split(-(-len(pool) // batch_size)))
    return [batches[k] for k in torch.randperm(len(batches), generator=generator).tolist()]


def lengths_of(dataset: Dataset) -> Tensor | None:
    """Steps of each sequence of a data set with an attribute ``lengths``; None of others.

    Args:
        dataset: The sequences.

    Returns:
        Shape ``(n,)``, int64.
    """
    lengths = getattr(dataset, "lengths", None)
    if lengths is None or isinstance(lengths, Tensor):
        return lengths
    return torch.from_numpy(np.array(lengths, dtype=np.int64))
