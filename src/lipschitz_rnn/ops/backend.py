"""Who runs the recurrence: a registry of backends that say why they refuse a call."""

import contextlib
import functools
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_choice
from lipschitz_rnn.ops import reference
from lipschitz_rnn.ops.call import ScanCall

_log = logging.getLogger("lipschitz_rnn")


class Backend(Protocol):
    """An implementation of the recurrence.

    Attributes:
        name: What ``backend=...`` and ``LIPSCHITZ_RNN_BACKEND`` call it.
        priority: Among backends that accept a call, the highest runs it.
    """

    name: str
    priority: int

    def unsupported_reasons(self, call: ScanCall) -> tuple[str, ...]:
        """Why this backend cannot run the call, a sentence each; empty if it can."""
        ...

    def scan(self, call: ScanCall) -> tuple[Tensor | None, Tensor]:
        """All states, shape (T, B, H), or None if ``call.output`` is "last"; and the last, (B, H).

        The last state comes apart so that a loss on it alone needs no gradient for all the others.
        """
        ...


class ReferenceBackend:
    """Plain PyTorch: runs everything, everywhere, to any order of differentiation."""

    name = "reference"
    priority = 0

    def unsupported_reasons(self, call: ScanCall) -> tuple[str, ...]:  # noqa: D102
        return ()

    def scan(self, call: ScanCall) -> tuple[Tensor | None, Tensor]:  # noqa: D102
        return reference.scan(call)


@dataclass(frozen=True)
class BackendChoice:
    """Who runs a call, and why the others do not.

    Attributes:
        name: The backend chosen.
        refused: For each backend of higher priority, its reasons.
    """

    name: str
    refused: dict[str, tuple[str, ...]]


_registry: dict[str, Backend] = {}


class _Forced(threading.local):
    """The backend in force in this thread. Not a ContextVar: torch.compile cannot trace those."""

    name = os.environ.get("LIPSCHITZ_RNN_BACKEND", "auto")


_forced = _Forced()


def register_backend(backend: Backend) -> None:
    """Add a backend, or replace the one of the same name."""
    _registry[backend.name] = backend


def available_backends() -> tuple[str, ...]:
    """Names of the registered backends, in the order in which they are tried."""
    return tuple(sorted(_registry, key=lambda name: -_registry[name].priority))


def _require_known(where: str, name: str) -> None:
    if name != "auto":
        require_choice(where, "backend", name, ("auto", *available_backends()))


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Force a backend within a ``with`` block, for the current thread.

    Args:
        name: A name of :func:`available_backends`, or ``"auto"``. An explicit ``backend=`` argument
            of a call wins over the block, and the block over the environment variable
            ``LIPSCHITZ_RNN_BACKEND``, which is read once, at import.

    Yields:
        Nothing.

    Raises:
        ValueError: If there is no such backend.
    """
    _require_known("use_backend", name)
    before = _forced.name
    _forced.name = name
    try:
        yield
    finally:
        _forced.name = before


def forced_name() -> str:
    """The backend in force in this thread: a name, or ``"auto"``."""
    return _forced.name


def choose_backend(where: str, call: ScanCall, requested: str) -> BackendChoice:
    """Find who runs a call.

    Returns:
        The choice, with the reasons of those who refused.

    Raises:
        ValueError: If the backend asked for is unknown or refuses the call; the message lists its
            reasons.
    """
    _require_known(where, requested)
    name = requested if requested != "auto" else _forced.name
    _require_known(f"{where} (LIPSCHITZ_RNN_BACKEND)", name)
    if name != "auto":
        reasons = _registry[name].unsupported_reasons(call)
        if reasons:
            listed = "".join(f"\n  - {reason}" for reason in reasons)
            raise ValueError(
                f"{where}: backend {name!r} cannot run this call:{listed}\n"
                "Use backend='auto' to fall back to 'reference'."
            )
        return BackendChoice(name, {})
    refused: dict[str, tuple[str, ...]] = {}
    for candidate in available_backends():
        reasons = _registry[candidate].unsupported_reasons(call)
        if not reasons:
            return BackendChoice(candidate, refused)
        refused[candidate] = reasons
    raise ValueError(f"{where}: no backend accepts this call: {refused}.")


def run(where: str, call: ScanCall, requested: str) -> tuple[Tensor | None, Tensor]:
    """Dispatch a call to its backend; say once which one it was."""
    choice = choose_backend(where, call, requested)
    if not torch.compiler.is_compiling():
        _log_once(choice.name, tuple(choice.refused.items()))
    return _registry[choice.name].scan(call)


@functools.cache
def _log_once(name: str, refused: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
    _log.info("recurrence runs on backend %r; refused by: %s", name, dict(refused) or "none")


register_backend(ReferenceBackend())
