"""The IDX file format of MNIST, read from untrusted bytes: every field checked, memory bounded.

An IDX file is two zero bytes, a type code, the number of dimensions, every dimension as a
big-endian 32-bit integer, and the values in C order; nothing follows. MNIST's come with gzip.
"""

import gzip
import io
import math
import struct
import zlib

import numpy as np

from lipschitz_rnn._base.errors import InputError

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"


def parse_idx(content: bytes, *, where: str, ndim: int) -> np.ndarray:
    """Parse an uncompressed IDX file of unsigned bytes.

    Args:
        content: The whole file.
        where: What to call the file in errors.
        ndim: Number of dimensions the file must have.

    Returns:
        A writable uint8 array with the declared shape.

    Raises:
        InputError: If a field is wrong, or the payload is shorter or longer than declared.

    Examples:
        >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]), where="labels", ndim=1)
        array([7, 2, 1], dtype=uint8)
    """
    header = 4 + 4 * ndim
    short = f"{where}: expected an IDX header of {header} bytes, got a file of {len(content)}."
    if len(content) < 4:
        raise InputError(short)
    if content[:2] != b"\0\0":
        raise InputError(f"{where}: expected IDX magic 0000, got {content[:2].hex()}.")
    if content[2] != UNSIGNED_BYTE:
        raise InputError(
            f"{where}: expected IDX type code 0x08 (unsigned byte), got 0x{content[2]:02x}."
        )
    if content[3] != ndim:
        raise InputError(f"{where}: expected {ndim} dimensions, got {content[3]}.")
    if len(content) < header:
        raise InputError(short)
    shape = struct.unpack_from(f">{ndim}I", content, 4)
    declared = math.prod(shape)  # Python integers: four billion cubed does not overflow
    if len(content) - header != declared:
        sizes = " x ".join(str(size) for size in shape)
        raise InputError(
            f"{where}: expected {sizes} = {declared} bytes of values, got {len(content) - header}."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy()


def is_gzip(content: bytes) -> bool:
    """Whether the bytes begin as a gzip file does."""
    return content[:2] == GZIP_MAGIC


def decompress(content: bytes, *, where: str, limit: int) -> bytes:
    """The plain content of a gzip file, or of one that is not compressed.

    Args:
        content: The whole file.
        where: What to call the file in errors.
        limit: Longest plain content to accept, in bytes; nothing beyond it is ever unpacked.

    Returns:
        At most ``limit`` bytes.

    Raises:
        InputError: If the compressed data is damaged or the content is longer than ``limit``.
    """
    plain = content
    if is_gzip(content):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
                plain = stream.read(limit + 1)  # reaches the end, hence the CRC, unless too long
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                f"{where}: expected a whole gzip file, got damaged data ({error})."
            ) from None
    if len(plain) > limit:
        raise InputError(f"{where}: expected at most {limit} bytes of content, got more.")
    return plain
