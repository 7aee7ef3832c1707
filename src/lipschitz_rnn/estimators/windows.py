"""Pieces of series, with what came after each of their steps, as a task to train on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lipschitz_rnn.estimators.forecast_model import ForecastModel, between
from lipschitz_rnn.estimators.futures import Futures
from lipschitz_rnn.estimators.samples import Samples
from lipschitz_rnn.estimators.task import STEPS

_LEAST_WINDOWS, _MAX_WINDOWS = 500, 10_000
"""Windows an epoch, about: those of short series come several times, those of long ones overlap
less. An epoch is then long enough to tell by it whether there is something left to learn."""

_MAX_ORIGINS = 1_000
"""Forecasts to validate on, about."""


def cut(samples: Samples, fraction: float) -> Tensor:
    """Row from which on observations are held back, of each row's series, (F,)."""
    held = (fraction * samples.counts).round().long()
    return (samples.starts + samples.counts - held).repeat_interleave(samples.counts)


@dataclass
class WindowTask:
    """Forecasts to learn.

    Attributes:
        model: Makes them.
        futures: The series, and what follows.
        cut: What :func:`cut` gives.
        context: Steps a forecast looks back, C.
        batch_size: Windows a batch.
        generator: Of their choice and order.
        device: Where to compute.
        origins: One window for each forecast to validate, ending where it is made.
    """

    model: ForecastModel
    futures: Futures
    cut: Tensor
    context: int
    batch_size: int
    generator: torch.Generator
    device: torch.device

    def __post_init__(self) -> None:
        self._windows = self.futures.samples
        self.origins = self._validation_windows()

    def plan(self) -> Sequence[Tensor]:
        """Windows of an epoch, cut anew; see :class:`lipschitz_rnn.estimators.trainer.Task`."""
        samples, context = self.futures.samples, self.context
        stride = max(1, context // 32, int(samples.counts.sum()) // _MAX_WINDOWS)
        starts, counts = [], []
        for first in samples.starts.tolist():
            usable = int(self.cut[first]) - 1 - first  # the last one has no known future
            if usable < 1:
                continue
            shift = int(torch.randint(stride, (), generator=self.generator))
            last = max(0, usable - context)
            inside = torch.arange(min(shift, last), last, stride)
            starts.append(first + torch.cat((inside, torch.tensor([last]))))
            counts.append(torch.full((len(inside) + 1,), min(context, usable)))
        self._windows = replace(samples, starts=torch.cat(starts), counts=torch.cat(counts))
        index = torch.arange(len(self._windows)).repeat(-(-_LEAST_WINDOWS // len(self._windows)))
        return self._windows.plan(index, self.batch_size, self.generator)

    def loss(self, index: Tensor) -> Tensor:
        """Mean squared error of all forecasts in a batch of windows, in units of ``spread``."""
        rows = self._windows.rows(index)  # (B, T)
        input, extras = self._windows.batch(index, self.device)
        nodes = self.model(input, **extras)
        counts = self._windows.counts[index].unsqueeze(1)
        steps = torch.arange(rows.shape[1])
        # what is said after a step or two has little to go by
        counted = (steps >= counts // 8) & (steps < counts)
        return self._error(nodes, rows, 0, torch.where(counted, self.cut[rows], 0))

    def validate(self) -> float | None:
        """Mean loss of the forecasts of what was held back; None if nothing was."""
        if not len(self.origins):
            return None
        last = self.origins.starts + self.origins.counts - 1
        nodes = last_forecasts(self.model, self.origins, self.device)
        return self._error(nodes, last, self.cut[last], self.futures.ends[last]).item()

    def _error(self, nodes: Tensor, rows: Tensor, low: Tensor | int, high: Tensor) -> Tensor:
        values, known, offsets = self.futures.after(rows, low, high)
        spread = self.model.spread.to(nodes.device)
        if offsets is not None:
            offsets = offsets.to(nodes.device)
            spread = between(spread.expand_as(nodes), offsets)
            nodes = between(nodes, offsets)
        known = known.to(nodes.device)
        errors = torch.where(known, (nodes - values.to(nodes.device)) / spread, 0)
        return errors.square().sum() / known.sum().clamp(min=1)

    def _validation_windows(self) -> Samples:
        samples = self.futures.samples
        rows = torch.arange(len(samples.values))
        rows = rows[(rows >= self.cut - 1) & (rows < self.futures.ends - 1)]
        rows = rows[:: -(-len(rows) // _MAX_ORIGINS) or 1]
        first = samples.starts.repeat_interleave(samples.counts)[rows]
        counts = (rows - first + 1).clamp(max=self.context)
        return replace(samples, starts=rows - counts + 1, counts=counts)


def last_forecasts(model: nn.Module, samples: Samples, device: torch.device) -> Tensor:
    """Forecasts after the last step of each sample, in evaluation mode and without gradients.

    Args:
        model: Makes them; on the device.
        samples: Series, or pieces of them.
        device: Where to compute.

    Returns:
        (n, K, P), on the CPU.
    """
    model.eval()
    found = torch.empty(len(samples), *model.spread.shape)  # type: ignore[misc]
    with torch.no_grad():
        for piece in samples.pieces(torch.arange(len(samples)), STEPS // 8):
            input, extras = samples.batch(piece, device)
            every = model(input, **extras)  # (B, T, K, P)
            found[piece] = every[torch.arange(len(piece)), samples.counts[piece] - 1].cpu()
    return found
