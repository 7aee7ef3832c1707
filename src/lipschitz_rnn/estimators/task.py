"""Whole series with one target each, as a task to train on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lipschitz_rnn.estimators.samples import Samples
from lipschitz_rnn.estimators.series import Array

STEPS = 1 << 17
"""Steps that go through a model at a time when it answers; bounds the memory."""

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Mean loss of answers and their targets."""


@dataclass
class SeriesTask:
    """Series with one target each.

    Attributes:
        model: Answers them.
        samples: The series.
        target: What to answer, (n, ...).
        criterion: How wrong the answers are.
        batch_size: Series a batch.
        train: Which series to learn from.
        held: Which to validate on, perhaps none.
        generator: Of the order.
        device: Where to compute.
    """

    model: nn.Module
    samples: Samples
    target: Tensor
    criterion: Criterion
    batch_size: int
    train: Tensor
    held: Tensor
    generator: torch.Generator
    device: torch.device

    def plan(self) -> Sequence[Tensor]:
        """Batches of an epoch, as indices."""
        return self.samples.plan(self.train, self.batch_size, self.generator)

    def loss(self, index: Tensor) -> Tensor:
        """Mean loss of a batch."""
        input, extras = self.samples.batch(index, self.device)
        return self.criterion(self.model(input, **extras), self.target[index].to(self.device))

    def validate(self) -> float | None:
        """Mean loss of the series held back; None if there are none."""
        if not len(self.held):
            return None
        answers = answers_of(self.model, self.samples, self.held, self.device)
        return self.criterion(answers, self.target[self.held].to(self.device)).item()


def answers_of(model: nn.Module, samples: Samples, index: Tensor, device: torch.device) -> Tensor:
    """Answers of a model, in evaluation mode and without gradients.

    Args:
        model: It.
        samples: The series.
        index: Which of them.
        device: Where to compute; the model is moved there.

    Returns:
        Answers in the order of ``index``.
    """
    model.to(device).eval()
    pieces = samples.pieces(index, STEPS)
    with torch.no_grad():
        found = []
        for piece in pieces:
            input, extras = samples.batch(piece, device)
            found.append(model(input, **extras))
    position = torch.empty(len(samples), dtype=torch.int64)
    position[torch.cat(pieces)] = torch.arange(len(index))
    return torch.cat(found)[position[index].to(device)]


def split(groups: Array, fraction: float, generator: torch.Generator) -> Tensor:
    """Which samples to hold back.

    Args:
        groups: Of each sample, (n,): held back in proportion, never all of one.
        fraction: How many to hold back.
        generator: Of the choice.

    Returns:
        True where held back, (n,).
    """
    order = torch.randperm(len(groups), generator=generator)
    names = groups[order.numpy()]
    held = torch.zeros(len(groups), dtype=torch.bool)
    for name in np.unique(groups):
        members = order[torch.from_numpy(names == name)]
        held[members[: min(round(fraction * len(members)), len(members) - 1)]] = True
    return held
