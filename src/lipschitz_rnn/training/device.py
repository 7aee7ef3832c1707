"""The device and threads a run computes on, and the random numbers that belong to them."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from lipschitz_rnn._base.errors import InputError

DEVICES = ("cpu", "cuda")
"""What a configuration can ask for; which GPU is chosen by ``CUDA_VISIBLE_DEVICES``."""


def require_device(name: str) -> torch.device:
    """The device, if it is there.

    Args:
        name: One of :data:`DEVICES`.

    Returns:
        The device.

    Raises:
        InputError: If this machine or this build of torch has none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "training.device: expected a GPU that torch can use, got none. "
            "A new run may use --set training.device=cpu."
        )
    return torch.device(name)


def forked(device: torch.device) -> list[int]:
    """Which generators, besides the CPU's, ``torch.random.fork_rng`` must keep: the GPU's."""
    return [torch.cuda.current_device()] if device.type == "cuda" else []


def random_states(device: torch.device) -> dict[str, Tensor]:
    """The states of the generators that training draws from, by name."""
    states = {"random_state": torch.get_rng_state()}
    if device.type == "cuda":
        states["random_state_cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(device: torch.device, tensors: Mapping[str, Tensor]) -> None:
    """Put back what :func:`random_states` gave."""
    torch.set_rng_state(tensors["random_state"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random_state_cuda"], device)


@contextlib.contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Compute with so many threads: sums are rounded in an order that depends on it.

    Args:
        count: At least 1.

    Yields:
        Nothing.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
