"""Threads in a process that was forked: torch's do not survive it."""

import os

import torch

_forked = False


def _note() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note)


def require_threads() -> None:
    """Make a forked process compute on one thread.

    A child of ``fork`` inherits the size of torch's pool of threads, not the threads, and would
    wait for them for ever. To be called before any computation.
    """
    if _forked:
        torch.set_num_threads(1)
