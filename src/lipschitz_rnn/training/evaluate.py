"""Loss and accuracy of a model on a dataset."""

import math
import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from lipschitz_rnn.data import SequenceDataset
from lipschitz_rnn.training.metrics import ClassificationTotals


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        loss: Mean cross-entropy in nats.
        accuracy: Share of correct samples, in [0, 1].
        count: Samples.
        seconds: Wall time it took.
    """

    loss: float
    accuracy: float
    count: int
    seconds: float

    def for_record(self) -> dict[str, float | int | None]:
        """What a record keeps: all but the time; a loss that JSON cannot hold is None.

        Returns:
            Loss, accuracy and count.
        """
        loss = self.loss if math.isfinite(self.loss) else None
        return {"loss": loss, "accuracy": self.accuracy, "count": self.count}


def evaluate(
    model: nn.Module, dataset: SequenceDataset, batch_size: int = 1000
) -> EvaluationResult:
    """Evaluate a classifier, in evaluation mode and without gradients.

    Args:
        model: Maps inputs of shape (B, T, P) to logits of shape (B, C); its mode is restored.
        dataset: The samples.
        batch_size: Samples at a time.

    Returns:
        Loss and accuracy over all samples.
    """
    started = time.perf_counter()
    totals = ClassificationTotals()
    parameter = next(model.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for first in range(0, len(dataset), batch_size):
                batch = dataset.batch(slice(first, first + batch_size)).to(device)
                logits = model(batch.input)
                loss = functional.cross_entropy(logits, batch.target).item()
                totals.add(loss, logits, batch.target)
    finally:
        model.train(was_training)
    seconds = time.perf_counter() - started
    return EvaluationResult(totals.mean_loss, totals.accuracy, totals.count, seconds)
