"""One update of the weights: forward, backward, clip, step."""

import math
from collections.abc import Callable
from typing import Any

from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from lipschitz_rnn.data import Dataset
from lipschitz_rnn.nn import contraction_penalty
from lipschitz_rnn.training.objective import skim
from lipschitz_rnn.training.shares import own_share
from lipschitz_rnn.training.state import RunState
from lipschitz_rnn.training.truncate import Piece, read_pieces

Weight = Callable[[int, bool], float]


def _even(_answers: int, _every_step: bool) -> float:
    return 1.0


def update(state: RunState, dataset: Dataset, index: Any, weight: Weight = _even) -> None:
    """Update the weights on one batch: once, or after each piece that it is cut into.

    Args:
        state: Changed in place.
        dataset: What is trained on.
        index: An entry of its plan.
        weight: What a mean over answers is multiplied with, given how many, and whether every step
            has one.

    Raises:
        FloatingPointError: If loss or gradient is not finite; the weights are then as before.
    """
    epoch, steps = state.progress.epoch + 1, state.config.training.truncate_steps
    for piece in read_pieces(dataset, index, epoch, steps):
        if piece.has_answers:
            _descend(state, piece, weight)
        else:
            share = own_share(piece.batch)
            after = skim(state.model, share.batch.to(state.device), state.carried)
            state.carried = share.keep(after)


def _descend(state: RunState, piece: Piece, weight: Weight) -> None:
    share = own_share(piece.batch)
    settings, batch = state.config.training, share.batch.to(state.device)
    score = state.score(
        batch,
        state.carried,
        radius=settings.certified_radius,
        steps=piece.steps,
        carry=piece.goes_on,
    )
    pooled = share.pool(score, piece.samples(score.count, len(batch)))
    value = pooled.loss
    _require_finite(state, "loss", value, value)
    state.optimizer.zero_grad(set_to_none=True)
    loss = pooled.weigh(score.loss) * weight(pooled.count, batch.every_step)
    if settings.contraction_penalty > 0:
        excess = contraction_penalty(state.model, settings.contraction_rate).to(loss.dtype)
        loss = loss + settings.contraction_penalty * excess
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [p for p in state.model.parameters() if p.grad is not None]
    norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
    _require_finite(state, "gradient norm", norm.item(), value)
    if settings.clip_norm > 0:
        clip_grads_with_norm_(parameters, settings.clip_norm, norm)
    state.optimizer.step()
    state.average.update()
    state.carried = share.keep(score.state)
    state.progress.gradient_norm = norm.item()
    state.progress.totals.add(value, pooled.count, pooled.samples, pooled.correct)


def _require_finite(state: RunState, name: str, value: float, loss: float) -> None:
    if not math.isfinite(value):
        progress = state.progress
        norm = progress.gradient_norm
        raise FloatingPointError(
            f"epoch {progress.epoch + 1}, update {progress.update + 1}: expected a finite {name}, "
            f"got {value} (loss {loss:g}); last finite gradient norm: "
            f"{'none yet' if norm is None else f'{norm:g}'}. "
            "Lower training.lr or model.step_size, or set training.clip_norm."
        )
