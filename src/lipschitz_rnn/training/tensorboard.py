"""Losses and figures of a run for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lipschitz_rnn._base.checks import require_positive_int
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.training.events import EpochDone, Event, RunDone, RunStarted, UpdateDone


class TensorBoard:
    """A hook that writes what happens to event files; used as a context, which closes them.

    The horizontal axis is the number of updates, from 1. A resumed run writes a further file, and
    TensorBoard then leaves out what the interrupted session wrote beyond its checkpoint.

    Args:
        folder: Where to; ``tensorboard`` in the run's folder if None.
        every: Write loss and gradient norm of every so many updates.

    Raises:
        InputError: If TensorBoard is not installed.
        ValueError: If ``every`` is no positive integer.

    Examples:
        >>> from lipschitz_rnn.experiments import load_preset, train_run
        >>> with TensorBoard() as board:  # doctest: +SKIP
        ...     train_run(load_preset("digits"), Path("runs/digits"), hooks=[board])
    """

    def __init__(self, folder: Path | None = None, *, every: int = 10) -> None:
        require_positive_int("TensorBoard", "every", every)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise InputError(
                "TensorBoard: expected the package tensorboard, but it is not installed. "
                'Try `pip install "lipschitz-rnn[tensorboard]"`.'
            ) from None
        self._make_writer = SummaryWriter
        self._folder, self._every = folder, every
        self._writer: Any = None
        self._per_epoch = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Put what was written on disk, and stop writing."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __call__(self, event: Event) -> None:
        """Write an event."""
        if isinstance(event, RunStarted):
            self._begin(event)
        elif isinstance(event, UpdateDone):
            step = (event.epoch - 1) * self._per_epoch + event.update
            if step % self._every == 0:
                self._write(step, {"update/mean_loss": event.loss})
                self._write(step, {"update/gradient_norm": event.gradient_norm})
        elif isinstance(event, EpochDone):
            self._finish_epoch(event)
        elif isinstance(event, RunDone):
            self._finish(event)

    def _begin(self, event: RunStarted) -> None:
        self.close()  # of the run before, where one hook watches several
        folder = event.folder / "tensorboard" if self._folder is None else self._folder
        self._per_epoch = event.updates_per_epoch
        self._writer = self._make_writer(str(folder), purge_step=event.updates_done + 1)

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def _finish_epoch(self, event: EpochDone) -> None:
        step = event.epoch * self._per_epoch
        for part, figures in (("train", event.train), ("validation", event.validation)):
            self._write(step, {f"{part}/{name}": value for name, value in figures.items()})
        self._write(step, {"epoch/learning_rate": event.lr})
        self._write(step, {"epoch/samples_per_second": event.samples_per_second})
        self._writer.flush()

    def _finish(self, event: RunDone) -> None:
        for weights in ("best", "last"):
            result = getattr(event.record, weights)
            figures = {n: v for n, v in result.test.items() if n != "count" and v is not None}
            step = result.epoch * self._per_epoch
            self._write(step, {f"test/{weights}/{name}": x for name, x in figures.items()})
        self.close()
