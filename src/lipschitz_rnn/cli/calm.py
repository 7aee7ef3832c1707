"""Ctrl-C where it does no harm: between pieces of work, not within one."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Calm:
    """Holds back an interruption until :meth:`check`, or :meth:`waiting`; not a second one.

    Attributes:
        forced: Whether a second one came, and work was left half done.
    """

    def __init__(self) -> None:
        self.forced = False
        self._wanted = False
        self._waiting = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # which alone gets signals
            self._before = {one: signal.signal(one, self._handle) for one in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` if an interruption is held back."""
        if self._wanted:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Let interruptions through."""
        self._waiting = True
        try:
            self.check()
            yield
        finally:
            self._waiting = False

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.forced = self._wanted and not self._waiting
        self._wanted = True
        if self._waiting or self.forced:
            raise KeyboardInterrupt
