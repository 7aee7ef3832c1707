"""Sequences of equal length in memory, and images turned into sequences of pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_shape
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.batch import Batch
from lipschitz_rnn.data.permutations import named_permutation


class Transform(Protocol):
    """Changes samples as they are taken; a function of sample and epoch, and of nothing else."""

    def shape(self, steps: int, input_size: int) -> tuple[int, int]:
        """T and P after the change.

        Args:
            steps: T before.
            input_size: P before.

        Returns:
            Both.
        """

    def __call__(self, values: Tensor, ids: Tensor, epoch: int) -> Tensor:
        """Change a batch.

        Args:
            values: Shape ``(B, T, P)``, float32, scaled.
            ids: Which samples they are, shape ``(B,)``, int64, the same number for the same sample
                wherever it occurs.
            epoch: Counted from 1 in training, 0 in evaluation.

        Returns:
            The new values.
        """


@dataclass(frozen=True)
class SequenceDataset:
    """Sequences of equal length, kept in memory and indexed there.

    Attributes:
        values: Shape ``(n, T, P)``, uint8 or floating; bytes stay bytes until a batch is asked for.
        target: Class of each sample ``(n,)`` or symbol of each step ``(n, T)``, int64; or values,
            ``(n, Q)`` or ``(n, T, Q)``, floating.
        scale: ``values * scale`` is the model input, 1/255 for bytes that mean [0, 1].
        dt: For how long each input is held, ``(n, T)``; None for 1.
        transform: Changes what :meth:`batch` returns; None for nothing.
        ids: Which samples these are to the transform, ``(n,)``, int64; 0 to n - 1 if None.

    Raises:
        ValueError: If a shape does not fit.
        TypeError: If ``values`` is neither uint8 nor floating, or ``target`` neither int64 nor
            floating.

    Examples:
        >>> dataset = SequenceDataset(
        ...     torch.tensor([[[0], [51]], [[255], [102]]], dtype=torch.uint8),
        ...     torch.tensor([7, 1]),
        ...     scale=1 / 255,
        ... )
        >>> dataset.batch(slice(1, 2)).input
        tensor([[[1.0000],
                 [0.4000]]])
    """

    values: Tensor
    target: Tensor
    scale: float = 1.0
    dt: Tensor | None = None
    transform: Transform | None = None
    ids: Tensor | None = None

    carries_state = False

    def __post_init__(self) -> None:
        where = "SequenceDataset"
        require_shape(where, "values", self.values, (None, None, None), "(n, T, P)")
        count, steps = self.values.shape[:2]
        if self.values.dtype != torch.uint8 and not self.values.is_floating_point():
            raise TypeError(
                f"{where}: expected `values` to be uint8 or floating, got {self.values.dtype}."
            )
        self._check_target(where, count, steps)
        if self.dt is not None:
            require_shape(where, "dt", self.dt, (count, steps), "(n, T)")
        if self.ids is not None:
            require_shape(where, "ids", self.ids, (count,), "(n,)")

    def _check_target(self, where: str, count: int, steps: int) -> None:
        shape = tuple(self.target.shape)
        if self.target.dtype == torch.int64:
            allowed: tuple[tuple[int | None, ...], ...] = ((count,), (count, steps))
        elif self.target.is_floating_point():
            allowed = ((count, None), (count, steps, None))
        else:
            raise TypeError(
                f"{where}: expected `target` to be int64 or floating, got {self.target.dtype}."
            )
        for wanted in allowed:
            if len(wanted) == len(shape) and all(
                w in {None, s} for w, s in zip(wanted, shape, strict=True)
            ):
                return
        letters = "(n,) or (n, T)" if len(allowed[0]) == 1 else "(n, Q) or (n, T, Q)"
        raise ValueError(
            f"{where}: expected `target` of shape {letters} with n = {count} and T = {steps}, "
            f"got {shape}."
        )

    def __len__(self) -> int:
        """Number of samples, n."""
        return self.values.shape[0]

    @property
    def steps(self) -> int:
        """Length of every sequence, T."""
        return self._shape[0]

    @property
    def input_size(self) -> int:
        """Numbers per time step, P."""
        return self._shape[1]

    @property
    def _shape(self) -> tuple[int, int]:
        steps, size = self.values.shape[1:]
        return (steps, size) if self.transform is None else self.transform.shape(steps, size)

    def plan(self, batch_size: int, order: Tensor | None = None) -> Sequence[Tensor]:
        """Indices of each batch; see :class:`lipschitz_rnn.data.Dataset`.

        Returns:
            One tensor a batch.
        """
        return torch.split(torch.arange(len(self)) if order is None else order, batch_size)

    def batch(self, index: Tensor | slice, epoch: int = 0) -> Batch:
        """The samples at ``index``, scaled and changed.

        Args:
            index: A slice, or integers of shape ``(B,)``; in the order given, repeats allowed.
            epoch: Handed to the transform.

        Returns:
            Input ``(B, T, P)`` in float32 and target. Indexing comes before converting, so the cost
            is that of the batch and not of the data set.
        """
        values = self.values[index].to(torch.float32) * self.scale
        if self.transform is not None:
            ids = torch.arange(len(self)) if self.ids is None else self.ids
            values = self.transform(values, ids[index], epoch)
        dt = None if self.dt is None else self.dt[index]
        return Batch(values, self.target[index], dt=dt)

    def subset(self, index: Tensor) -> "SequenceDataset":
        """A data set of its own with the samples at ``index``, shape ``(m,)``, in that order."""
        ids = torch.arange(len(self)) if self.ids is None else self.ids
        return SequenceDataset(
            self.values[index],
            self.target[index],
            self.scale,
            dt=None if self.dt is None else self.dt[index],
            transform=self.transform,
            ids=ids[index],
        )


def check_steps(pixels: int, steps: int) -> int:
    """Pixels per time step, P.

    Args:
        pixels: Pixels of one image.
        steps: Wanted sequence length T.

    Returns:
        ``pixels / steps``.

    Raises:
        InputError: If ``steps`` does not divide ``pixels``; the message lists the lengths that do.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1 or pixels % steps:
        valid = ", ".join(str(t) for t in range(1, pixels + 1) if pixels % t == 0)
        raise InputError(
            f"to_sequences: expected `steps` to divide {pixels} pixels, got {steps!r}. "
            f"Valid step counts: {valid}."
        )
    return pixels // steps


