"""The training loop: forward, backward, update; validate and save after every epoch."""

import math
import time
from collections.abc import Callable
from typing import Any

from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from lipschitz_rnn.data import Dataset, Split
from lipschitz_rnn.nn import contraction_penalty
from lipschitz_rnn.training.epoch_end import Watch, finish_epoch
from lipschitz_rnn.training.evaluate import evaluate
from lipschitz_rnn.training.events import Hook, StopTraining, UpdateDone
from lipschitz_rnn.training.folder import RunFolder
from lipschitz_rnn.training.objective import score_batch
from lipschitz_rnn.training.record import RecordFile
from lipschitz_rnn.training.seeds import epoch_order
from lipschitz_rnn.training.state import RunState


def train(
    state: RunState,
    split: Split,
    folder: RunFolder,
    record: RecordFile,
    emit: Hook,
    watch: Watch | None = None,
) -> None:
    """Train from where ``state`` stands to the last epoch.

    Args:
        state: Changed in place.
        split: Samples to fit, to choose the best weights by, and to test if the settings say so.
        folder: Where checkpoints go.
        record: Where the lines go.
        emit: Told of every update and epoch.
        watch: What to record about the weights after every epoch.
    """
    settings = state.config.training
    size = settings.eval_batch_size
    while state.progress.epoch < settings.epochs:
        _train_epoch(state, split.train, lambda: state.save(folder.last), emit)
        result = evaluate(state.model, split.validation, size, kind=split.kind)
        test = None
        if settings.test_every_epoch:
            test = evaluate(state.model, split.test, size, kind=split.kind)
        emit(finish_epoch(state, result, folder, record, test, watch))


def _train_epoch(state: RunState, dataset: Dataset, save: Callable[[], None], emit: Hook) -> None:
    settings, progress = state.config.training, state.progress
    epoch = progress.epoch + 1
    order = None
    if not dataset.carries_state:
        order = epoch_order(state.config.seed.order, epoch, len(dataset))
    batches = dataset.plan(settings.batch_size, order)
    for group in state.optimizer.param_groups:
        group["lr"] = state.learning_rate
    if not progress.update:
        state.carried = None
    state.model.train()
    saved = time.perf_counter()
    for update in range(progress.update, len(batches)):
        started = time.perf_counter()
        _update(state, dataset, batches[update])
        progress.update = update + 1
        progress.epoch_seconds += time.perf_counter() - started
        try:
            emit(_update_event(state))
        except StopTraining:
            state.require_finite()
            save()
            raise
        due = time.perf_counter() - saved >= settings.checkpoint_seconds
        if due and update + 1 < len(batches):
            state.require_finite()
            save()
            saved = time.perf_counter()


def _update(state: RunState, dataset: Dataset, index: Any) -> None:
    """One update; raises before the weights change if loss or gradient is not finite."""
    batch = dataset.batch(index, state.progress.epoch + 1).to(state.device)
    settings = state.config.training
    score = score_batch(state.model, batch, state.carried, radius=settings.certified_radius)
    value = score.loss.item()
    _require_finite(state, "loss", value, value)
    state.optimizer.zero_grad(set_to_none=True)
    loss = score.loss
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
    state.carried = score.state
    state.progress.gradient_norm = norm.item()
    samples = score.count if dataset.carries_state else len(batch)
    state.progress.totals.add(value, score.count, samples, score.correct)


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


def _update_event(state: RunState) -> UpdateDone:
    progress, totals = state.progress, state.progress.totals
    return UpdateDone(
        epoch=progress.epoch + 1,
        update=progress.update,
        loss=totals.mean_loss,
        figures=state.metric.figures(totals),
        gradient_norm=progress.gradient_norm or 0.0,
        samples_per_second=totals.samples / progress.epoch_seconds,
    )
