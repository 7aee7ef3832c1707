"""Random bits that depend on what they are for, and on nothing that was drawn before."""

import numpy as np
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15


def random_bits(seed: int, epoch: int, ids: Tensor) -> np.ndarray:
    """64 random bits for each sample: a function of the seed, the epoch and the sample alone.

    They are the outputs number ``ids`` of the generator SplitMix64 that starts at a hash of the
    seed and the epoch.

    Args:
        seed: At least 0.
        epoch: At least 0.
        ids: Which samples, shape ``(B,)``, at least 0.

    Returns:
        Shape ``(B,)``, uint64.

    References:
        Steele, Lea, Flood (2014), Fast splittable pseudorandom number generators, sec. 5.
    """
    start = _split_mix(_split_mix(np.array([seed % 2**64], np.uint64)) + np.uint64(epoch))
    return _split_mix(start + ids.numpy().astype(np.uint64) * np.uint64(_GOLDEN))


def _split_mix(state: np.ndarray) -> np.ndarray:
    """One output of SplitMix64 for each state; unsigned arithmetic wraps around."""
    z = state + np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
