"""Memory for arrays too large for any cache, handed out again instead of back to the system.

A fresh array of T·B·H numbers costs a page fault for every 4 KiB when it is first written. So large
arrays come from a few blocks that are kept, in huge pages where the system has them. A block
returns by itself when the last tensor on it is gone.
"""

import contextlib
import math
import mmap
import weakref
from collections.abc import Sequence

import torch
from torch import Tensor

_LEAST = 1 << 20  # bytes; below, torch's own allocator does well
_HUGE_PAGE = 1 << 21
_KEPT = 6  # blocks: two calls' worth of states and tanhs, and a gradient of each
_SLACK = 1.25  # a block may be so much larger than what is asked for

_free: list[mmap.mmap] = []
"""Blocks without a tensor, the longest idle first. Single list operations are atomic."""


def take(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor, as ``torch.empty(shape, dtype=dtype)`` gives it."""
    count = math.prod(shape)
    size = count * dtype.itemsize
    if size < _LEAST or not hasattr(mmap, "MAP_PRIVATE"):
        return torch.empty(shape, dtype=dtype)
    block = _find(size) or _map(size)
    view = memoryview(block)
    # The tensor's storage holds the view; the view's end is the sign that the block is free.
    weakref.finalize(view, _give_back, block).atexit = False
    return torch.frombuffer(view, dtype=dtype, count=count).view(*shape)


def release_memory() -> None:
    """Hand idle blocks back to the system; they are made anew when needed."""
    _free.clear()


def _find(size: int) -> mmap.mmap | None:
    """The smallest idle block that fits, if one is not much too large."""
    fitting = [block for block in list(_free) if size <= len(block) <= _SLACK * size + _HUGE_PAGE]
    for block in sorted(fitting, key=len):
        try:
            _free.remove(block)
        except ValueError:  # another thread was faster
            continue
        return block
    return None


def _map(size: int) -> mmap.mmap:
    size = -(-size // _HUGE_PAGE) * _HUGE_PAGE
    try:
        # private: a forked process must not write into its parent's states
        block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"cannot allocate {size:,} bytes for the states of a sequence") from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _give_back(block: mmap.mmap) -> None:
    _free.append(block)
    if len(_free) > _KEPT:
        with contextlib.suppress(IndexError):  # released meanwhile
            _free.pop(0)
