"""Files that are whole or absent, and never larger than expected."""

import os
from pathlib import Path

from lipschitz_rnn._base.errors import InputError


def temporary_name(path: Path) -> Path:
    """Where the content of a file is put until it is whole.

    Args:
        path: The file.

    Returns:
        A path in the same folder, always the same, so that leftovers do not pile up.
    """
    return path.with_name(path.name + ".tmp")


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file as a whole: a reader, or a crash, sees the old content or the new.

    Args:
        path: The file; its temporary name is used on the way.
        data: Its new content.

    Raises:
        OSError: If it cannot be written, for want of room or permission.
    """
    temporary = temporary_name(path)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        temporary.unlink(missing_ok=True)
        there = os.path.exists(path)
        kept = "what the file held before is kept" if there else "nothing was written"
        reason = f"{error.strerror}; {kept}, mend this and try again"
        raise OSError(error.errno, reason, str(path)) from None
    os.replace(temporary, path)
    if os.name == "posix":  # the new name lasts only once its folder is on disk
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_at_most(path: Path, size: int) -> bytes:
    """Read a file that is not too large, whatever it says of its size.

    Args:
        path: The file, or a device or pipe.
        size: Largest number of bytes.

    Returns:
        The content.

    Raises:
        InputError: If there is more.
    """
    with path.open("rb") as file:
        data = file.read(size + 1)
    if len(data) > size:
        raise InputError(f"{path}: expected a file of at most {size:,} bytes, got a larger one.")
    return data
