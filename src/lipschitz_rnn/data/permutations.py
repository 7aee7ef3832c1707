"""Pixel permutations by name, so that a preset or a record says exactly which one was meant."""

import hashlib
import re

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.checks import nearest
from lipschitz_rnn._base.errors import InputError

AUTHORS_SEED = 12008
AUTHORS_LENGTH = 784
AUTHORS_SHA256 = "f4113bc8ae78902146fba54feaff34c7de185249d3b85ce9584e3d76ca98b3bd"

_SEEDED = re.compile(r"seed-(0|[1-9][0-9]{0,17})")  # one spelling per seed, all below 2**63
_NUMPY = re.compile(r"numpy-(0|[1-9][0-9]{0,9})")
_NUMPY_LIMIT = 2**32


def permutation_sha256(permutation: Tensor) -> str:
    """SHA-256 of a permutation's entries as little-endian int64, in hexadecimal."""
    return hashlib.sha256(permutation.numpy().astype("<i8").tobytes()).hexdigest()


def named_permutation(name: str, length: int) -> Tensor:
    """The permutation that a name stands for.

    ``"authors"`` is the one of permuted MNIST in the authors' experiments, ``torch.randperm(784)``
    at seed 12008. ``"seed-<n>"`` is ``torch.randperm(length)`` at seed ``n``, for any length, and
    ``"numpy-<n>"`` is ``numpy.random.RandomState(n).permutation(length)``.

    Args:
        name: ``"authors"``, ``"seed-<n>"`` with n in 0 ... 10**18 - 1, or ``"numpy-<n>"`` with n in
            0 ... 2**32 - 1; without leading zeros.
        length: Number of pixels.

    Returns:
        Shape ``(length,)``, int64: position ``j`` of the sequence is pixel ``result[j]``.

    Raises:
        InputError: If the name is not known, or ``"authors"`` is asked for another length.
        RuntimeError: If this version of torch draws other numbers than the ones ``"authors"``
            stands for; its digest is checked on every use.

    Examples:
        >>> named_permutation("seed-1", 5)
        tensor([0, 4, 2, 3, 1])
    """
    if name == "authors":
        return _authors(length)
    if isinstance(name, str) and (match := _SEEDED.fullmatch(name)):
        return _draw(length, int(match.group(1)))
    if isinstance(name, str) and (match := _NUMPY.fullmatch(name)):
        seed = int(match.group(1))
        if seed < _NUMPY_LIMIT:
            return torch.from_numpy(np.random.RandomState(seed).permutation(length))
    hint = nearest(name, ("authors", "seed-1", "numpy-1"))
    raise InputError(
        "permutation: expected 'authors' or 'seed-<n>' or 'numpy-<n>' (n = 0, 1, 2, ...), "
        f"got {name!r}." + (f" {hint}" if hint else "")
    )


def _authors(length: int) -> Tensor:
    if length != AUTHORS_LENGTH:
        raise InputError(
            f"permutation: expected {AUTHORS_LENGTH} pixels for 'authors', got {length}. "
            "Use 'seed-<n>', which is defined for any length."
        )
    permutation = _draw(length, AUTHORS_SEED)
    digest = permutation_sha256(permutation)
    if digest != AUTHORS_SHA256:
        raise RuntimeError(
            f"permutation: expected 'authors' to have SHA-256 {AUTHORS_SHA256}, got {digest}. "
            f"torch {torch.__version__} draws other random numbers: use the pinned version."
        )
    return permutation


def _draw(length: int, seed: int) -> Tensor:
    # The device is explicit because a default device set by the user must not change the task.
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return torch.randperm(length, generator=generator, device="cpu")
