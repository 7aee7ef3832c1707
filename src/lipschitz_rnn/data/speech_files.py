"""Where the folder of a data set that the user supplies lies, and what is in it."""

import os
from collections.abc import Iterator
from pathlib import Path

from lipschitz_rnn.data.cache import data_folders
from lipschitz_rnn.data.sources import DataUnavailableError, Report


def find_folder(name: str, data_dir: Path | None, report: Report | None, remedy: str) -> Path:
    """The folder of a data set in the first data folder that has one.

    Args:
        name: The data set's folder inside a data folder.
        data_dir: A data folder to look into first.
        report: Told of each data folder that has none.
        remedy: What to do if none has.

    Returns:
        An existing folder.

    Raises:
        DataUnavailableError: If there is none.
    """
    folders = data_folders(data_dir)
    for folder in folders:
        if (folder / name).is_dir():
            return folder / name
        if report is not None:
            report(f"{name}: folder {folder}: no {name}/.")
    searched = ", ".join(str(folder) for folder in folders) or "no data folder"
    raise DataUnavailableError(
        f"{name}: expected a folder {name}/ in a data folder, got none in {searched}. "
        f"{remedy} and pass --data-dir DIR, or set LIPSCHITZ_RNN_DATA=DIR."
    )


def walk(folder: Path) -> Iterator[str]:
    """Paths of all files in a folder, relative to it and with ``/``, in order.

    Hidden files are left out: macOS puts one beside each file. No link to a folder is followed.

    Args:
        folder: Where to begin.

    Yields:
        One path a file.
    """
    for here, inner, names in os.walk(folder):
        inner.sort()
        base = Path(here).relative_to(folder)
        for name in sorted(name for name in names if not name.startswith(".")):
            yield (base / name).as_posix()
