"""Images stretched, turned and leaned at random, whatever the order of their pixels."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lipschitz_rnn.data.sequence import Transform
from lipschitz_rnn.data.shift import Shift
from lipschitz_rnn.data.transforms import GreyMove, draw_integers

_GRID = 2**30


@dataclass(frozen=True, eq=False)
class Warp(GreyMove):
    r"""An image under a random linear map about its centre, and moved by whole pixels.

    .. math:: y(p) = x\bigl(M (p - c - d) + c\bigr), \qquad
        M = I + w E, \quad E_{ij} \in [-1, 1] \text{ uniform,}

    for pixels p, the centre c and a distance d of whole pixels; between pixels x is bilinear, and 0
    outside. So w = 0.1 stretches each axis by up to a tenth, and turns or leans it by up to six
    degrees.

    Attributes:
        strength: w, from 0 to below 1.

    Raises:
        ValueError: If ``strength`` or ``pixels`` is out of range.
    """

    strength: float = dataclasses.field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.strength < 1:
            raise ValueError(f"Warp: expected `strength` from 0 to below 1, got {self.strength}.")

    def changed(self, values: Tensor, ids: Tensor, epoch: int) -> Tensor:
        """Warp the images of a batch; see :class:`GreyMove`."""
        return self.warped(values, *self.maps(ids, epoch))

    def maps(self, ids: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """What is done to each image.

        Args:
            ids: Which samples, shape ``(B,)``.
            epoch: The epoch.

        Returns:
            M, (B, 2, 2), of rows and columns, and d, (B, 2), down and to the right; float32.
        """
        high = (2 * self.pixels + 1,) * 2 + (_GRID + 1,) * 4
        drawn = draw_integers(self.seed, epoch, ids, high)
        entries = (drawn[:, 2:].double() * (2 / _GRID) - 1).view(-1, 2, 2)
        matrix = torch.eye(2, dtype=torch.float64) + self.strength * entries
        return matrix.float(), (drawn[:, :2] - self.pixels).float()

    def warped(self, values: Tensor, matrix: Tensor, distance: Tensor) -> Tensor:
        """Warp images.

        Args:
            values: Floating point, shape ``(B, T, P)`` of ``T * P = H * H`` pixels.
            matrix: M, (B, 2, 2).
            distance: d, (B, 2).

        Returns:
            The same shape.

        Raises:
            ValueError: If the image is no square.
        """
        flat = values.flatten(1)
        side, order = self.layout(flat.shape[1])
        image = torch.empty_like(flat)
        image[:, order] = flat
        centre = (side - 1) / 2
        place = torch.cartesian_prod(*[torch.arange(side, dtype=flat.dtype) - centre] * 2)
        source = (place - distance[:, None].to(flat.dtype)) @ matrix.mT.to(flat.dtype)
        # grid_sample wants (x, y), from -1 to 1 between the centres of the outermost pixels
        grid = (source.flip(-1) / max(centre, 0.5)).view(-1, side, side, 2)
        found = functional.grid_sample(
            image.view(-1, 1, side, side), grid, padding_mode="zeros", align_corners=True
        )
        return found.flatten(1)[:, order].view_as(values)


def random_moves(warp: float, shift: int, seed: int, order: Tensor | None) -> Transform | None:
    """The transform of training images for what is asked for.

    Args:
        warp: Strength of a random linear map; 0 for none.
        shift: The furthest that images are moved; 0 for not at all.
        seed: At least 0.
        order: Pixel at each position; scanline order if None.

    Returns:
        The transform; None if images stay as they are.
    """
    if warp:
        return Warp(shift, seed, order, strength=warp)
    return Shift(shift, seed, order) if shift else None
