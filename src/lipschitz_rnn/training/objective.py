"""What a batch costs: the model is run and its answers are compared with the targets."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Batch, Split
from lipschitz_rnn.nn import (
    LanguageModel,
    SequenceRegressor,
    contraction_penalty,
    logit_gains,
    margin_logits,
)
from lipschitz_rnn.nn.state import State, map_state, where_state
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
        state: Where the recurrent layer stands, detached; None unless it is to be carried on.
    """

    loss: Tensor
    count: int
    correct: int
    state: State | None = None


def score_batch(
    model: nn.Module,
    batch: Batch,
    state: State | None = None,
    *,
    radius: float = 0.0,
    steps: int | None = None,
    carry: bool = False,
) -> Score:
    """Run a model on a batch and compare.

    Args:
        model: A :class:`LanguageModel` for symbols of a text; otherwise a module that maps (B, T,
            P), and ``lengths`` or ``dt`` if the batch has them, to answers.
        batch: The samples, on the model's device. Rows of length 0 have no answers, and keep their
            state.
        state: Where the batch before ended, or the steps before these.
        radius: Above 0, the loss is that of the worst logits that an input change of this l2 norm
            may lead to, :func:`lipschitz_rnn.nn.margin_logits`; the counts stay as they are.
        steps: How many the input that may change has; those of the batch if None.
        carry: Whether the state at the end is wanted; that of a text's model always is there.

    Returns:
        Loss and counts.
    """
    answers, after = _run(model, batch, state, carry)
    if batch.target.is_floating_point():
        score = _values(answers, batch)
    else:
        score = _classes(answers, batch)
        if radius > 0:
            gains = logit_gains(model, steps or batch.input.shape[1])
            worst = margin_logits(answers, batch.target, gains, radius)
            score = replace(score, loss=functional.cross_entropy(worst, batch.target))
    return replace(score, state=after)


def skim(model: nn.Module, batch: Batch, state: State | None) -> State:
    """Run a model over steps that nothing is learned from.

    Args:
        model: A :class:`SequenceRegressor`.
        batch: The steps; rows of length 0 keep their state. The target is not looked at.
        state: Where the steps before these ended; None for zero.

    Returns:
        The state at the end, without a graph.
    """
    with torch.no_grad():
        after = _run(model, batch, state, carry=True)[1]
    assert after is not None  # for the type checker: it is asked for
    return after


def _run(
    model: nn.Module, batch: Batch, state: State | None, carry: bool
) -> tuple[Tensor, State | None]:
    """Answers, and the state at the end, detached."""
    if isinstance(model, LanguageModel):
        logits, after = model(batch.input, state)
        return logits, map_state(Tensor.detach, after)
    options: dict[str, Any] = {} if batch.dt is None else {"dt": batch.dt}
    if batch.lengths is not None:
        options["lengths"] = batch.lengths.clamp(min=1)  # the layers know no row without steps
    if state is not None:
        options["hx"] = state
    if not carry:
        return model(batch.input, **options), None
    answers, after = model(batch.input, need_state=True, **options)
    after = map_state(Tensor.detach, after)
    if batch.lengths is not None:
        is_over = (batch.lengths == 0).to(batch.input.device).unsqueeze(1)  # (B, 1)
        before = map_state(torch.zeros_like, after) if state is None else state
        after = where_state(is_over, before, after)
    return answers, after


def require_objective(settings: TrainingConfig, model: nn.Module, split: Split) -> None:
    """Raise ``InputError`` if such a model cannot be trained on these samples as settings say."""
    _require_carrying(settings, model, split)
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


def _require_carrying(settings: TrainingConfig, model: nn.Module, split: Split) -> None:
    """Where a state is carried from one stretch of time to the next, one must come out."""
    where = "training.truncate_steps"
    if split.train.carries_state:
        if settings.truncate_steps is not None:
            raise InputError(
                f"{where}: expected a task of separate sequences, got {split.name}, which is cut "
                "after every data.steps as it is. Set that instead."
            )
        where = split.name
    elif settings.truncate_steps is None:
        return
    if not isinstance(model, SequenceRegressor | LanguageModel):
        raise InputError(
            f"{where}: expected a SequenceClassifier, SequenceRegressor or LanguageModel, whose "
            f"state can be carried on, got {type(model).__name__}."
        )
    if model.rnn.bidirectional:
        raise InputError(
            f"{where}: expected model.bidirectional=false, got true: the reverse direction begins "
            "at the end, so no state can be carried on to it."
        )


def _classes(logits: Tensor, batch: Batch) -> Score:
    """Mean cross-entropy over valid answers."""
    target, valid = batch.target, _valid(batch)
    if valid is None or not batch.every_step:
        loss = functional.cross_entropy(logits.flatten(0, -2), target.flatten())
    else:
        logits, target = logits[valid], target[valid]  # (answers, C), (answers,)
        loss = functional.cross_entropy(logits, target, reduction="sum") / max(len(target), 1)
    return Score(loss, target.numel(), count_correct(logits, target))


def _values(answers: Tensor, batch: Batch) -> Score:
    """Mean squared error over valid steps: padding counts neither above nor below the line."""
    squared = (answers - batch.target).square().mean(-1)  # (B,) or (B, T)
    valid = _valid(batch)
    if valid is None or not batch.every_step:
        return Score(squared.mean(), squared.numel(), 0)
    count = int(valid.sum())
    return Score(torch.where(valid, squared, 0).sum() / max(count, 1), count, 0)


def _valid(batch: Batch) -> Tensor | None:
    """Which steps are no padding, (B, T); None if none is."""
    if batch.lengths is None:
        return None
    device = batch.input.device
    times = torch.arange(batch.input.shape[1], device=device)
    return times < batch.lengths.to(device).unsqueeze(1)
