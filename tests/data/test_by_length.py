from itertools import pairwise

import numpy as np
import pytest
import torch

from lipschitz_rnn.data import (
    ArrayDataset,
    FrameDataset,
    SequenceDataset,
    group_by_length,
)
from lipschitz_rnn.data.by_length import POOL, lengths_of


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def grouped(lengths, size, seed=0):
    order = torch.randperm(len(lengths), generator=generator(seed))
    return order, group_by_length(lengths, order, size, generator(seed))


LENGTHS = torch.randint(1, 1000, (1000,), generator=generator(7))


@pytest.mark.parametrize("size", [1, 7, 32, 1000, 3000])
def test_every_sequence_is_in_one_batch_and_there_are_as_many_batches_as_without(size):
    _, batches = grouped(LENGTHS, size)
    assert sorted(torch.cat(batches).tolist()) == list(range(1000))
    assert len(batches) == -(-1000 // size)
    assert max(map(len, batches)) <= size


def test_a_pool_of_the_order_is_cut_by_length():
    """No two batches of a pool have lengths that interleave, and each holds what the pool had."""
    size = 8
    order, batches = grouped(LENGTHS, size)
    pools = order.split(POOL * size)
    for pool in pools:
        members = set(pool.tolist())
        own = [batch for batch in batches if batch[0].item() in members]
        assert {k for batch in own for k in batch.tolist()} == members
        ranges = sorted((int(LENGTHS[b].min()), int(LENGTHS[b].max())) for b in own)
        assert all(low[1] <= high[0] for low, high in pairwise(ranges))
    assert len(pools) > 2


def test_both_what_is_together_and_the_order_of_batches_are_random():
    _, first = grouped(LENGTHS, 8, 0)
    _, same = grouped(LENGTHS, 8, 0)
    _, other = grouped(LENGTHS, 8, 1)
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    together = [{frozenset(batch.tolist()) for batch in batches} for batches in (first, other)]
    assert not together[0] & together[1]
    middle = [float(LENGTHS[batch].float().mean()) for batch in first]
    assert middle != sorted(middle)
    # the ranks of 125 random batches correlate with their places by 1 / sqrt(124) at one sigma
    assert abs(np.corrcoef(middle, range(len(middle)))[0, 1]) < 4 / np.sqrt(len(middle) - 1)


def array_dataset(lengths=None):
    values = np.zeros((2, 6, 1), np.float32)
    return ArrayDataset(values, np.zeros(2, np.int64), lengths=lengths)


def read_only(lengths):
    lengths.flags.writeable = False
    return lengths


@pytest.mark.parametrize(
    "lengths",
    [
        np.array([6, 2], np.uint8),
        np.array([2, 6])[::-1],
        np.array([6, 2], ">i4"),
        read_only(np.array([6, 2])),
    ],
    ids=["bytes", "reversed", "big-endian", "read-only"],
)
def test_lengths_of_arrays(lengths):
    found = lengths_of(array_dataset(lengths))
    assert found.tolist() == [6, 2]
    assert found.dtype == torch.int64


def test_a_data_set_says_how_long_its_sequences_are():
    frames = FrameDataset(torch.zeros(9, 2), torch.tensor([0, 4]), torch.tensor([4, 5]))
    assert lengths_of(frames).tolist() == frames.batch(slice(None)).lengths.tolist() == [3, 4]
    assert lengths_of(array_dataset()) is None
    assert lengths_of(SequenceDataset(torch.zeros(2, 6, 1), torch.zeros(2).long())) is None


def test_nothing_makes_no_batch():
    assert group_by_length(LENGTHS, torch.tensor([], dtype=torch.int64), 4, generator()) == []


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_sizes_that_are_none_are_refused(size, error):
    with pytest.raises(error, match="group_by_length: expected `batch_size`"):
        grouped(LENGTHS, size)
