"""Loss and accuracy over a stream of batches."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class ClassificationTotals:
    """Running sums; plain numbers, so that a checkpoint keeps them exactly.

    Attributes:
        loss: Sum of the samples' losses, in nats.
        correct: Samples whose largest logit is that of their class.
        count: Samples.
    """

    loss: float = 0.0
    correct: int = 0
    count: int = 0

    def add(self, mean_loss: float, logits: Tensor, target: Tensor) -> None:
        """Count a batch.

        Args:
            mean_loss: Its mean loss.
            logits: Shape (B, C).
            target: Classes, shape (B,).
        """
        size = len(target)
        self.loss += mean_loss * size
        self.correct += int((logits.detach().argmax(-1) == target).sum())
        self.count += size

    @property
    def mean_loss(self) -> float:
        """Mean loss in nats; NaN before the first sample."""
        return self.loss / self.count if self.count else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of correct samples, in [0, 1]; NaN before the first sample."""
        return self.correct / self.count if self.count else float("nan")
