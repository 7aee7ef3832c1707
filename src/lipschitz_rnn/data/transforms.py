"""Changes to images as they are taken: augmentation, normalisation, another order."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn.data.sequence import Transform

CHANNELS = 3


class SameShape:
    """A change that leaves T and P alone."""

    def shape(self, steps: int, input_size: int) -> tuple[int, int]:
        """T and P, which stay as they are.

        Args:
            steps: T.
            input_size: P.

        Returns:
            Both.
        """
        return steps, input_size


def draw_integers(seed: int, epoch: int, ids: Tensor, high: tuple[int, ...]) -> Tensor:
    """Random whole numbers of samples, a function of seed, epoch and sample alone.

    Args:
        seed: At least 0.
        epoch: The epoch.
        ids: Which samples, shape ``(B,)``.
        high: Each number is below its own of these, and at least 0.

    Returns:
        Shape ``(B, len(high))``, int64.
    """
    drawn = [np.random.default_rng((seed, epoch, sample)).integers(high) for sample in ids.tolist()]
    return torch.from_numpy(np.array(drawn).reshape(-1, len(high)))


@dataclass(frozen=True, eq=False)
class GreyMove(SameShape):
    """A random change of square images of one channel, whatever the order of their pixels.

    A function of the seed, the sample and the epoch; in evaluation, which is epoch 0, the image
    stays as it is. Pixels are cut into steps of any length.

    Attributes:
        pixels: The furthest that an image is moved, at least 0: distances down and to the right are
            drawn independently, every whole number from ``-pixels`` to ``pixels`` as likely as any
            other.
        seed: At least 0.
        order: Pixel of the image at each position of the sequence, (H * W,); scanline order if
            None.

    Raises:
        ValueError: If ``pixels`` is negative.
    """

    pixels: int
    seed: int
    order: Tensor | None = None

    def __post_init__(self) -> None:
        if self.pixels < 0:
            raise ValueError(
                f"{type(self).__name__}: expected `pixels` of at least 0, got {self.pixels}."
            )

    def __call__(self, values: Tensor, ids: Tensor, epoch: int) -> Tensor:
        """Change the images of a batch, see :class:`lipschitz_rnn.data.sequence.Transform`.

        Returns:
            The same shape.
        """
        return values if epoch == 0 else self.changed(values, ids, epoch)

    def changed(self, values: Tensor, ids: Tensor, epoch: int) -> Tensor:
        """What an epoch of training makes of a batch; the same shape."""
        raise NotImplementedError

    def layout(self, pixels: int) -> tuple[int, Tensor]:
        """Side of an image of so many pixels, and the pixel at each position of its sequence.

        Args:
            pixels: T * P.

        Returns:
            The side, and the order, (T * P,).

        Raises:
            ValueError: If the image is no square.
        """
        side = math.isqrt(pixels)
        if side * side != pixels:
            name = type(self).__name__
            raise ValueError(f"{name}: expected T * P = side * side pixels, got {pixels}.")
        return side, torch.arange(pixels) if self.order is None else self.order


@dataclass(frozen=True)
class CropFlip:
    """A random crop out of the image with a border of zeros, and a random flip left to right.

    A function of the seed, the sample and the epoch. In evaluation, which is epoch 0, the image
    stays as it is unless ``evaluation`` says otherwise. Samples are images of three channels, row
    by row, channels last: steps may be pixels ``(B, H * W, 3)`` or rows ``(B, H, W * 3)``.

    Attributes:
        seed: At least 0.
        padding: Width of the border; the crop is shifted by at most so many pixels each way.
        evaluation: Change the image at epoch 0 as well.
    """

    seed: int
    padding: int = 4
    evaluation: bool = False

    def shape(self, steps: int, input_size: int) -> tuple[int, int]:
        """T and P, which stay as they are.

        Args:
            steps: T.
            input_size: P.

        Returns:
            Both.
        """
        _side(steps, input_size)
        return steps, input_size

    def __call__(self, values: Tensor, ids: Tensor, epoch: int) -> Tensor:
        """Crop and flip a batch, see :class:`lipschitz_rnn.data.sequence.Transform`.

        Returns:
            The same shape.
        """
        count, steps, size = values.shape
        side = _side(steps, size)
        if epoch == 0 and not self.evaluation:
            return values
        border = self.padding
        framed = values.new_zeros(count, side + 2 * border, side + 2 * border, CHANNELS)
        inside = slice(border, border + side)
        framed[:, inside, inside] = values.reshape(count, side, side, CHANNELS)
        top, left, flip = self.offsets(ids, epoch)
        forward = torch.arange(side)
        rows = top[:, None] + forward  # (B, H)
        columns = left[:, None] + torch.where(flip[:, None], side - 1 - forward, forward)
        samples = torch.arange(count)[:, None, None]
        return framed[samples, rows[:, :, None], columns[:, None, :]].reshape(count, steps, size)

    def offsets(self, ids: Tensor, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Where each crop begins in the framed image, and whether it is flipped.

        Args:
            ids: Which samples, shape ``(B,)``.
            epoch: The epoch.

        Returns:
            Row and column, 0 to ``2 * padding``, int64, and flip, bool; each of shape ``(B,)``.
        """
        high = (2 * self.padding + 1, 2 * self.padding + 1, 2)
        top, left, flip = draw_integers(self.seed, epoch, ids, high).unbind(1)
        return top, left, flip.bool()


