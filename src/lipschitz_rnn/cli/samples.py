"""Samples from a file that a user brings."""

import io
import tokenize
from pathlib import Path

import numpy as np

from lipschitz_rnn._base.errors import InputError

# NumPy parses the header as Python source, and lets through what its tokenizer says of nonsense.
_NPY_ERRORS = (
    ValueError,
    TypeError,
    EOFError,
    OverflowError,
    MemoryError,
    RecursionError,
    SyntaxError,
    tokenize.TokenError,
)


def read_samples(file: Path) -> np.ndarray:
    """Read an array from a file; nothing in it is ever executed.

    Args:
        file: NumPy's format if it ends in ``.npy``, comma-separated numbers otherwise. Numbers
            without a point are integers.

    Returns:
        The array.

    Raises:
        InputError: If the file is something else.
    """
    data = file.read_bytes()
    if file.suffix == ".npy":
        try:
            return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        except _NPY_ERRORS as error:
            reason = str(error).splitlines()[0] if str(error) else "it is empty"
            raise InputError(f"{file}: expected an .npy file of numbers: {reason}.") from None
    try:
        rows = [line.split(",") for line in data.decode().splitlines() if line.strip()]
        whole = all(cell.strip().lstrip("+-").isdecimal() for row in rows for cell in row)
        return np.array(rows, dtype=str).astype(np.int64 if whole else np.float64)
    except (ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file}: expected lines of as many numbers each: {reason}.") from None
