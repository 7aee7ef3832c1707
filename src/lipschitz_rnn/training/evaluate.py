"""Loss and figures of a model on a data set."""

import math
import time
from dataclasses import dataclass, field

import torch
from torch import nn

from lipschitz_rnn.data import Dataset
from lipschitz_rnn.training.metrics import METRICS, Totals
from lipschitz_rnn.training.objective import score_batch


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
    model: nn.Module, dataset: Dataset, batch_size: int = 1000, *, kind: str = "classes"
) -> EvaluationResult:
    """Evaluate a model, in evaluation mode and without gradients.

    Args:
        model: As :func:`lipschitz_rnn.training.objective.score_batch` takes it; its mode is
            restored.
        dataset: The samples.
        batch_size: Samples at a time; for a text, rows read side by side.
        kind: What is asked, one of :data:`lipschitz_rnn.data.KINDS`.

    Returns:
        Loss and figures over all samples.
    """
    started = time.perf_counter()
    totals, state = Totals(), None
    parameter = next(model.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for index in dataset.plan(batch_size):
                batch = dataset.batch(index).to(device)
                score = score_batch(model, batch, state)
                state = score.state
                samples = score.count if dataset.carries_state else len(batch)
                totals.add(score.loss.item(), score.count, samples, score.correct)
    finally:
        model.train(was_training)
    seconds = time.perf_counter() - started
    figures = METRICS[kind].figures(totals)
    return EvaluationResult(totals.mean_loss, figures, totals.count, seconds, totals.samples)
