"""Files that only the user can supply: nothing is downloaded, and each is known by its digest."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.cache import DATA_VARIABLE, data_folders
from lipschitz_rnn.data.files import DataFile, FoundFile
from lipschitz_rnn.data.sources import (
    DataUnavailableError,
    FolderSource,
    Report,
    Source,
    obtain,
)


def obtain_supplied(
    files: Sequence[DataFile],
    data_dir: Path | None,
    report: Report | None = None,
    source: Callable[[Path], Source] = FolderSource,
) -> list[FoundFile]:
    """Get files from the folders that the user keeps.

    Args:
        files: What is needed, all of one data set.
        data_dir: A data folder to ask first; the one that ``LIPSCHITZ_RNN_DATA`` names comes next.
        report: Takes one line for each folder that lacks a file.
        source: Makes a source of a folder.

    Returns:
        One entry per file, in the order of ``files``, all checked.

    Raises:
        DataUnavailableError: If there is no folder, or a file is in none of them.
        InputError: If a file has the wrong content or cannot be read.
    """
    folders = data_folders(data_dir)
    folder = files[0].folder
    if not folders:
        raise DataUnavailableError(
            f"{folder}: expected a data folder that holds {folder}/, got none. "
            f"Put the files into DIR/{folder}/ and pass --data-dir DIR, or set {DATA_VARIABLE}=DIR."
        )
    try:
        return obtain(files, [source(root) for root in folders], report)
    except OSError as error:
        raise InputError(
            f"{error.filename or folder}: expected a file that can be read, got: {error.strerror}."
        ) from None
