"""Images moved by some pixels, whatever the order in which their pixels are read."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipschitz_rnn.data.transforms import GreyMove, draw_integers


@dataclass(frozen=True, eq=False)
class Shift(GreyMove):
    """An image moved by some pixels up or down and left or right, zeros where nothing was.

    Examples:
        >>> image = torch.arange(1.0, 5.0).reshape(1, 4, 1)  # 1 2 over 3 4
        >>> Shift(1, seed=0).moved(image, torch.tensor([1]), torch.tensor([0])).flatten().tolist()
        [0.0, 0.0, 1.0, 2.0]
    """

    def changed(self, values: Tensor, ids: Tensor, epoch: int) -> Tensor:
        """Move the images of a batch; see :class:`GreyMove`."""
        return self.moved(values, *self.distances(ids, epoch))

    def distances(self, ids: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """How far each image is moved.

        Args:
            ids: Which samples, shape ``(B,)``.
            epoch: The epoch.

        Returns:
            Down and to the right, ``-pixels`` to ``pixels``, int64, each of shape ``(B,)``.
        """
        high = (2 * self.pixels + 1,) * 2
        down, right = (draw_integers(self.seed, epoch, ids, high) - self.pixels).unbind(1)
        return down, right

    def moved(self, values: Tensor, down: Tensor, right: Tensor) -> Tensor:
        """Move images.

        Args:
            values: Shape ``(B, T, P)`` of ``T * P = H * H`` pixels.
            down: Distance of each, shape ``(B,)``, int64; up if negative.
            right: Likewise, to the left if negative.

        Returns:
            The same shape: position j holds what was at the pixel that many rows above and columns
            left of its own, or 0.

        Raises:
            ValueError: If the image is no square.
        """
        flat = values.flatten(1)
        pixels = flat.shape[1]
        side, order = self.layout(pixels)
        place = torch.empty_like(order).scatter_(0, order, torch.arange(pixels))  # of each pixel
        row = order // side - down[:, None]
        column = order % side - right[:, None]
        inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
        source = place[(row * side + column).clamp(0, pixels - 1)]
        return torch.where(inside, flat.gather(1, source), 0).view_as(values)
