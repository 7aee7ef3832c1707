"""One .npy file: mapped into memory, never read whole, except once for what it holds."""

import contextlib
import dataclasses
import hashlib
import json
import os
import time
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.cache import cache_folder
from lipschitz_rnn.data.files import write_atomic

_BLOCK = 1 << 22  # bytes; a multiple of every size of a number
_LARGE = 10**9  # bytes; reading more than that takes seconds
_FRESH = 2 * 10**9  # ns; a file changed again within the clock's grain could look the same
# NumPy parses the header as Python source, and lets through what its tokenizer says of nonsense.
_HEADER_ERRORS = (ValueError, TypeError, OverflowError, MemoryError, RecursionError, SyntaxError)


@dataclass(frozen=True)
class Content:
    """What a file of numbers was found to hold, all of them finite.

    Attributes:
        sha256: Of the file.
        low: The smallest number.
        high: The largest.
    """

    sha256: str
    low: float
    high: float


def map_array(path: Path) -> np.ndarray:
    """Map a file into memory: its numbers are read when they are looked at.

    Args:
        path: An .npy file, in C or in Fortran order.

    Returns:
        The array, read-only.

    Raises:
        InputError: If it cannot be read, is none, has another size than it says, or holds no plain
            numbers.
    """
    try:
        with path.open("rb") as file:
            shape, fortran, dtype = _read_header(file)
            start, size = file.tell(), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputError(
            f"{path}: expected a file that can be read, got: {error.strerror}."
        ) from None
    except (*_HEADER_ERRORS, tokenize.TokenError) as error:
        reason = " ".join(str(error).split()) or "it is empty"
        raise InputError(f"{path}: expected an .npy file of numbers: {reason}.") from None
    if dtype.kind not in "iuf" or not dtype.isnative:
        raise InputError(
            f"{path}: expected integers or floating-point numbers in this machine's byte order, "
            f"got {dtype}. Save it with .astype first."
        )
    count = int(np.prod(shape, dtype=object))
    if not count:
        raise InputError(f"{path}: expected at least one number, got shape {shape}.")
    if size != start + count * dtype.itemsize:
        raise InputError(
            f"{path}: expected {start + count * dtype.itemsize:,} bytes for {dtype} of shape "
            f"{shape}, got {size:,}. Was it cut?"
        )
    return np.asarray(np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C"))


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and type."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    # 3.0 is for names of fields, and there are none in plain numbers
    raise ValueError(f"format {version[0]}.{version[1]} is not for plain numbers")


def examine(path: Path, report: Callable[[str], None] | None) -> Content:
    """Read a file from end to end, or remember what was found when it was last read.

    What was found is kept in the cache folder, and believed for as long as path, size and times of
    the last change are the same.

    Args:
        path: The file.
        report: Told that a large file is being read.

    Returns:
        What it holds.

    Raises:
        InputError: If a number is not finite, or for what :func:`map_array` refuses.
    """
    seen = path.stat()
    key = [seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns]
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    note = cache_folder() / "arrays" / f"{name}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(note.read_text("utf-8"))
        if kept.pop("key") == key:
            return Content(**kept)
    if report is not None and seen.st_size > _LARGE:
        report(f"{path}: reading {seen.st_size / 1e9:,.1f} GB, once, to know them again")
    content = _read(path)
    if time.time_ns() - max(key[1:]) > _FRESH:
        with contextlib.suppress(OSError):  # it is then read again next time
            kept = {"key": key, **dataclasses.asdict(content)}
            write_atomic(note, json.dumps(kept).encode())
    return content


def _order(array: np.ndarray) -> Literal["C", "F"]:
    return "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"


def _read(path: Path) -> Content:
    array = map_array(path)
    digest, lows, highs, done = hashlib.sha256(), [], [], 0
    with path.open("rb") as file:
        # as bytes, in the order of the file: through the map, all of it would seem to be in use
        digest.update(file.read(path.stat().st_size - array.nbytes))
        while block := file.read(_BLOCK):
            digest.update(block)
            numbers = np.frombuffer(block, array.dtype)
            low, high = numbers.min(), numbers.max()
            if not (np.isfinite(low) and np.isfinite(high)):
                place = done + int(np.flatnonzero(~np.isfinite(numbers))[0])
                where = tuple(map(int, np.unravel_index(place, array.shape, _order(array))))
                raise InputError(
                    f"{path}: expected finite numbers, got {array[where]} at {where}. Fill gaps, "
                    "and what stands behind the end of a short sequence, with 0."
                )
            lows.append(low)
            highs.append(high)
            done += len(numbers)
    return Content(digest.hexdigest(), float(min(lows)), float(max(highs)))
