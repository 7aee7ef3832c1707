"""Files that are whole or absent, and never larger than expected."""

import os
from pathlib import Path

from lipschitz_rnn._base.errors import InputError


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file as a whole: a reader, or a crash, sees the old content or the new.

    Args:
        path: The file; its name with ``.tmp`` behind it is used on the way.
        data: Its new content.

    Raises:
        OSError: If it cannot be written, for want of room or permission.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


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
