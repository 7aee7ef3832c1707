"""From the seeds of a configuration to streams of chance that know nothing of each other."""

import hashlib

import torch
from torch import Tensor


def derive_seed(*parts: str | int) -> int:
    """A seed that depends on all parts, and is unrelated for any two different lists of them.

    Args:
        parts: Such as a purpose, a seed and an epoch.

    Returns:
        An integer in [0, 2^63).
    """
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def epoch_order(seed: int, epoch: int, count: int) -> Tensor:
    """The order of the training samples in an epoch, whatever happened before it.

    Args:
        seed: The order seed.
        epoch: Counted from 1.
        count: Samples, n.

    Returns:
        A permutation of 0..n-1, shape (n,).
    """
    generator = torch.Generator().manual_seed(derive_seed("order", seed, epoch))
    return torch.randperm(count, generator=generator)


def dropout_seed(seed: int, worker: int, *position: int) -> int:
    """Where the random numbers of a worker begin: each has a stream of its own.

    Args:
        seed: The dropout seed.
        worker: Its number; the first has the stream of a process alone.
        position: Epochs and updates done, for one that joins later.

    Returns:
        A seed.
    """
    return derive_seed("dropout", seed, *((worker, *position) if worker else ()))
