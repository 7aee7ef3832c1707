"""Several observations a step: long series become short ones."""

import torch
from torch import Tensor, nn

from lipschitz_rnn.nn.missing import fill_missing


class Patches(nn.Module):
    """Let each step read the last ``window`` observations, and step on by ``patch`` of them.

    The last step ends at the last observation of its series, so that none is left out; before the
    first one a series is taken to have been as at it.

    Args:
        patch: k, observations from a step to the next.
        window: w, observations that a step reads, at least k.

    Shape:
        - input: (B, T, P)
        - Output: (B, S, w·P), S being T / k rounded up
    """

    def __init__(self, patch: int, window: int) -> None:
        super().__init__()
        self.patch = patch
        self.window = window

    def forward(
        self, input: Tensor, dt: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Cut a batch into patches.

        Args:
            input: The series.
            dt: For how long each observation is held, (B, T), or None.
            lengths: Valid steps of each, (B,), or None if all are.

        Returns:
            The same for the patches: their ``dt`` is the mean over the patch.
        """
        batch, steps = input.shape[:2]
        counts = torch.full((batch,), steps) if lengths is None else lengths
        short = -(-counts // self.patch)
        counts, offset = counts.to(input.device).unsqueeze(1), short.to(input.device).unsqueeze(1)
        places = torch.arange(int(short.max()), device=input.device)
        ends = counts - 1 - (offset - 1 - places) * self.patch  # (B, S)

        def rows(width: int) -> Tensor:
            return ends.unsqueeze(-1) - torch.arange(width - 1, -1, -1, device=input.device)

        patches = _take(input, rows(self.window), counts).flatten(2)
        if dt is not None:
            held = rows(self.patch)
            # what came before the first observation came at the usual pace
            dt = torch.where(held < 0, 1.0, _take(dt, held, counts)).mean(-1)
        return patches, dt, None if lengths is None else short


def hold_last(input: Tensor, mask: Tensor) -> Tensor:
    """Let the last observed value stand in for missing ones, zero before the first.

    Args:
        input: (B, T, P).
        mask: True where observed, (B, T, P).

    Returns:
        The filled input.
    """
    return fill_missing(input.transpose(0, 1), mask.transpose(0, 1), "hold").transpose(0, 1)


def _take(source: Tensor, rows: Tensor, counts: Tensor) -> Tensor:
    """Entries of (B, T, ...) at ``rows`` (B, S, W), or at the nearest step inside the series."""
    rows = torch.minimum(rows.clamp(min=0), counts.unsqueeze(-1) - 1)
    first = torch.arange(len(source), device=source.device).view(-1, 1, 1) * source.shape[1]
    flat = source.flatten(0, 1).index_select(0, (rows + first).flatten())
    return flat.view(*rows.shape, *source.shape[2:])
