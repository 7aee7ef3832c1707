"""Samples to measure robustness on, and what a model makes of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_shape
from lipschitz_rnn.analysis.ball import Loss, classes_of
from lipschitz_rnn.analysis.perturbations import Perturbed
from lipschitz_rnn.analysis.targets import (
    mean_by_sample,
    require_answers,
    sample_losses,
    target_axis,
)


@dataclass(frozen=True, eq=False)
class Score:
    """Of each sample: the share of its answers that are right, and its loss; (B,), float64.

    ``right`` is None where the target is not classes.
    """

    right: Tensor | None
    loss: Tensor

    def worse(self, other: "Score") -> "Score":
        """Of two inputs in one ball around each sample, what is worse of each."""
        right = None
        if self.right is not None and other.right is not None:
            right = torch.minimum(self.right, other.right)
        return Score(right, torch.maximum(self.loss, other.loss))

    @staticmethod
    def join(parts: "list[Score]") -> "Score":
        """Of several batches, one after the other."""
        rights = [part.right for part in parts if part.right is not None]
        return Score(
            torch.cat(rights) if rights else None, torch.cat([part.loss for part in parts])
        )


@dataclass(frozen=True, eq=False)
class Samples:
    """A batch, its targets and times, and what range its numbers have.

    ``low`` and ``high`` are the range that strengths are relative to; ``box`` is where attacks have
    to stay, if anywhere. ``axis`` is that of the samples in the input.
    """

    input: Tensor
    target: Tensor
    dt: float | Tensor | None
    axis: int
    low: float
    high: float
    box: tuple[float | None, float | None]
    loss: Loss | None

    @property
    def span(self) -> float:
        """Width of the range."""
        return self.high - self.low

    @property
    def target_axis(self) -> int:
        """Axis of the samples in the target."""
        return target_axis(self.target, self.axis)

    def __len__(self) -> int:
        """How many samples."""
        return self.target.shape[self.target_axis]

    @property
    def has_classes(self) -> bool:
        """Whether the target is classes, not numbers."""
        return not self.target.is_floating_point()

    def after(self, change: Perturbed) -> "Samples":
        """The same samples with another input."""
        return replace(self, input=change.input, dt=change.dt)

    def parts(self, batch_size: int) -> Iterator["Samples"]:
        """A batch at a time."""
        for index in torch.split(torch.arange(len(self)), batch_size):
            there = index.to(self.input.device)
            dt = self.dt
            if isinstance(dt, Tensor) and dt.dim() == 2:
                dt = dt.index_select(self.axis, index.to(dt.device))
            yield replace(
                self,
                input=self.input.index_select(self.axis, there),
                target=self.target.index_select(self.target_axis, index.to(self.target.device)),
                dt=dt,
            )

    def losses(self, answers: Tensor, target: Tensor) -> Tensor:
        """One for each sample; as attacks take it, too."""
        if self.loss is None:
            return sample_losses("robustness", answers, target, self.axis)
        losses = self.loss(answers, target)
        count = target.shape[target_axis(target, self.axis)]
        require_shape("robustness", "loss", losses, (count,), "(B,)")
        return losses

    def score(self, model: nn.Module, batch_size: int) -> Score:
        """What a model makes of the samples."""
        found = []
        with torch.no_grad():
            for part in self.parts(batch_size):
                options: dict[str, Any] = {} if part.dt is None else {"dt": part.dt}
                answers = model(part.input, **options)
                found.append(part._score(answers))
        return Score.join(found)

    def _score(self, answers: Tensor) -> Score:
        if not isinstance(answers, Tensor):
            raise TypeError(
                "robustness: expected a model that answers with one tensor, got "
                f"{type(answers).__name__}. Wrap it in a module that returns the logits alone."
            )
        right = None
        if self.has_classes:
            require_answers("robustness", answers, self.target, self.axis)
            right = (classes_of(answers) == self.target).double()
            right = mean_by_sample(right, self.target, self.axis).cpu()
        return Score(right, self.losses(answers, self.target).double().cpu())
