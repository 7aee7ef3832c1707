"""Loss and figures of a model on a data set."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from lipschitz_rnn.data import Batch, Dataset
from lipschitz_rnn.training.config import TrainingConfig
from lipschitz_rnn.training.metrics import METRICS, Totals
from lipschitz_rnn.training.objective import score_batch, skim
from lipschitz_rnn.training.shares import Share, own_share, pool_totals
from lipschitz_rnn.training.truncate import read_pieces


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        loss: Mean loss of an answer: cross-entropy in nats, or mean squared error.
        figures: Every figure of this kind of task by name, such as ``"accuracy"`` in [0, 1].
        count: Answers: samples, or valid steps where every step has one.
        seconds: Wall time it took.
        samples: Sequences, or symbols of a text.
    """

    loss: float
    figures: dict[str, float] = field(default_factory=dict)
    count: int = 0
    seconds: float = 0.0
    samples: int = 0

    def for_record(self) -> dict[str, float | int | None]:
        """What a record keeps: all but the time; a number that JSON cannot hold is None.

        Returns:
            Loss, figures and count.
        """
        numbers = {"loss": self.loss, **self.figures}
        kept = {name: x if math.isfinite(x) else None for name, x in numbers.items()}
        return {**kept, "count": self.count}


def evaluate(
    model: nn.Module,
    dataset: Dataset,
    batch_size: int = 1000,
    *,
    kind: str = "classes",
    shared: bool = False,
    truncate_steps: int | None = None,
) -> EvaluationResult:
    """Evaluate a model, in evaluation mode and without gradients.

    Args:
        model: As :func:`lipschitz_rnn.training.objective.score_batch` takes it; its mode is
            restored.
        dataset: The samples.
        batch_size: Samples at a time; for a text, rows read side by side.
        kind: What is asked, one of :data:`lipschitz_rnn.data.KINDS`.
        shared: Whether the workers of a process group share the samples; all must then call this,
            with the same model, and get the same result.
        truncate_steps: Read so many steps at a time, in as much memory as that takes; whole
            sequences if None. The result is the same, to rounding.

    Returns:
        Loss and figures over all samples.
    """
    started = time.perf_counter()
    take = own_share if shared else Share
    totals = _evaluate(model, dataset, batch_size, take, truncate_steps)
    if shared:
        totals = pool_totals(totals)
    seconds = time.perf_counter() - started
    figures = METRICS[kind].figures(totals)
    return EvaluationResult(totals.mean_loss, figures, totals.count, seconds, totals.samples)


def judge(
    settings: TrainingConfig, model: nn.Module, dataset: Dataset, kind: str
) -> EvaluationResult:
    """Evaluate a model as a run does: as its settings say, by all its workers."""
    return evaluate(
        model,
        dataset,
        settings.eval_batch_size,
        kind=kind,
        shared=True,
        truncate_steps=settings.truncate_steps,
    )


def _evaluate(
    model: nn.Module,
    dataset: Dataset,
    batch_size: int,
    take: Callable[[Batch], Share],
    steps: int | None,
) -> Totals:
    totals, state = Totals(), None
    parameter = next(model.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            plan = dataset.plan(batch_size)
            for piece in (p for index in plan for p in read_pieces(dataset, index, 0, steps)):
                share = take(piece.batch)
                if share.is_empty:
                    continue
                batch = share.batch.to(device)
                if not piece.has_answers:
                    state = skim(model, batch, state)
                    continue
                score = score_batch(model, batch, state, carry=piece.goes_on)
                state = score.state
                samples = piece.samples(score.count, len(batch))
                totals.add(score.loss.item(), score.count, samples, score.correct)
    finally:
        model.train(was_training)
    return totals
