"""Where text for people goes."""

import sys

from rich.console import Console


def make_console() -> Console:
    """A console on standard output; plain text unless that is a terminal.

    Returns:
        The console; colours obey ``NO_COLOR``.
    """
    return Console(highlight=False)


def say(text: str) -> None:
    """Write one line to standard output as it is, however long; a file sees it at once."""
    print(text, flush=True)


def warn(text: str) -> None:
    """Write one line to standard error."""
    print(text, file=sys.stderr, flush=True)
