"""Batches of sequences of like length: less padding, and random still."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lipschitz_rnn.data.batch import Dataset

POOL = 16
"""Batches that are sorted by length together: enough to save padding, few enough to stay random."""


def group_by_length(
    lengths: Tensor, order: Tensor, batch_size: int, generator: torch.Generator
) -> list[Tensor]:
    """Batches of nearly equal size, of the sequences that a random order leaves near each other.

    The order is cut into pools of :data:`POOL` batches, each is sorted by length and cut, and then
    the batches of all pools are shuffled: what is together in a batch differs from epoch to epoch.

    Args:
        lengths: Of all sequences, shape ``(n,)``.
        order: Those to batch, in random order, shape ``(m,)``, int64.
        batch_size: Sequences a batch, at most.
        generator: For the order of the batches.

    Returns:
        Indices of each batch; there are as many as without grouping, ``m / batch_size`` rounded up.

    Examples:
        >>> lengths, order = torch.tensor([9, 2, 8, 1, 9]), torch.arange(5)
        >>> batches = group_by_length(lengths, order, 2, torch.Generator().manual_seed(0))
        >>> sorted(lengths[batch].tolist() for batch in batches)
        [[1, 2], [8, 9], [9]]
    """
    batches: list[Tensor] = []
    for pool in torch.split(order, POOL * batch_size):
        by_length = pool[lengths[pool].argsort(stable=True)]
        batches.extend(by_length.tensor_split(-(-len(pool) // batch_size)))
    return [batches[k] for k in torch.randperm(len(batches), generator=generator).tolist()]


def lengths_of(dataset: "Dataset") -> Tensor | None:
    """Steps of each sequence of a data set, shape ``(n,)``, int64; None if it keeps none."""
    lengths = getattr(dataset, "lengths", None)
    return None if lengths is None else torch.as_tensor(lengths, dtype=torch.int64)
