"""What came after each observation of a series: what a forecaster learns to tell."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from lipschitz_rnn.estimators.forecast_model import between
from lipschitz_rnn.estimators.samples import Samples, take

_ROWS = 1 << 14
"""Observations looked at together; bounds the memory."""


@dataclass(frozen=True, eq=False)
class Futures:
    """What follows each observation, up to so many observations ahead.

    Attributes:
        samples: The series, one behind the other.
        horizon: K, how far ahead.
        ends: Row after the last one of each row's series, (F,).
        times: When each observation was made, in usual steps, (F,); None for equal steps.
    """

    samples: Samples
    horizon: int
    ends: Tensor
    times: Tensor | None

    @classmethod
    def of(cls, samples: Samples, horizon: int) -> Self:
        """Those of series."""
        ends = (samples.starts + samples.counts).repeat_interleave(samples.counts)
        # only differences within a series are ever taken
        times = None if samples.dt is None else samples.dt.double().cumsum(0) - samples.dt
        return cls(samples, horizon, ends, times)

    def after(
        self, rows: Tensor, low: Tensor | int, high: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The observations after others.

        Args:
            rows: Where those are, (...).
            low: First row that may be looked at, (...).
            high: Row after the last one that may, (...).

        Returns:
            Values (..., K, P); which of them are known, (..., K, P); how long each comes after the
            next observation, in usual steps, (..., K), or None for equal steps.
        """
        ahead = rows.unsqueeze(-1) + torch.arange(1, self.horizon + 1)  # (..., K)
        low = low.unsqueeze(-1) if isinstance(low, Tensor) else low
        ends = self.ends[rows].unsqueeze(-1)
        wanted = (ahead >= low) & (ahead < torch.minimum(ends, high.unsqueeze(-1)))
        ahead = torch.minimum(ahead, ends - 1)
        values = take(self.samples.values, ahead)
        known = wanted.unsqueeze(-1).expand_as(values)
        if self.samples.observed is not None:
            known = known & take(self.samples.observed, ahead)
        if self.times is None:
            return values, known, None
        following = torch.minimum(rows.unsqueeze(-1) + 1, ends - 1)
        offsets = (self.times[ahead] - self.times[following]).float()
        # beyond the last node nothing is said
        return values, known & (offsets <= self.horizon - 1).unsqueeze(-1), offsets

    def spread(self, high: Tensor) -> Tensor:
        """Root mean square of how far the series move in k steps, (K, P); 1 where unknown or zero.

        Args:
            high: Row after the last one that may be looked at, (F,).

        Returns:
            It; between equal steps the weight of a move is shared by the two nearest.
        """
        held = self.samples.held()
        squares = torch.zeros(self.horizon, held.shape[1], dtype=torch.double)
        weights = torch.zeros_like(squares)
        for rows in torch.split(torch.arange(len(held)), _ROWS):
            values, known, offsets = self.after(rows, 0, high[rows])
            moved = torch.where(known, values - held[rows].unsqueeze(1), 0).double().square()
            if offsets is None:
                squares += moved.sum(0)
                weights += known.sum(0)
            else:
                nodes = torch.eye(self.horizon).expand(*offsets.shape[:-1], -1, -1)
                shares = between(nodes, offsets).double()  # (R, M, K)
                squares += torch.einsum("rmk,rmp->kp", shares, moved)
                weights += torch.einsum("rmk,rmp->kp", shares, known.double())
        spread = (squares / weights.clamp(min=1e-12)).sqrt()
        return torch.where(spread > 0, spread, 1.0).float()
