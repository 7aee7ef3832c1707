"""Run what a table lacks, one run at a time, and leave a card for each."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments.card import make_card, write_card
from lipschitz_rnn.experiments.queue import Entry, Queue
from lipschitz_rnn.experiments.runs import resume_run, train_run
from lipschitz_rnn.training import Event, Hook, RunFolder, RunStarted, UpdateDone, load_checkpoint
from lipschitz_rnn.training.checkpoint import save_checkpoint, write_atomically

SHARED_LIMIT = 1_000_000
"""Weights up to so many bytes are meant to be committed beside their card."""

_PRIVATE = ("ptb-char", "ptb-word")


class BudgetSpentError(Exception):
    """The time that was given is over; the run in hand can be resumed."""


def work_off(
    queue: Queue,
    *,
    wanted: list[Entry] | None = None,
    data_dir: Path | None = None,
    budget_seconds: float | None = None,
    hooks: Iterable[Hook] = (),
    report: Callable[[str], None] | None = None,
) -> list[Entry]:
    """Do the runs of a queue, one after the other; each takes the cores for itself.

    Killed at any moment and called again, on this machine or another, it goes on from the last
    checkpoint of the run in hand, and the cards come out the same but for their times.

    Args:
        queue: The runs.
        wanted: Do these of them alone; all if None.
        data_dir: A data folder to ask first.
        budget_seconds: Stop after so long, within the run in hand; None for no limit.
        hooks: Called with every event of every training.
        report: Takes a line for each run, and for every data source that failed.

    Returns:
        The runs that were finished.

    Raises:
        InputError: If a run's folder holds another configuration, its data are not to be had, or
            somebody else works in the results folder.
    """
    deadline = None if budget_seconds is None else time.monotonic() + budget_seconds
    done: list[Entry] = []
    with RunFolder(queue.results).locked():
        queue.write()
        while pending := queue.pending(wanted):
            entry = pending[0]
            if report:
                report(f"{entry.preset}/{entry.run}: {len(pending)} to do")
            try:
                run_entry(entry, queue.results, data_dir, (*hooks, _until(deadline)), report)
            except BudgetSpentError:
                break
            finally:
                queue.write()
            done.append(entry)
    return done


def _until(deadline: float | None) -> Hook:
    def check(event: Event) -> None:
        if isinstance(event, UpdateDone) and deadline is not None and time.monotonic() > deadline:
            raise BudgetSpentError

    return check


def run_entry(
    entry: Entry,
    results: Path,
    data_dir: Path | None = None,
    hooks: Iterable[Hook] = (),
    report: Callable[[str], None] | None = None,
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
    folder = RunFolder(entry.folder(results))
    config = entry.as_row.config(entry.seed)
    if folder.config.exists():
        if folder.read_config() != config:
            raise InputError(
                f"{folder.path}: expected a run of the settings that {entry.preset} and the row "
                f"{entry.row} have today, got another's. Move the folder away to run it anew."
            )
        resume_run(folder.path, data_dir=data_dir, hooks=hooks, report=report)
    else:
        begun = _keep_private_from_the_start(folder, config.data.name)
        train_run(config, folder.path, data_dir=data_dir, hooks=[begun, *hooks], report=report)
    card = make_card(folder.path, entry.preset, entry.run)
    strip_optimizer(folder)
    keep_private(folder, config.data.name)
    write_card(folder.path, card)


def _keep_private_from_the_start(folder: RunFolder, data_name: str) -> Hook:
    def on_start(event: Event) -> None:
        if isinstance(event, RunStarted):
            keep_private(folder, data_name)

    return on_start


def strip_optimizer(folder: RunFolder) -> None:
    """Leave only the weights in the last checkpoint of a finished run.

    Args:
        folder: Of the run.
    """
    tensors, meta = load_checkpoint(folder.last)
    weights = {name: value for name, value in tensors.items() if name.startswith("model/")}
    if len(weights) < len(tensors):
        save_checkpoint(folder.last, weights, meta)


def keep_private(folder: RunFolder, data_name: str) -> None:
    """Have git ignore weights not to be committed: large ones, and those of licensed text.

    Args:
        folder: Of the run.
        data_name: Of its data set.
    """
    size = max(file.stat().st_size for file in (folder.last, folder.best) if file.exists())
    ignore = folder.path / ".gitignore"
    if size > SHARED_LIMIT or data_name in _PRIVATE:
        write_atomically(ignore, b"*.safetensors\n")
    else:  # a checkpoint with the optimiser was too large, the weights alone are not
        ignore.unlink(missing_ok=True)
