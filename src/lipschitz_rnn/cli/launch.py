"""Train or resume with progress, a summary, and a word on how to go on after Ctrl-C."""

import contextlib
import datetime
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import typer

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.cli.app import RunInterruptedError
from lipschitz_rnn.cli.console import program, say
from lipschitz_rnn.cli.display import TrainingDisplay
from lipschitz_rnn.cli.summary import print_summary
from lipschitz_rnn.experiments.plain import as_json, plain
from lipschitz_rnn.training import Hook, RunFolder, RunRecord, TensorBoard
from lipschitz_rnn.training.distributed import is_first, is_lost_worker, joined

# torchrun ends all workers when one has ended; by then the first must have said why.
_GRACE = 10.0  # seconds
_TOLD = (InputError, OSError, FloatingPointError)
_INTERRUPTED = (RunInterruptedError, KeyboardInterrupt)


@contextlib.contextmanager
def workers() -> Iterator[None]:
    """Be one of the workers that torchrun started, if it did; the first one speaks for all.

    Yields:
        Nothing.

    Raises:
        Exit: On the other workers, for an error that the first one tells.
    """
    speaks = True
    try:
        with joined():
            speaks = is_first()
            yield
    except (*_TOLD, *_INTERRUPTED) as error:
        if speaks:
            raise
        if isinstance(error, _TOLD):
            time.sleep(_GRACE)
        raise typer.Exit(2 if isinstance(error, _TOLD) else 130) from None


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
    run_dir: Path,
    work: Callable[[list[Hook]], RunRecord],
    *,
    quiet: bool = False,
    json: bool = False,
    tensorboard: bool = False,
) -> RunRecord:
    """Do the training and print its summary.

    Args:
        run_dir: Folder of the run.
        work: Trains, with these hooks.
        quiet: Whether to show no progress.
        json: Whether to write the summary as JSON, and no progress.
        tensorboard: Whether to write for TensorBoard, in the run's folder.

    Returns:
        The summary.

    Raises:
        RunInterruptedError: After Ctrl-C, or where another worker is gone; it says whether there is
            something to resume, and how.
        RuntimeError: Any other of torch's.
    """
    board = TensorBoard() if tensorboard else contextlib.nullcontext()
    try:
        with TrainingDisplay(quiet or json or not is_first()) as display, board:
            record = work([display, board] if isinstance(board, TensorBoard) else [display])
    except KeyboardInterrupt:
        raise RunInterruptedError(_go_on("interrupted", run_dir)) from None
    except RuntimeError as error:
        if is_lost_worker(error):
            what = "interrupted, another worker is gone"
            raise RunInterruptedError(_go_on(what, run_dir)) from None
        raise
    if not is_first():
        return record
    if json:
        say(as_json({"run": run_dir, **plain(record)}))
        return record
    print_summary(record)
    say(f"run folder: {run_dir}")
    return record


def _go_on(what: str, run_dir: Path) -> str:
    if not RunFolder(run_dir).config.exists():
        return f"{what} before the run began"
    return f"{what}; go on with: {program()} resume {shlex.quote(str(run_dir))}"
