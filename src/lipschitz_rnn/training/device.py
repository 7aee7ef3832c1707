"""The device and threads a run computes on, and the random numbers that belong to them."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.training.distributed import (
    gathered,
    local_number,
    worker_count,
    worker_number,
)

DEVICES = ("cpu", "cuda")
"""What a configuration can ask for; which GPU is chosen by ``CUDA_VISIBLE_DEVICES``."""


def require_device(name: str) -> torch.device:
    """The device, if it is there; of several workers on a machine each gets a GPU of its own.

    Args:
        name: One of :data:`DEVICES`.

    Returns:
        The device; a GPU is torch's current one from now on.

    Raises:
        InputError: If this machine or this build of torch has none, or too few.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "training.device: expected a GPU that torch can use, got none. "
            "A new run may use --set training.device=cpu."
        )
    number = local_number() if worker_count() > 1 else None
    if name == "cuda" and number is not None:
        if number >= torch.cuda.device_count():
            raise InputError(
                f"training.device: expected a GPU for each worker here, got {number + 1} workers "
                f"or more for {torch.cuda.device_count()}. Lower --nproc-per-node."
            )
        torch.cuda.set_device(number)
    return torch.device(name)


def forked(device: torch.device) -> list[int]:
    """Which generators, besides the CPU's, ``torch.random.fork_rng`` must keep: the GPU's."""
    return [torch.cuda.current_device()] if device.type == "cuda" else []


def random_states(device: torch.device) -> dict[str, Tensor]:
    """The states of the generators that training draws from, by name, of all workers."""
    states = {"random_state": torch.get_rng_state()}
    if device.type == "cuda":
        states["random_state_cuda"] = torch.cuda.get_rng_state(device)
    return {
        f"{name}{_suffix(number)}": state
        for number, worker in enumerate(gathered(states))
        for name, state in worker.items()
    }


def restore_random_states(
    device: torch.device, tensors: Mapping[str, Tensor], seed_of_newcomers: int
) -> None:
    """Put back what :func:`random_states` gave.

    Args:
        device: Where the run computes.
        tensors: What it gave, other tensors among them.
        seed_of_newcomers: Where a worker begins that was not there then.
    """
    suffix = _suffix(worker_number())
    if f"random_state{suffix}" not in tensors:
        torch.manual_seed(seed_of_newcomers)
        return
    torch.set_rng_state(tensors[f"random_state{suffix}"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors[f"random_state_cuda{suffix}"], device)


def _suffix(worker: int) -> str:
    """None for the first, so that a run of one worker looks as it always did."""
    return f"/{worker}" if worker else ""


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
