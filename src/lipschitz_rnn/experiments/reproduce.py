"""Run what a table lacks, one run at a time, and leave a card for each."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.data import DataUnavailableError
from lipschitz_rnn.experiments.card import make_card, write_card
from lipschitz_rnn.experiments.queue import DIVERGED, Entry, Queue
from lipschitz_rnn.experiments.runs import resume_run, train_run
from lipschitz_rnn.experiments.share import forget_source, keep_private, strip_optimizer
from lipschitz_rnn.training import Event, Hook, RunFolder, RunStarted, StopTraining, UpdateDone

Report = Callable[[str], None]


@dataclass
class Outcome:
    """What came of working off a queue.

    Attributes:
        done: Runs that were finished.
        problems: For each run that could not be, why, in one line.
        left: How many are still to be done.
    """

    done: list[Entry] = field(default_factory=list)
    problems: dict[Entry, str] = field(default_factory=dict)
    left: int = 0


def work_off(
    results: Path,
    wanted: list[Entry] | None = None,
    *,
    data_dir: Path | None = None,
    budget_seconds: float | None = None,
    hooks: Iterable[Hook] = (),
    report: Report | None = None,
) -> Outcome:
    """Do the runs of a queue, one after the other; each takes the cores for itself.

    Killed at any moment and called again, on this machine or another, it goes on from the last
    checkpoint of the run in hand, and the cards come out the same but for their times. A run that
    cannot be done, for want of data or because it diverged, does not keep the others waiting.

    Args:
        results: The results folder, which has the queue.
        wanted: Put these into the queue and do them alone; all that are in it if None.
        data_dir: A data folder to ask first.
        budget_seconds: Save and stop after so long, within the run in hand; None for no limit.
        hooks: Called with every event of every training.
        report: Takes a line for each run, and for every data source that failed.

    Returns:
        What was done, what could not be, and how many are left.

    Raises:
        InputError: If somebody else works in the results folder, or the queue is damaged.
    """
    deadline = None if budget_seconds is None else time.monotonic() + budget_seconds
    outcome = Outcome()
    with RunFolder(results).locked():  # what others do to the queue meanwhile would be lost
        Queue(results).add(wanted or [])
        for entry in Queue(results).entries if wanted is None else wanted:
            _note_hopeless(entry, results, outcome)
        while pending := _pending(results, wanted, outcome):
            attempted = outcome.done or outcome.problems  # any budget does at least an update
            if attempted and deadline is not None and time.monotonic() > deadline:
                break
            entry = pending[0]
            if report:
                report(f"{entry.as_row.folder}/{entry.run}: {len(pending)} to do")
            try:
                run_entry(entry, results, data_dir, (*hooks, _until(deadline)), report)
                outcome.done.append(entry)
            except StopTraining:
                break
            except (InputError, FloatingPointError) as error:
                _note_problem(entry, error, results, outcome, report)
            finally:
                Queue(results).write()
        outcome.left = len(_pending(results, wanted, outcome))
    return outcome


def _pending(results: Path, wanted: list[Entry] | None, outcome: Outcome) -> list[Entry]:
    """Runs to be done, without those that cannot be."""
    pending = Queue(results).pending(wanted)  # read anew: it may have been edited
    return [entry for entry in pending if entry not in outcome.problems]


def _note_hopeless(entry: Entry, results: Path, outcome: Outcome) -> None:
    folder, status = entry.folder(results), entry.status(results)
    if status == "stale":
        outcome.problems[entry] = (
            f"{folder}: expected a card of the settings that are wanted, got one of others. "
            "Move the folder away to run it anew."
        )
    elif status == "diverged":
        outcome.problems[entry] = f"{folder}: {(folder / DIVERGED).read_text().strip()}"


def _note_problem(
    entry: Entry, error: Exception, results: Path, outcome: Outcome, report: Report | None
) -> None:
    """Remember why a run cannot be done; one that diverged would do so again."""
    folder = entry.folder(results)
    if isinstance(error, FloatingPointError):
        write_atomically(folder / DIVERGED, f"diverged: {error}\n".encode())
    outcome.problems[entry] = f"{folder}: {error}"
    if report:
        report(outcome.problems[entry])
    if isinstance(error, DataUnavailableError):  # nor are they there for the others
        data = entry.as_row.config(entry.seed).data
        for other in Queue(results).pending():
            if other.as_row.config(other.seed).data.name == data.name:
                outcome.problems.setdefault(other, f"{other.folder(results)}: no data")


def _until(deadline: float | None) -> Hook:
    def check(event: Event) -> None:
        if isinstance(event, UpdateDone) and deadline is not None and time.monotonic() > deadline:
            raise StopTraining

    return check


def run_entry(
    entry: Entry,
    results: Path,
    data_dir: Path | None = None,
    hooks: Iterable[Hook] = (),
    report: Report | None = None,
) -> None:
    """Begin, or go on with, one run and write its card.

    Args:
        entry: The run.
        results: The results folder.
        data_dir: A data folder to ask first.
        hooks: Called with every event of the training.
        report: Takes a line for every data source that failed.

    Raises:
        InputError: If its folder holds a run of another configuration.
    """
    row, folder = entry.as_row, RunFolder(entry.folder(results))
    config = row.config(entry.seed)

    def on_start(event: Event) -> None:
        if isinstance(event, RunStarted):
            keep_private(folder, config.data.name)

    hooks = (on_start, *hooks)
    if folder.config.exists():
        if folder.read_config() != config:
            raise InputError(
                f"{folder.path}: expected a run of the settings that {row.folder} and the row "
                f"{entry.row} have today, got another's. Move the folder away to run it anew."
            )
        resume_run(folder.path, data_dir=data_dir, hooks=hooks, report=report)
    else:
        train_run(config, folder.path, data_dir=data_dir, hooks=hooks, report=report)
    forget_source(folder)
    card = make_card(folder.path, row.folder, entry.run)
    strip_optimizer(folder)
    keep_private(folder, config.data.name)
    write_card(folder.path, card)
