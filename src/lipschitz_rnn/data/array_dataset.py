"""Sequences in arrays, in memory or mapped from a file, of which no more is read than is needed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn.data.batch import Batch

SCALES = {"uint8": 1 / 255, "int16": 1 / 32768}
"""What integers of an input are multiplied with, for [0, 1] and [-1, 1)."""
INPUTS = ("float16", "float32", "float64", *SCALES)
"""Types that an input may have."""


def as_input(values: np.ndarray) -> Tensor:
    """Numbers as a model reads them.

    Args:
        values: Of one of the types of :data:`INPUTS`; any shape.

    Returns:
        A copy in float32; bytes in [0, 1] and 16-bit integers in [-1, 1).
    """
    copy = torch.from_numpy(values.astype(np.float32))
    scale = SCALES.get(values.dtype.name)
    return copy if scale is None else copy * scale


def as_target(values: np.ndarray) -> Tensor:
    """Answers as a loss takes them: a copy in int64 or float32."""
    return torch.from_numpy(values.astype(np.float32 if values.dtype.kind == "f" else np.int64))


@dataclass(frozen=True, eq=False)
class ArrayDataset:
    """Sequences in arrays that may be mapped from files: batches are read by indexing.

    Attributes:
        values: Shape ``(n, T, P)``, of one of the types of :data:`INPUTS`; see :func:`as_input`.
        target: Class of each sequence ``(n,)`` or of each step ``(n, T)``, integers; or values,
            ``(n, Q)`` or ``(n, T, Q)``, floating.
        dt: For how long each input is held, ``(n, T)``; None for 1.
        lengths: Steps of each sequence, ``(n,)``, integers; None if all have T.

    Raises:
        ValueError: If a shape does not fit, or a length is below 1 or above T.
        TypeError: If a type does not fit.

    Examples:
        >>> data = ArrayDataset(np.array([[[0], [51]], [[255], [102]]], np.uint8), np.array([7, 1]))
        >>> data.batch(slice(1, 2)).input
        tensor([[[1.0000],
                 [0.4000]]])
    """

    values: np.ndarray
    target: np.ndarray
    dt: np.ndarray | None = None
    lengths: np.ndarray | None = None

    carries_state = False

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or not self.values.size:
            raise ValueError(
                "input: expected shape (n, T, P) with at least one number, got "
                f"{self.values.shape}."
            )
        count, steps = self.values.shape[:2]
        require_input(self.values)
        require_target(self.target, (count, steps), "(n,), (n, T), (n, Q) or (n, T, Q)")
        require_times(self.dt, (count, steps))
        if self.lengths is not None:
            require_lengths(self.lengths, count, steps)

    def __len__(self) -> int:
        """Number of sequences, n."""
        return len(self.values)

    @property
    def input_size(self) -> int:
        """Numbers per time step, P."""
        return int(self.values.shape[2])

    def plan(self, batch_size: int, order: Tensor | None = None) -> Sequence[Tensor]:
        """Indices of each batch; see :class:`lipschitz_rnn.data.Dataset`.

        Returns:
            One tensor a batch.
        """
        return torch.split(torch.arange(len(self)) if order is None else order, batch_size)

    def batch(self, index: Tensor | slice, epoch: int = 0) -> Batch:
        """The sequences at ``index``, up to the end of the longest of them.

        Args:
            index: A slice, or integers of shape ``(B,)``.
            epoch: Without effect.

        Returns:
            Input ``(B, T, P)`` in float32, target, and lengths and times if there are any.
        """
        return self.open_batch(index, epoch).whole()

    def open_batch(self, index: Tensor | slice, epoch: int = 0) -> "Rows":
        """The sequences at ``index``, of which nothing is read yet.

        Args:
            index: As for :meth:`batch`.
            epoch: Without effect.

        Returns:
            A :class:`lipschitz_rnn.data.LongBatch`.
        """
        if isinstance(index, slice):
            return Rows(self, np.arange(*index.indices(len(self))))
        return Rows(self, index.numpy())

    def subset(self, count: int) -> "ArrayDataset":
        """The first so many sequences; nothing is copied."""
        parts = (self.values, self.target, self.dt, self.lengths)
        return ArrayDataset(*(None if part is None else part[:count] for part in parts))  # type: ignore[arg-type]


class Rows:
    """Some sequences of an :class:`ArrayDataset`, read stretch by stretch.

    Args:
        dataset: The sequences.
        index: Which of them, ``(B,)``.
    """

    def __init__(self, dataset: ArrayDataset, index: np.ndarray) -> None:
        self._dataset, self._index = dataset, index
        steps = dataset.values.shape[1]
        lengths = np.full(len(index), steps) if dataset.lengths is None else dataset.lengths[index]
        self.lengths = torch.from_numpy(lengths.astype(np.int64))
        self.every_step = dataset.target.ndim == (3 if dataset.target.dtype.kind == "f" else 2)

    def whole(self) -> Batch:
        """All of it, up to the end of the longest."""
        batch = self.read(torch.zeros_like(self.lengths), int(self.lengths.max()))
        has_lengths = self._dataset.lengths is not None
        return Batch(batch.input, batch.target, self.lengths if has_lengths else None, batch.dt)

    def read(self, first: Tensor, steps: int) -> Batch:
        """So many steps of each row; see :class:`lipschitz_rnn.data.LongBatch`.

        Returns:
            The steps.
        """
        data, starts = self._dataset, first.numpy()
        target = self._take(data.target, starts, steps) if self.every_step else None
        return Batch(
            as_input(self._take(data.values, starts, steps)),
            as_target(data.target[self._index] if target is None else target),
            dt=None if data.dt is None else as_input(self._take(data.dt, starts, steps)),
        )

    def _take(self, array: np.ndarray, first: np.ndarray, steps: int) -> np.ndarray:
        start = int(first[0])
        if (first == start).all():
            return np.asarray(array[:, start : start + steps][self._index])
        rows = zip(self._index, first, strict=True)
        return np.stack([array[row, start : start + steps] for row, start in rows])


def require_input(values: np.ndarray) -> None:
    """Raise ``TypeError`` unless an input is of one of the types of :data:`INPUTS`."""
    if values.dtype.name not in INPUTS:
        raise TypeError(f"input: expected {', '.join(INPUTS)}, got {values.dtype}.")


def require_target(target: np.ndarray, axes: tuple[int, ...], letters: str) -> None:
    """Raise unless a target fits an input.

    Args:
        target: Integers with the sizes ``axes``, or the first of them alone; or floating-point
            numbers with an axis more.
        axes: Sizes of the input, but for its last axis.
        letters: What users know the shapes as.

    Raises:
        TypeError: If it is neither of integers nor floating.
        ValueError: If its shape is another.
    """
    if target.dtype.kind not in "iuf":
        raise TypeError(f"target: expected integers or floating-point, got {target.dtype}.")
    shape = target.shape[:-1] if target.dtype.kind == "f" else target.shape
    if shape not in {axes, axes[:1]} or not target.size:
        raise ValueError(
            f"target: expected shape {letters}, classes in integers and values in floating-point, "
            f"for an input of shape {(*axes, 'P')}, got {target.shape} in {target.dtype}."
        )


def require_times(dt: np.ndarray | None, axes: tuple[int, ...]) -> None:
    """Raise unless times fit an input of the sizes ``axes``, but for its last axis."""
    if dt is None:
        return
    if dt.dtype.kind != "f":
        raise TypeError(f"dt: expected floating-point, got {dt.dtype}.")
    if dt.shape != axes:
        raise ValueError(f"dt: expected shape {axes}, as the input without P, got {dt.shape}.")


def require_lengths(lengths: np.ndarray, count: int, steps: int) -> None:
    """Raise unless there is a length for each of ``count`` sequences of at most ``steps``."""
    if lengths.dtype.kind not in "iu":
        raise TypeError(f"lengths: expected integers, got {lengths.dtype}.")
    if lengths.shape != (count,):
        raise ValueError(f"lengths: expected shape {(count,)}, got {lengths.shape}.")
    low, high = int(lengths.min()), int(lengths.max())
    if low < 1 or high > steps:
        raise ValueError(f"lengths: expected 1 to {steps}, got {low} to {high}.")