def _side(steps: int, input_size: int) -> int:
    """Side of the square image that a sample is."""
    pixels, rest = divmod(steps * input_size, CHANNELS)
    side = math.isqrt(pixels)
    if rest or side * side != pixels:
        raise ValueError(
            f"CropFlip: expected T * P = {CHANNELS} * side * side numbers, "
            f"got T = {steps} and P = {input_size}."
        )
    return side


@dataclass(frozen=True)
class Normalize:
    """Each channel less its mean, divided by its deviation.

    Attributes:
        mean: One number for each channel.
        std: One number for each channel.

    Raises:
        ValueError: If they are not of one length.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"Normalize: expected one `std` for each of {len(self.mean)} means, "
                f"got {len(self.std)}."
            )

    def shape(self, steps: int, input_size: int) -> tuple[int, int]:
        """T and P, which stay as they are.

        Args:
            steps: T.
            input_size: P, a multiple of the number of channels, which vary fastest.

        Returns:
            Both.

        Raises:
            ValueError: If P is no such multiple.
        """
        if input_size % len(self.mean):
            raise ValueError(
                f"Normalize: expected P to be a multiple of {len(self.mean)} channels, "
                f"got {input_size}."
            )
        return steps, input_size

    def __call__(self, values: Tensor, ids: Tensor, epoch: int) -> Tensor:
        """Normalise a batch, see :class:`lipschitz_rnn.data.sequence.Transform`.

        Returns:
            The same shape.
        """
        repeats = values.shape[-1] // len(self.mean)
        mean = torch.tensor(self.mean).repeat(repeats)
        std = torch.tensor(self.std).repeat(repeats)
        return (values - mean) / std


@dataclass(frozen=True)
class ChannelPlanes(SameShape):
    """The numbers of an image in another order: all of one channel, then all of the next.

    Pixels ``(B, T, C)`` become the C planes one after the other, cut into T steps of C numbers. A
    step then holds neighbours of one colour and no pixel, which is how the authors' code feeds
    colour images.

    Examples:
        >>> pixels = torch.tensor([[[1, 10, 100], [2, 20, 200], [3, 30, 300]]])
        >>> ChannelPlanes()(pixels, torch.tensor([0]), epoch=0).tolist()
        [[[1, 2, 3], [10, 20, 30], [100, 200, 300]]]
    """

    def __call__(self, values: Tensor, ids: Tensor, epoch: int) -> Tensor:
        """Reorder a batch, see :class:`lipschitz_rnn.data.sequence.Transform`.

        Returns:
            The same shape.
        """
        return values.transpose(1, 2).reshape(values.shape)


@dataclass(frozen=True)
class Compose:
    """One change after the other.

    Attributes:
        transforms: In the order in which they are made.
    """

    transforms: tuple[Transform, ...]

    def shape(self, steps: int, input_size: int) -> tuple[int, int]:
        """T and P after all changes.

        Args:
            steps: T before.
            input_size: P before.

        Returns:
            Both.
        """
        for transform in self.transforms:
            steps, input_size = transform.shape(steps, input_size)
        return steps, input_size

    def __call__(self, values: Tensor, ids: Tensor, epoch: int) -> Tensor:
        """Change a batch, see :class:`lipschitz_rnn.data.sequence.Transform`.

        Returns:
            The new values.
        """
        for transform in self.transforms:
            values = transform(values, ids, epoch)
        return values
