"""Several workers on one run: who they are, and how they agree.

Note [One run, several workers]
Every worker goes through the same code with the same weights, and takes its share of every batch
(see shares.py). What there is once belongs to the first worker: files, hooks, clocks, measurements.
Whatever may fail is done inside :func:`from_first` or :func:`together`, so that it fails for all of
them at once and with the same error; a worker that vanishes closes its connections, which ends the
others at their next exchange. All functions here are exchanges that every worker must come to in
the same order; for a process alone they do nothing but the work.
"""

import contextlib
import datetime
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist

from lipschitz_rnn._base.errors import InputError

T = TypeVar("T")

# For a download or a hook of the first worker. A dead worker is noticed without waiting.
_PATIENCE = datetime.timedelta(hours=2)


def worker_count() -> int:
    """How many processes work on the run: the size of torch's process group; 1 without one."""
    return dist.get_world_size() if _has_group() else 1


def worker_number() -> int:
    """Which of them this one is, counted from 0."""
    return dist.get_rank() if _has_group() else 0


def is_first() -> bool:
    """Whether this is the worker that writes and speaks."""
    return worker_number() == 0


def local_number() -> int | None:
    """Which of torchrun's workers on its machine this one is, from 0; None without torchrun."""
    return int(os.environ["LOCAL_RANK"]) if dist.is_torchelastic_launched() else None


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Be one of the workers that torchrun started; without torchrun, or alone, nothing happens.

    They speak over TCP (gloo), and about what is on GPUs over NCCL.

    Yields:
        Nothing.
    """
    launched = dist.is_available() and dist.is_torchelastic_launched()
    if not launched or _has_group() or os.environ["WORLD_SIZE"] == "1":
        yield
        return
    has_nccl = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if has_nccl else "gloo", timeout=_PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def from_first(work: Callable[[], T]) -> T:
    """Do something on the first worker alone, for all.

    Args:
        work: What to do; its result must be one that can be pickled.

    Returns:
        The result, for every worker.

    Raises:
        Exception: The same for every worker, if it fails.
    """
    if worker_count() == 1:
        return work()
    value, error = None, None
    if is_first():
        try:
            value = work()
        except Exception as caught:
            error = caught
    # Mostly there is nothing to tell, which then costs a single number.
    flag = torch.tensor([value is not None or error is not None], device=_device())
    dist.broadcast(flag, 0)
    if flag:
        told = [(value, _portable(error))]
        dist.broadcast_object_list(told, 0)
        if not is_first():
            value, error = told[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def first_says(answer: bool) -> bool:
    """The first worker's answer to a question of time, for every worker."""
    return from_first(lambda: answer or None) is not None


def together(work: Callable[[], T]) -> T:
    """Do something on every worker; where one fails, all do.

    The first worker of a machine goes before the others there, so that what it downloads is
    downloaded once.

    Args:
        work: What to do; it exchanges nothing with other workers.

    Returns:
        The result of this worker.

    Raises:
        Exception: That of the first worker, in their order, that failed.
    """
    if worker_count() == 1:
        return work()
    results: list[T] = []
    goes_first = not (worker_number() if local_number() is None else local_number())
    for turn in (True, False):
        error = None
        if goes_first is turn:
            try:
                results.append(work())
            except Exception as caught:
                error = caught
        errors: list[Exception | None] = [None] * worker_count()
        dist.all_gather_object(errors, _portable(error))
        for number, other in enumerate(errors):
            if other is not None:
                told = _named(other, number)
                raise told from error
    return results[0]


def gathered(value: T) -> list[T]:
    """What every worker has, in their order, for every worker."""
    if worker_count() == 1:
        return [value]
    values: list[T] = [value] * worker_count()
    dist.all_gather_object(values, value)
    return values


def summed(values: Sequence[float]) -> list[float]:
    """Sums over the workers, in float64; bit for bit the same for all of them."""
    if worker_count() == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64, device=_device())
    dist.all_reduce(sums)
    return sums.tolist()


def is_lost_worker(error: BaseException) -> bool:
    """Whether an error says that another worker is gone: torch has no class of its own for gloo."""
    if not (_has_group() and isinstance(error, RuntimeError)):
        return False
    return isinstance(error, dist.DistError) or "gloo/transport" in str(error)


def _has_group() -> bool:
    return dist.is_available() and dist.is_initialized()


def _device() -> torch.device:
    """Where tensors must be to be exchanged."""
    return torch.device("cpu" if "cpu" in dist.get_backend_config() else "cuda")


def _portable(error: Exception | None) -> Exception | None:
    """An error that another process can read: itself, or what it says."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _named(error: Exception, number: int) -> Exception:
    """An error of user's input, with the worker it came from unless that is the first."""
    if number and isinstance(error, (InputError, OSError)):
        return InputError(f"worker {number}: {error}")
    return error
