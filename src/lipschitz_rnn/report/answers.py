"""What a model answers to every sample, in one pass that reads them as an evaluation does."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipschitz_rnn.data import Batch, Dataset
from lipschitz_rnn.report.source import Source
from lipschitz_rnn.training.objective import score_batch, skim
from lipschitz_rnn.training.truncate import read_pieces


def examined_part(source: Source) -> tuple[str, Dataset] | None:
    """The part of the samples that a report looks into.

    Args:
        source: The run.

    Returns:
        ``"test"`` and the test samples of a finished run; of a run in hand those for
        ``"validation"``, since nobody should look at the others yet. None if there are none.
    """
    if source.split is None:
        return None
    name = "test" if source.summary is not None else "validation"
    part: Dataset = getattr(source.split, name)
    return (name, part) if len(part) else None


@dataclass(frozen=True)
class Answered:
    """A stretch of time of a batch, answered.

    Attributes:
        index: Entry of the plan that it is of.
        batch: The samples.
        answers: (B, Q), or (B, T, Q) where every step is answered.
    """

    index: Any
    batch: Batch
    answers: Tensor

    @property
    def losses(self) -> Tensor:
        """Of each answer, (B,) or (B, T): cross-entropy in nats, or mean squared error."""
        target = self.batch.target
        if target.is_floating_point():
            return (self.answers - target).square().mean(-1)
        flat = self.answers.flatten(0, -2)
        return functional.cross_entropy(flat, target.flatten(), reduction="none").view_as(target)

    @property
    def valid(self) -> Tensor:
        """Which steps are no padding, (B, T)."""
        rows, steps = self.batch.input.shape[:2]
        if self.batch.lengths is None:
            return torch.ones(rows, steps, dtype=torch.bool)
        return torch.arange(steps) < self.batch.lengths.unsqueeze(1)


def answer_all(
    model: nn.Module, dataset: Dataset, plan: Iterable[Any], truncate_steps: int | None = None
) -> Iterator[Answered]:
    """Run a model over samples, as :func:`lipschitz_rnn.training.evaluate` does.

    Args:
        model: In evaluation mode.
        dataset: The samples.
        plan: Entries of its plan, one after the other.
        truncate_steps: Read so many steps at a time.

    Yields:
        What is answered, piece by piece; pieces without answers are run and left out.
    """
    outputs: list[Any] = []
    handle = model.register_forward_hook(lambda _module, _given, output: outputs.append(output))
    state: Any = None
    try:
        for index in plan:
            for piece in read_pieces(dataset, index, 0, truncate_steps):
                if not piece.has_answers:
                    state = skim(model, piece.batch, state)
                    continue
                with torch.no_grad():
                    state = score_batch(model, piece.batch, state, carry=piece.goes_on).state
                answers = outputs[-1]
                outputs.clear()
                yield Answered(
                    index, piece.batch, answers if isinstance(answers, Tensor) else answers[0]
                )
    finally:
        handle.remove()


@dataclass(frozen=True)
class ClassAnswers:
    """Answers to samples of one class each.

    Attributes:
        target: The class of each sample, (n,).
        predicted: The one that the model takes for the likeliest, (n,).
        losses: Cross-entropy of each in nats, (n,).
        sureness: Probability of the predicted class, (n,).
        of_target: Probability of the true one, (n,).
        classes: How many there are.
    """

    target: Tensor
    predicted: Tensor
    losses: Tensor
    sureness: Tensor
    of_target: Tensor
    classes: int

    @property
    def counts(self) -> Tensor:
        """The confusion matrix, (C, C): true classes in rows, predicted ones in columns."""
        places = self.target * self.classes + self.predicted
        flat = torch.bincount(places, minlength=self.classes**2)
        return flat.view(self.classes, self.classes)


def answer_classes(
    model: nn.Module, dataset: Dataset, batch_size: int, truncate_steps: int | None = None
) -> ClassAnswers:
    """Classify every sample, in the order of the data set.

    Args:
        model: In evaluation mode.
        dataset: Samples of one class each.
        batch_size: At a time.
        truncate_steps: Read so many steps at a time.

    Returns:
        The answers.
    """
    parts: list[tuple[Tensor, ...]] = []
    classes = 0
    for one in answer_all(model, dataset, dataset.plan(batch_size), truncate_steps):
        shares = one.answers.softmax(-1)
        sureness, predicted = shares.max(-1)
        target = one.batch.target
        of_target = shares.gather(1, target.unsqueeze(1)).squeeze(1)
        parts.append((target, predicted, one.losses, sureness, of_target))
        classes = shares.shape[-1]
    columns = [torch.cat(column) for column in zip(*parts, strict=True)]
    return ClassAnswers(columns[0], columns[1], columns[2], columns[3], columns[4], classes)
