"""Sequences in memory: a batch, a data set, a split, and images turned into sequences of pixels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_shape
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.permutations import named_permutation


@dataclass(frozen=True)
class Batch:
    """Samples that go through the model together.

    Attributes:
        input: Model input, shape ``(B, T, P)``, float32.
        target: Class of each sample, shape ``(B,)``, int64.
    """

    input: Tensor
    target: Tensor

    def __len__(self) -> int:
        """Number of samples, B."""
        return self.target.shape[0]

    def to(self, device: torch.device) -> "Batch":
        """The same samples on a device."""
        return Batch(self.input.to(device), self.target.to(device))


@dataclass(frozen=True)
class SequenceDataset:
    """All samples of one part of a split, kept in memory and indexed there.

    Attributes:
        values: Shape ``(n, T, P)``, uint8 or floating; bytes stay bytes until a batch is asked for.
        target: Class of each sample, shape ``(n,)``, int64.
        scale: ``values * scale`` is the model input, 1/255 for bytes that mean [0, 1].

    Raises:
        ValueError: If a shape does not fit.
        TypeError: If ``values`` is neither uint8 nor floating, or ``target`` not int64.

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

    def __post_init__(self) -> None:
        where = "SequenceDataset"
        require_shape(where, "values", self.values, (None, None, None), "(n, T, P)")
        require_shape(where, "target", self.target, (self.values.shape[0],), "(n,)")
        if self.values.dtype != torch.uint8 and not self.values.is_floating_point():
            raise TypeError(
                f"{where}: expected `values` to be uint8 or floating, got {self.values.dtype}."
            )
        if self.target.dtype != torch.int64:
            raise TypeError(f"{where}: expected an int64 `target`, got {self.target.dtype}.")

    def __len__(self) -> int:
        """Number of samples, n."""
        return self.values.shape[0]

    @property
    def steps(self) -> int:
        """Length of every sequence, T."""
        return self.values.shape[1]

    @property
    def input_size(self) -> int:
        """Numbers per time step, P."""
        return self.values.shape[2]

    def batch(self, index: Tensor | slice) -> Batch:
        """The samples at ``index``, scaled.

        Args:
            index: A slice, or integers of shape ``(B,)``; in the order given, repeats allowed.

        Returns:
            Input ``(B, T, P)`` in float32 and target ``(B,)``. Indexing comes before converting,
            so the cost is that of the batch and not of the data set.
        """
        return Batch(self.values[index].to(torch.float32) * self.scale, self.target[index])

    def subset(self, index: Tensor) -> "SequenceDataset":
        """A data set of its own with the samples at ``index``, shape ``(m,)``, in that order."""
        return SequenceDataset(self.values[index], self.target[index], self.scale)


@dataclass(frozen=True)
class Split:
    """A task's samples for training, for choosing a model, and for the final figure.

    Attributes:
        name: The task, ``"mnist"`` or ``"digits"``.
        train: What the parameters are fitted to.
        validation: Held out of the training samples to choose between models; may be empty.
        test: The task's own test samples.
        num_classes: Number of classes.
        source: Where the bytes came from: ``"folder X"``, ``"cache X"``, ``"mirror HOST"``, ...
        digest: SHA-256 that names the raw data, see `lipschitz_rnn.data.manifest_digest`.
    """

    name: str
    train: SequenceDataset
    validation: SequenceDataset
    test: SequenceDataset
    num_classes: int
    source: str
    digest: str


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
