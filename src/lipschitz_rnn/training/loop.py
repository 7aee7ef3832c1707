"""The training loop: one update after the other; validate and save after every epoch."""

import time
from collections.abc import Callable

from lipschitz_rnn.data import Dataset, Split
from lipschitz_rnn.training.distributed import first_says
from lipschitz_rnn.training.epoch_end import Watch, finish_epoch
from lipschitz_rnn.training.evaluate import judge
from lipschitz_rnn.training.events import Hook, StopTraining, UpdateDone
from lipschitz_rnn.training.folder import RunFolder
from lipschitz_rnn.training.plan import plan_epoch
from lipschitz_rnn.training.record import RecordFile
from lipschitz_rnn.training.state import RunState
from lipschitz_rnn.training.update import update


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
    while state.progress.epoch < settings.epochs:
        _train_epoch(state, split.train, lambda: state.save(folder.last), emit)
        model = state.average.model
        result = judge(settings, model, split.validation, split.kind)
        test = None
        if settings.test_every_epoch:
            test = judge(settings, model, split.test, split.kind)
        emit(finish_epoch(state, result, folder, record, test, watch))
    state.average.settle()


def _train_epoch(state: RunState, dataset: Dataset, save: Callable[[], None], emit: Hook) -> None:
    settings, progress = state.config.training, state.progress
    plan = plan_epoch(state.config, dataset, progress.epoch + 1)
    batches = plan.batches
    # of the last update: the epoch may have been stopped behind it, and be told of without another
    state.set_learning_rate(max(progress.update - 1, 0), len(batches))
    if not progress.update:
        state.carried = None
    state.model.train()
    saved = time.perf_counter()
    for number in range(progress.update, len(batches)):
        started = time.perf_counter()
        state.set_learning_rate(number, len(batches))
        update(state, dataset, batches[number], plan.weight)
        progress.update = number + 1
        progress.epoch_seconds += time.perf_counter() - started
        try:
            emit(_update_event(state))
        except StopTraining:
            state.require_finite()
            save()
            raise
        due = first_says(time.perf_counter() - saved >= settings.checkpoint_seconds)
        if due and number + 1 < len(batches):
            state.require_finite()
            save()
            saved = time.perf_counter()


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
