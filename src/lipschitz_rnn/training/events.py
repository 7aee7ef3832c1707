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
        train_count: Training samples; symbols of a text.
        parameters: Numbers that are learned.
        metric: Name of the figure that chooses the best weights.
        workers: Processes that share every batch.
    """

    name: str
    folder: Path
    epochs: int
    updates_per_epoch: int
    updates_done: int
    train_count: int
    parameters: int
    metric: str = "accuracy"
    workers: int = 1


@dataclass(frozen=True)
class UpdateDone:
    """An update was applied.

    Attributes:
        epoch: Counted from 1.
        update: Within the epoch, counted from 1.
        loss: Mean over the epoch so far.
        figures: Over the epoch so far, as in :class:`EvaluationResult`.
        gradient_norm: Of this update, before clipping.
        samples_per_second: Over the epoch so far, training alone.
    """

    epoch: int
    update: int
    loss: float
    figures: dict[str, float]
    gradient_norm: float
    samples_per_second: float


@dataclass(frozen=True)
class EpochDone:
    """An epoch was trained, validated and saved.

    Attributes:
        epoch: Counted from 1.
        lr: Learning rate it was trained with.
        train: Loss and figures over its updates, each before it was applied.
        validation: Loss and figures at its end.
        is_best: Whether the validation figure is the best so far.
        seconds: Training time, without validation.
        samples_per_second: Of training.
    """

    epoch: int
    lr: float
    train: dict[str, float]
    validation: dict[str, float]
    is_best: bool
    seconds: float
    samples_per_second: float


@dataclass(frozen=True)
class RunDone:
    """The run is finished and its summary written.

    Attributes:
        record: The summary.
    """

    record: RunRecord


class StopTraining(Exception):
    """Raised by a hook to end the session: the run is saved as it stands, and can be resumed."""


Event = RunStarted | UpdateDone | EpochDone | RunDone
Hook = Callable[[Event], None]
