"""The machine's peak: how fast independent fused multiply-adds run from registers."""

import time
from collections.abc import Callable

from lipschitz_rnn.ops import library

_SECONDS = 0.05  # of one measurement: long beside the start of a thread, short beside a pass
_FIRST_ROUNDS = 1 << 18
_MOST_ROUNDS = 1 << 36


class Peak:
    """A loop of multiply-adds of a fixed length, about 50 ms.

    Args:
        threads: On how many it runs.
        clock: Seconds.

    Attributes:
        operations: Floating-point operations of one call, by all threads together.
    """

    def __init__(self, threads: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._threads = threads
        self._rounds = _FIRST_ROUNDS
        # The length is judged by runs about as long as it. In a short one a thread that has to wait
        # for its core takes most of the time, and a loop sized by it would measure that wait.
        elapsed = self._quickest(clock)
        while elapsed < _SECONDS / 2 and self._rounds < _MOST_ROUNDS:
            self._rounds *= 2
            elapsed = self._quickest(clock)
        self._rounds = round(self._rounds * max(1.0, _SECONDS / elapsed if elapsed else 1.0))
        self.operations = self()

    def __call__(self) -> float:
        """Run once.

        Returns:
            The operations done.

        Raises:
            RuntimeError: If there is no native library, or it refuses.
        """
        found = library.library
        if isinstance(found, library.Missing):
            raise RuntimeError(f"peak: {found.reason}.")
        done: float = found.lipschitz_scan_peak_f32(
            self._rounds, self._threads, library.current_variant()
        )
        if done <= 0:
            raise RuntimeError(
                f"peak: expected a number of threads that the native library can start, got "
                f"{self._threads}. Use fewer."
            )
        return done

    def _quickest(self, clock: Callable[[], float]) -> float:
        """Seconds of the least disturbed of three runs."""
        times = []
        for _ in range(3):
            start = clock()
            self()
            times.append(clock() - start)
        return min(times)
