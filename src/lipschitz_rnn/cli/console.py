"""Where text for people goes."""

import shutil
import sys
from pathlib import Path

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


def program() -> str:
    """How to call this program again from the same shell, in commands that a user may copy.

    Returns:
        Its name, or the path it was called by where the name alone would not find it, as in a
        virtual environment that is not activated.
    """
    called, name = Path(sys.argv[0]), "lipschitz-rnn"
    found = shutil.which(name)
    if called.name != name or (found and Path(found).resolve() == called.resolve()):
        return name
    here = Path.cwd()
    return str(called.relative_to(here) if called.is_relative_to(here) else called)
