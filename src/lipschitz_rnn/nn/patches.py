"""Several observations a step: long series become short ones."""

from typing import Any

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
        steps, device = input.shape[1], input.device
        counts = torch.full((1,), steps) if lengths is None else lengths
        short = (counts + self.patch - 1) // self.patch
        # without lengths no value is looked at, so that torch.export can follow
        longest = (steps + self.patch - 1) // self.patch if lengths is None else int(short.max())
        counts, offset = counts.to(device).unsqueeze(1), short.to(device).unsqueeze(1)
        ends: Tensor = self.ends(counts, offset, torch.arange(longest, device=device))

        def rows(width: int) -> Tensor:
            return ends.unsqueeze(-1) - torch.arange(width - 1, -1, -1, device=device)

        patches = _take(input, rows(self.window), counts).flatten(2)
        if dt is not None:
            held = rows(self.patch)
            # what came before the first observation came at the usual pace
            dt = torch.where(held < 0, 1.0, _take(dt, held, counts)).mean(-1)
        return patches, dt, None if lengths is None else short

    def ends(self, counts: Any, short: Any, places: Any) -> Any:
        """The last observation that each step reads, (B, S); also of values of a graph.

        Args:
            counts: Observations of each series, (B, 1).
            short: Its steps, (B, 1).
            places: 0, ..., S - 1.

        Returns:
            Their numbers, negative or not.
        """
        return counts - 1 - (short - 1 - places) * self.patch


class PatchModel(nn.Module):
    """A model that reads patches.

    Args:
        patches: Cuts a series.
        reader: Answers it.
    """

    def __init__(self, patches: Patches, reader: nn.Module) -> None:
        super().__init__()
        self.patches = patches
        self.reader = reader

    def forward(
        self,
        input: Tensor,
        *,
        dt: Tensor | None = None,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Answer a batch of series.

        Args:
            input: (B, T, P).
            dt: For how long each input is held, (B, T).
            mask: Which values were observed, (B, T, P); the last one stands in for the others.
            lengths: Valid steps of each series, (B,).

        Returns:
            The answers, (B, Q).
        """
        if mask is not None:
            input = hold_last(input, mask)
        patches, dt, lengths = self.patches(input, dt, lengths)
        answers: Tensor = self.reader(patches, dt=dt, lengths=lengths)
        return answers


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
    first = torch.arange(source.shape[0], device=source.device).view(-1, 1, 1) * source.shape[1]
    rows = rows + first  # one row for all, of series of one length, becomes one each
    flat = source.flatten(0, 1).index_select(0, rows.flatten())
    return flat.view(*rows.shape, *source.shape[2:])
