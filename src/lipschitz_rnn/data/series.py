"""One long series with an answer at every step, as rows that are read side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from lipschitz_rnn._base.checks import require_positive_int
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.array_dataset import (
    as_input,
    as_target,
    require_input,
    require_target,
    require_times,
)
from lipschitz_rnn.data.batch import Batch
from lipschitz_rnn.data.stream import Segment


@dataclass(frozen=True, eq=False)
class SeriesStream:
    r"""One long series, in an array that may be mapped from a file.

    With B rows the series of T steps is cut into B stretches of :math:`\lfloor T / B \rfloor` steps
    each, which are read side by side, segment after segment; up to B - 1 steps at the end are left
    out. The state of one segment is where the next begins; each row begins with none.

    Attributes:
        values: Shape ``(T, P)``, of a type that :func:`as_input` takes.
        target: What to answer at each step: a class ``(T,)``, integers; or values ``(T, Q)``,
            floating.
        steps: K, steps between two updates; the last segment may be shorter.
        dt: For how long each input is held, ``(T,)``; None for 1.

    Raises:
        ValueError: If a shape does not fit.
        TypeError: If a type does not fit.

    Examples:
        >>> stream = SeriesStream(np.arange(7.0)[:, None], np.arange(7) % 2, steps=2)
        >>> [stream.batch(segment).input[..., 0].tolist() for segment in stream.plan(2)]
        [[[0.0, 1.0], [3.0, 4.0]], [[2.0], [5.0]]]
    """

    values: np.ndarray
    target: np.ndarray
    steps: int
    dt: np.ndarray | None = None

    carries_state = True

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not self.values.size:
            raise ValueError(
                f"input: expected shape (T, P) with at least one number, got {self.values.shape}."
            )
        require_positive_int("SeriesStream", "steps", self.steps)
        require_input(self.values)
        require_target(self.target, self.values.shape[:1], "(T,) or (T, Q)")
        require_times(self.dt, self.values.shape[:1])

    def __len__(self) -> int:
        """Steps that are answered, T."""
        return len(self.values)

    @property
    def input_size(self) -> int:
        """Numbers per time step, P."""
        return int(self.values.shape[1])

    def plan(self, batch_size: int, order: Tensor | None = None) -> Sequence[Segment]:
        """Segments in the order of time, whatever ``order`` says.

        Returns:
            One segment a batch.

        Raises:
            InputError: If there are more rows than steps.
        """
        length = len(self) // batch_size
        if not length:
            raise InputError(
                f"series: expected at least {batch_size} steps for {batch_size} rows, "
                f"got {len(self)}. Lower the batch size."
            )
        return [Segment(batch_size, first) for first in range(0, length, self.steps)]

    def batch(self, index: Segment, epoch: int = 0) -> Batch:
        """The steps of a segment, of all rows.

        Args:
            index: An entry of the plan.
            epoch: Without effect.

        Returns:
            Input ``(B, K, P)`` in float32, target, and times if there are any.
        """
        length = len(self) // index.rows
        last = min(index.first + self.steps, length)

        def take(array: np.ndarray) -> np.ndarray:
            starts = range(0, index.rows * length, length)
            return np.stack([array[start + index.first : start + last] for start in starts])

        dt = None if self.dt is None else as_input(take(self.dt))
        return Batch(as_input(take(self.values)), as_target(take(self.target)), dt=dt)

    def subset(self, count: int) -> "SeriesStream":
        """The first so many steps; nothing is copied."""
        dt = None if self.dt is None else self.dt[:count]
        return SeriesStream(self.values[:count], self.target[:count], self.steps, dt)
