"""What a run tells its hooks: plain callables ``hook(event)``, called in the thread that trains."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lipschitz_rnn.training.record import RunRecord


@dataclass(frozen=True)
class RunStarted:
    """The run is about to begin or to go on.

    Attributes:
        name: Of the run.
        folder: Where it is kept.
        epochs: How many there will be.
        updates_per_epoch: Updates in each.
        updates_done: Updates of earlier sessions; above 0 if the run was resumed.
        train_count: Training samples.
        parameters: Numbers that are learned.
    """

    name: str
    folder: Path
    epochs: int
    updates_per_epoch: int
    updates_done: int
    train_count: int
    parameters: int


@dataclass(frozen=True)
class UpdateDone:
    """An update was applied.

    Attributes:
        epoch: Counted from 1.
        update: Within the epoch, counted from 1.
        loss: Mean over the epoch so far, in nats.
        accuracy: Over the epoch so far, in [0, 1].
        gradient_norm: Of this update, before clipping.
        sequences_per_second: Over the epoch so far, training alone.
    """

    epoch: int
    update: int
    loss: float
    accuracy: float
    gradient_norm: float
    sequences_per_second: float


@dataclass(frozen=True)
class EpochDone:
    """An epoch was trained, validated and saved.

    Attributes:
        epoch: Counted from 1.
        lr: Learning rate it was trained with.
        train_loss, train_accuracy: Means over its updates, each before it was applied.
        validation_loss, validation_accuracy: At its end.
        is_best: Whether the validation accuracy is the highest so far.
        seconds: Training time, without validation.
        sequences_per_second: Of training.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    is_best: bool
    seconds: float
    sequences_per_second: float


@dataclass(frozen=True)
class RunDone:
    """The run is finished and its summary written.

    Attributes:
        record: The summary.
    """

    record: RunRecord


Event = RunStarted | UpdateDone | EpochDone | RunDone
Hook = Callable[[Event], None]
