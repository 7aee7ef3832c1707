"""The progress of a training run: a live bar on a terminal, a line an epoch elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lipschitz_rnn.cli.console import make_console, say
from lipschitz_rnn.experiments.wording import figure_name, figure_text, samples_name
from lipschitz_rnn.training import EpochDone, Event, RunStarted, UpdateDone


class TrainingDisplay:
    """A hook that shows what happens; used as a context.

    Args:
        quiet: Whether to show nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        console = make_console()
        self._quiet = quiet
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, start=False)
        self._started = time.perf_counter()
        self._run: RunStarted | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if self._quiet:
            return
        if isinstance(event, RunStarted):
            self._begin(event)
        elif isinstance(event, UpdateDone):
            self._bar.update(self._task, advance=1, description=self._update_text(event))
        elif isinstance(event, EpochDone):
            self._print(self._epoch_text(event))

    def _begin(self, event: RunStarted) -> None:
        self._run, self._started = event, time.perf_counter()
        total = event.epochs * event.updates_per_epoch
        self._bar.update(self._task, total=total, completed=event.updates_done)
        self._bar.start_task(self._task)
        again = "going on with" if event.updates_done else "training"
        self._print(
            f"{again} {event.name}: {event.epochs} epochs of "
            f"{event.train_count:,} {self._samples}, "
            f"{event.parameters:,} parameters, "
            f"{f'on {event.workers} workers, ' if event.workers > 1 else ''}in {event.folder}"
        )

    def _print(self, text: str) -> None:
        if self._bar.disable:
            say(text)
        else:  # above the bar
            self._bar.console.print(text, markup=False, soft_wrap=True)

    def _update_text(self, event: UpdateDone) -> str:
        epochs = self._run.epochs if self._run else 0
        return (
            f"epoch {event.epoch}/{epochs}: loss {event.loss:.4f}{self._figure(event.figures)}, "
            f"{event.samples_per_second:,.0f} {self._samples}/s"
        )

    def _epoch_text(self, event: EpochDone) -> str:
        epochs = self._run.epochs if self._run else event.epoch
        return (
            f"epoch {event.epoch}/{epochs}: loss {event.train['loss']:.4f}"
            f"{self._figure(event.train)}, "
            f"validation {figure_text(self._metric, event.validation[self._metric])}"
            f"{' (best)' if event.is_best else ''}, "
            f"{event.samples_per_second:,.0f} {self._samples}/s, {self._time_left(event)} left"
        )

    @property
    def _metric(self) -> str:
        return self._run.metric if self._run else "accuracy"

    @property
    def _samples(self) -> str:
        return samples_name(self._metric)

    def _figure(self, figures: dict[str, float]) -> str:
        """The metric, unless it is the loss itself."""
        if self._metric == "mse":
            return ""
        return f", {figure_name(self._metric)} {figure_text(self._metric, figures[self._metric])}"

    def _time_left(self, event: EpochDone) -> str:
        """At the pace of this session, which may have begun within an earlier epoch."""
        if self._run is None:
            return "?"
        done = event.epoch - self._run.updates_done / self._run.updates_per_epoch
        pace = (time.perf_counter() - self._started) / done
        minutes, seconds = divmod(round(pace * (self._run.epochs - event.epoch)), 60)
        return f"{minutes}:{seconds:02d}"
