"""Series as the model reads them: standardised, in float32, cut into padded batches."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lipschitz_rnn.data import group_by_length

LONGEST = 8.0
"""For how many usual steps an input is held at most, however long the gap after it is."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Standardised series, or pieces of series, which may overlap.

    Attributes:
        values: All observations, (F, P), float32; zero where missing.
        observed: (F, P), or None if nothing is missing.
        dt: Time from each observation to the next, in usual steps, (F,); None for 1.
        starts: First observation of each sample, (n,).
        counts: Observations of each sample, (n,).
    """

    values: Tensor
    observed: Tensor | None
    dt: Tensor | None
    starts: Tensor
    counts: Tensor

    def __len__(self) -> int:
        """Number of samples, n."""
        return len(self.counts)

    def rows(self, index: Tensor) -> Tensor:
        """Where the observations of the samples at ``index`` are, (B, T); padding: at the last."""
        counts = self.counts[index].unsqueeze(1)
        steps = torch.arange(int(counts.max()))
        return self.starts[index].unsqueeze(1) + torch.minimum(steps, counts - 1)

    def held(self) -> Tensor:
        """The last value observed until then of each feature of a series, 0 before any, (F, P)."""
        if self.observed is None:
            return self.values
        rows = torch.arange(len(self.values)).unsqueeze(1)
        first = self.starts.repeat_interleave(self.counts).unsqueeze(1)
        last = torch.where(self.observed, rows, torch.zeros_like(rows)).cummax(0).values
        # nothing observed yet: the series' own first entry, which is zero then
        return self.values.gather(0, torch.maximum(last, first))

    def batch(self, index: Tensor, device: torch.device) -> tuple[Tensor, dict[str, Any]]:
        """Input (B, T, P) of the samples at ``index``, and what else the model takes, by name."""
        rows, counts = self.rows(index), self.counts[index]
        extras: dict[str, Any] = {}
        if bool((counts != counts[0]).any()):
            extras["lengths"] = counts
        if self.observed is not None:
            extras["mask"] = take(self.observed, rows).to(device)
        if self.dt is not None:
            extras["dt"] = take(self.dt, rows).clamp(max=LONGEST).to(device)
        return take(self.values, rows).to(device), extras

    def plan(self, index: Tensor, batch_size: int, generator: torch.Generator) -> list[Tensor]:
        """The samples at ``index`` in random batches of nearly equal size, like lengths together.

        Returns:
            Indices of each batch.
        """
        order = index[torch.randperm(len(index), generator=generator)]
        return group_by_length(self.counts, order, batch_size, generator)

    def pieces(self, index: Tensor, steps: int) -> list[Tensor]:
        """The samples at ``index``, the short ones first, at most ``steps`` with padding at a time.

        Returns:
            Indices of each piece; one that is longer than ``steps`` goes alone.
        """
        order = index[self.counts[index].argsort(stable=True)]
        counts, found, start = self.counts[order].tolist(), [], 0
        for end in range(1, len(counts) + 1):
            if end == len(counts) or (end - start + 1) * counts[end] > steps:
                found.append(order[start:end])
                start = end
        return found


def take(source: Tensor, rows: Tensor) -> Tensor:
    """The entries of ``source``, (F, ...), at ``rows``, of any shape."""
    return source.index_select(0, rows.flatten()).view(*rows.shape, *source.shape[1:])
