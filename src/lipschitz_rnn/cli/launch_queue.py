"""Work off a queue with progress, and read the options that say how."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.cli.app import RunInterruptedError
from lipschitz_rnn.cli.console import say, warn
from lipschitz_rnn.cli.display import TrainingDisplay
from lipschitz_rnn.experiments.queue import Entry
from lipschitz_rnn.experiments.reproduce import work_off

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def read_budget(text: str) -> float:
    """A time such as ``2h`` in seconds.

    Args:
        text: A number and one of s, m, h, d.

    Returns:
        Seconds.

    Raises:
        InputError: If it is something else.

    Examples:
        >>> read_budget("1.5h")
        5400.0
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", text.strip())
    if match is None:
        raise InputError(f"--budget: expected a time such as 30m or 2h, got {text!r}.")
    return float(match.group(1)) * _UNITS[match.group(2)]


def read_numbers(option: str, text: str) -> list[int]:
    """Whole numbers with commas between them.

    Args:
        option: What error messages call it.
        text: Such as ``1,2,3``.

    Returns:
        The numbers, each once.

    Raises:
        InputError: If it is something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,18}", part) for part in parts):
        raise InputError(f"{option}: expected whole numbers such as 1,2,3, got {text!r}.")
    return list(dict.fromkeys(int(part) for part in parts))


def read_axis(text: str) -> tuple[str, list[Any]]:
    """An axis of a sweep.

    Args:
        text: ``"section.key=value,value"``.

    Returns:
        The key, and the values: numbers where they are, else words.

    Raises:
        InputError: If it is something else.

    Examples:
        >>> read_axis("model.beta=0.5,1")
        ('model.beta', [0.5, 1])
    """
    key, equals, values = text.partition("=")
    words = [value.strip() for value in values.split(",")]
    if not equals or not key.strip() or not all(words):
        raise InputError(f"--over: expected section.key=value,value, got {text!r}.")
    return key.strip(), [_number(word) for word in words]


def _number(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(word, word)


def work(
    results: Path,
    wanted: list[Entry] | None,
    data_dir: Path | None,
    budget_seconds: float | None,
    quiet: bool,
    tell: Callable[[str], None] = say,
) -> int:
    """Do runs of a queue, with progress.

    Args:
        results: The results folder.
        wanted: Those to do; all that are in the queue if None.
        data_dir: A data folder to ask first.
        budget_seconds: Stop after so long; None for never.
        quiet: Whether to show no progress.
        tell: Takes the lines that say what was done.

    Returns:
        How many could not be done; each was told.

    Raises:
        RunInterruptedError: After Ctrl-C.
    """
    try:
        with TrainingDisplay(quiet) as display:
            outcome = work_off(
                results,
                wanted,
                data_dir=data_dir,
                budget_seconds=budget_seconds,
                hooks=[display],
                report=warn,
            )
    except KeyboardInterrupt:
        raise RunInterruptedError("interrupted; the same command goes on") from None
    for entry in outcome.done:
        tell(f"done: {entry.folder(results)}")
    for problem in outcome.problems.values():
        tell(f"not done: {problem}")
    if outcome.left:
        tell(f"{outcome.left} run(s) left; the same command goes on")
    return len(outcome.problems)


def require_none(problems: int) -> None:
    """End with an error if runs could not be done, after everything else was said."""
    if problems:
        raise InputError(f"{problems} run(s) could not be done, as told above.")


def require_table(rows: str | None, seeds: str | None) -> None:
    """Refuse rows and seeds of no table."""
    if rows or seeds:
        raise InputError("--rows, --seeds: expected a TABLE to choose from, got none.")
