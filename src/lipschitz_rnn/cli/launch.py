"""Train or resume with progress, a summary, and a word on how to go on after Ctrl-C."""

import datetime
import shlex
from collections.abc import Callable
from pathlib import Path

from lipschitz_rnn.cli.app import RunInterruptedError
from lipschitz_rnn.cli.console import program, say
from lipschitz_rnn.cli.display import TrainingDisplay
from lipschitz_rnn.cli.summary import print_summary
from lipschitz_rnn.training import RunFolder, RunRecord


def default_run_dir(name: str) -> Path:
    """A new folder ``runs/<name>-<time>``; with a number behind it if that is taken.

    Args:
        name: Of the run.

    Returns:
        The path; nothing is made yet.
    """
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
    path = Path("runs") / f"{safe}-{now}"
    number = 2
    while path.exists():
        path = Path("runs") / f"{safe}-{now}-{number}"
        number += 1
    return path


def launch(
    run_dir: Path, work: Callable[[TrainingDisplay], RunRecord], *, quiet: bool = False
) -> RunRecord:
    """Do the training and print its summary.

    Args:
        run_dir: Folder of the run.
        work: Trains, with the display as a hook.
        quiet: Whether to show no progress.

    Returns:
        The summary.

    Raises:
        RunInterruptedError: After Ctrl-C; it says whether there is something to resume, and how.
    """
    try:
        with TrainingDisplay(quiet) as display:
            record = work(display)
    except KeyboardInterrupt:
        if not RunFolder(run_dir).config.exists():
            raise RunInterruptedError("interrupted before the run began") from None
        command = f"{program()} resume {shlex.quote(str(run_dir))}"
        raise RunInterruptedError(f"interrupted; go on with: {command}") from None
    print_summary(record)
    say(f"run folder: {run_dir}")
    return record