def to_sequences(images: Tensor | np.ndarray, steps: int, permutation: str | None = None) -> Tensor:
    r"""Read images as sequences of pixels.

    Pixels are taken in scanline order (row by row, left to right), optionally reordered, and
    consecutive ones grouped: step :math:`t` holds values :math:`tP, \ldots, tP + P - 1`, where
    position :math:`j` is pixel :math:`\pi(j)` of the image for a permutation :math:`\pi`.

    Args:
        images: Shape ``(n, H, W)`` or already flat ``(n, H * W)``; any dtype.
        steps: Sequence length T; must divide the number of pixels.
        permutation: Name of a permutation of the pixels, see `named_permutation`.

    Returns:
        Shape ``(n, T, P)`` with ``P = H * W / T``, in the dtype of ``images``.

    Raises:
        ValueError: If ``images`` has neither two nor three axes.
        InputError: If ``steps`` does not divide the pixels or the permutation is not known.

    Examples:
        >>> to_sequences(np.arange(6, dtype=np.uint8).reshape(1, 2, 3), steps=3)
        tensor([[[0, 1],
                 [2, 3],
                 [4, 5]]], dtype=torch.uint8)
    """
    tensor = images if isinstance(images, Tensor) else torch.from_numpy(np.array(images))
    if tensor.dim() not in {2, 3}:
        raise ValueError(
            f"to_sequences: expected `images` of shape (n, H, W) or (n, H * W), "
            f"got {tuple(tensor.shape)}."
        )
    flat = tensor.flatten(1) if tensor.dim() == 3 else tensor  # (n, H * W)
    per_step = check_steps(flat.shape[1], steps)
    if permutation is not None:
        flat = flat[:, named_permutation(permutation, flat.shape[1]).to(flat.device)]
    return flat.reshape(flat.shape[0], steps, per_step)
