"""Loss and accuracy over a stream of batches, and what each kind of task makes of them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

_DECIBEL = 20 / math.log(10)  # dB per unit of natural log-magnitude


@dataclass
class Totals:
    """Running sums; plain numbers, so that a checkpoint keeps them exactly.

    Attributes:
        loss: Sum of the losses of all answers.
        correct: Answers whose largest logit is that of their class; 0 where there are no classes.
        count: Answers: samples, or valid steps where every step has one.
        samples: Sequences, or symbols of a text.
    """

    loss: float = 0.0
    correct: int = 0
    count: int = 0
    samples: int = 0

    def add(self, mean_loss: float, count: int, samples: int, correct: int = 0) -> None:
        """Count a batch.

        Args:
            mean_loss: Its mean loss.
            count: Its answers.
            samples: Its samples.
            correct: How many answers are right.
        """
        self.loss += mean_loss * count
        self.correct += correct
        self.count += count
        self.samples += samples

    @property
    def mean_loss(self) -> float:
        """Mean loss of an answer; NaN before the first."""
        return self.loss / self.count if self.count else math.nan

    @property
    def accuracy(self) -> float:
        """Share of correct answers, in [0, 1]; NaN before the first."""
        return self.correct / self.count if self.count else math.nan


def count_correct(logits: Tensor, target: Tensor) -> int:
    """Answers whose largest logit is that of their class.

    Args:
        logits: Shape (..., C).
        target: Shape (...).

    Returns:
        How many.
    """
    return int((logits.detach().argmax(-1) == target).sum())


def _perplexity(loss: float) -> float:
    return math.exp(loss) if loss < 700 else math.inf


def _accuracy(totals: Totals) -> dict[str, float]:
    return {"accuracy": totals.accuracy}


def _mse(totals: Totals) -> dict[str, float]:
    return {"mse": totals.mean_loss}


def _spectra(totals: Totals) -> dict[str, float]:
    return _mse(totals) | {"mse_db": totals.mean_loss * _DECIBEL**2}


def _text(totals: Totals) -> dict[str, float]:
    loss = totals.mean_loss
    return {
        "bits_per_character": loss / math.log(2),
        "perplexity": _perplexity(loss),
        "accuracy": totals.accuracy,
    }


def _words(totals: Totals) -> dict[str, float]:
    return {"perplexity": _perplexity(totals.mean_loss), "accuracy": totals.accuracy}


@dataclass(frozen=True)
class Metric:
    """How models of a kind of task are compared.

    Attributes:
        name: Of the figure that chooses the best weights.
        larger_is_better: Which way.
        figures: All figures of a task of this kind, from its totals.
    """

    name: str
    larger_is_better: bool
    figures: Callable[[Totals], dict[str, float]]

    def is_better(self, new: float, old: float) -> bool:
        """Whether a figure beats another; a tie does not, nor does NaN."""
        return new > old if self.larger_is_better else new < old


METRICS: Mapping[str, Metric] = {
    "classes": Metric("accuracy", True, _accuracy),
    "values": Metric("mse", False, _mse),
    "frames": Metric("mse", False, _mse),
    "spectra": Metric("mse", False, _spectra),
    "symbols": Metric("accuracy", True, _accuracy),
    "characters": Metric("bits_per_character", False, _text),
    "words": Metric("perplexity", False, _words),
}
"""The metric of each of :data:`lipschitz_rnn.data.KINDS`."""
