"""What a batch costs: the model is run and its answers are compared with the targets."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Batch, Split
from lipschitz_rnn.nn import LanguageModel, contraction_penalty, logit_gains, margin_logits
from lipschitz_rnn.nn.state import State, map_state
from lipschitz_rnn.training.config import TrainingConfig
from lipschitz_rnn.training.metrics import count_correct


@dataclass(frozen=True)
class Score:
    """A batch, run and compared.

    Attributes:
        loss: Mean over the answers, a scalar to differentiate: cross-entropy in nats, or squared
            error averaged over the numbers of an answer.
        count: Answers.
        correct: Right ones among them; 0 where there are no classes.
        state: Where the recurrent layer stands, detached; None unless the task carries it on.
    """

    loss: Tensor
    count: int
    correct: int
    state: State | None = None


def score_batch(
    model: nn.Module, batch: Batch, state: State | None = None, *, radius: float = 0.0
) -> Score:
    """Run a model on a batch and compare.

    Args:
        model: A :class:`LanguageModel` for symbols of a text; otherwise a module that maps (B, T,
            P), and ``lengths`` or ``dt`` if the batch has them, to answers.
        batch: The samples, on the model's device.
        state: Of a language model, where the batch before ended.
        radius: Above 0, the loss is that of the worst logits that an input change of this l2 norm
            may lead to, :func:`lipschitz_rnn.nn.margin_logits`; the counts stay as they are.

    Returns:
        Loss and counts.
    """
    if isinstance(model, LanguageModel):
        logits, state = model(batch.input, state)
        return _classes(logits, batch.target, map_state(Tensor.detach, state))
    options = {
        name: value
        for name, value in (("lengths", batch.lengths), ("dt", batch.dt))
        if value is not None
    }
    answers = model(batch.input, **options)
    if not batch.target.is_floating_point():
        score = _classes(answers, batch.target, None)
        if radius > 0:
            gains = logit_gains(model, batch.input.shape[1])
            worst = margin_logits(answers, batch.target, gains, radius)
            score = replace(score, loss=functional.cross_entropy(worst, batch.target))
        return score
    return _values(answers, batch)


def require_objective(settings: TrainingConfig, model: nn.Module, split: Split) -> None:
    """Raise ``InputError`` if what the loss is to contain is not known of such a model."""
    if settings.contraction_penalty > 0:
        try:
            contraction_penalty(model, settings.contraction_rate)
        except (TypeError, ValueError) as error:
            raise InputError(f"training.contraction_penalty: {error}") from None
    if settings.certified_radius > 0:
        where = "training.certified_radius"
        if split.kind != "classes" or split.timed:
            raise InputError(
                f"{where}: expected a task of one class a sequence, without times, got "
                f"{split.name}: only there is a margin to keep. Set it to 0."
            )
        try:
            logit_gains(model, 1)
        except ValueError as error:
            raise InputError(f"{where}: {error}") from None


def _classes(logits: Tensor, target: Tensor, state: State | None) -> Score:
    loss = functional.cross_entropy(logits.flatten(0, -2), target.flatten())
    return Score(loss, target.numel(), count_correct(logits, target), state)


def _values(answers: Tensor, batch: Batch) -> Score:
    """Mean squared error over valid steps: padding counts neither above nor below the line."""
    squared = (answers - batch.target).square().mean(-1)  # (B,) or (B, T)
    if batch.lengths is None:
        return Score(squared.mean(), squared.numel(), 0)
    lengths = batch.lengths.to(squared.device)
    valid = torch.arange(squared.shape[1], device=squared.device) < lengths.unsqueeze(1)
    count = int(batch.lengths.sum())
    return Score(torch.where(valid, squared, 0).sum() / count, count, 0)
