"""What happens when an epoch is trained and validated: record, best weights, checkpoint."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from lipschitz_rnn.training.distributed import from_first
from lipschitz_rnn.training.evaluate import EvaluationResult
from lipschitz_rnn.training.events import EpochDone
from lipschitz_rnn.training.folder import RunFolder
from lipschitz_rnn.training.metrics import Totals
from lipschitz_rnn.training.record import RecordFile
from lipschitz_rnn.training.state import RunState

Watch = Callable[[nn.Module, int, int], dict[str, Any]]
"""Model, epoch counted from 1, and epochs in all to what the record keeps of the weights then."""


def finish_epoch(
    state: RunState,
    result: EvaluationResult,
    folder: RunFolder,
    record: RecordFile,
    test: EvaluationResult | None,
    watch: Watch | None,
) -> EpochDone:
    """Put a finished epoch on record and save.

    The order matters: best weights, record, checkpoint. A kill between them leaves the checkpoint
    before; the run then repeats the epoch, and with it the two files ahead of the checkpoint.

    A model that diverged in the last update of the epoch, after which no loss was looked at, ends
    the run here, before anything is overwritten.

    Args:
        state: Stands after the last update of the epoch; afterwards before the first of the next.
        result: Of the validation samples. The weights are the best so far if the metric of the
            task is better than ever before; of equals the earliest stays.
        folder: Where the checkpoints go.
        record: Where the line goes.
        test: Of the test samples, if it is wanted on record; nothing is chosen by it.
        watch: What else to record, under ``"spectra"``; nothing if it returns nothing.

    Returns:
        The event to tell the hooks.

    Raises:
        FloatingPointError: If the validation loss or a weight is not finite.
    """
    progress, totals = state.progress, state.progress.totals
    state.require_finite(result.loss)
    event = EpochDone(
        epoch=progress.epoch + 1,
        lr=state.learning_rate,
        train={"loss": totals.mean_loss, **state.metric.figures(totals)},
        validation={"loss": result.loss, **result.figures},
        is_best=_is_best(state, result),
        seconds=progress.epoch_seconds,
        samples_per_second=totals.samples / progress.epoch_seconds,
    )
    if not event.is_best:
        progress.lr_factor *= state.config.training.plateau_factor
    progress.last = {"epoch": event.epoch, "validation": result.for_record()}
    if event.is_best:
        progress.best = progress.last
        state.save_weights(folder.best)

    def append() -> None:
        with torch.no_grad():
            epochs = state.config.training.epochs
            spectra = watch(state.average.model, event.epoch, epochs) if watch else {}
        record.append(_epoch_line(event, progress.gradient_norm, test, spectra))

    from_first(append)
    progress.record_length, progress.record_digest = record.length, record.digest
    progress.train_seconds += progress.epoch_seconds
    progress.epoch, progress.update, progress.epoch_seconds = event.epoch, 0, 0.0
    progress.totals = Totals()
    state.save(folder.last)
    return event


def _is_best(state: RunState, result: EvaluationResult) -> bool:
    best, name = state.progress.best, state.metric.name
    return best is None or state.metric.is_better(result.figures[name], best["validation"][name])


def _epoch_line(
    event: EpochDone,
    gradient_norm: float | None,
    test: EvaluationResult | None,
    spectra: dict[str, Any],
) -> dict[str, Any]:
    """The line of the record; all that differs between equal runs is under ``"time"``."""
    return {
        "event": "epoch",
        "epoch": event.epoch,
        "lr": event.lr,
        "train": event.train,
        "validation": event.validation,
        **({} if test is None else {"test": {"loss": test.loss, **test.figures}}),
        "is_best": event.is_best,
        "gradient_norm": gradient_norm,
        **({"spectra": spectra} if spectra else {}),
        "time": {
            "seconds": event.seconds,
            "samples_per_second": event.samples_per_second,
        },
    }
