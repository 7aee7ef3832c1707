"""Files out of a gzipped tar archive, read from untrusted bytes: each field checked, all bounded.

An archive is a sequence of headers of 512 bytes, each followed by the content of a member, filled
up to a multiple of 512; a header of zeros is the end. Python's tarfile is not used: where it
streams, it trusts the size that a header announces, and a file of 400 bytes can keep it busy for
days.
"""

import hashlib
import io
import re
import zlib
from collections.abc import Mapping
from gzip import GzipFile
from pathlib import Path
from typing import BinaryIO

from lipschitz_rnn._base.errors import InputError

BLOCK = 512
PIECE = 1 << 20
REGULAR = (b"0", b"\0")
WITHOUT_CONTENT = (b"1", b"2", b"3", b"4", b"5", b"6")  # links, devices, folders, pipes
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")


def read_tar(
    path: Path, members: Mapping[str, int], *, size: int, md5: str, limit: int
) -> dict[str, bytes]:
    """Read files out of an archive; nothing is written to disk.

    Args:
        path: The archive.
        members: Names of regular members, with exactly their sizes. Names are plain ones of at most
            100 bytes; extensions of the format are passed over.
        size: Length of the archive.
        md5: Its MD5.
        limit: Most bytes to unpack.

    Returns:
        Content of each member by name.

    Raises:
        InputError: If the archive has another size or MD5, is damaged, unpacks to more than
            ``limit``, or does not hold each of the members once.
    """
    where = str(path)
    with path.open("rb") as stream:
        _check_whole(stream, where, size, md5)
        stream.seek(0)
        with GzipFile(fileobj=stream) as plain:
            try:
                found = _read_members(_Reader(plain, limit, where), members, where)
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(_damaged(where, str(error))) from None
    for name in members:
        if name not in found:
            raise InputError(f"{where}: expected a member {name}, got none.")
    return found


def _damaged(where: str, what: str) -> str:
    return f"{where}: expected a whole gzipped tar archive, got damaged data ({what})."


def _check_whole(stream: BinaryIO, where: str, size: int, md5: str) -> None:
    length = stream.seek(0, io.SEEK_END)
    if length != size:
        raise InputError(f"{where}: expected {size} bytes, got {length}. Get the archive again.")
    stream.seek(0)
    digest = hashlib.md5(usedforsecurity=False)  # it is what publishers print
    while piece := stream.read(PIECE):
        digest.update(piece)
    if digest.hexdigest() != md5:
        raise InputError(
            f"{where}: expected MD5 {md5}, got {digest.hexdigest()}. Get the archive again."
        )


class _Reader:
    """Takes bytes from a stream, as many as asked for, and no more than a limit in all."""

    def __init__(self, stream: GzipFile, limit: int, where: str) -> None:
        self.stream, self.limit, self.left, self.where = stream, limit, limit, where

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise InputError(
                f"{self.where}: expected at most {self.limit} bytes when unpacked, got more."
            )
        self.left -= size
        content = self.stream.read(size)
        if len(content) < size:
            raise EOFError("it ends too early")
        return content

    def skip(self, size: int) -> None:
        while size > 0:
            size -= len(self.take(min(size, PIECE)))


def _read_members(reader: _Reader, members: Mapping[str, int], where: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    while any(header := reader.take(BLOCK)):  # a block of zeros is the end
        name, size, regular = _parse_header(header, where)
        if name in members:
            if name in found or not regular or size != members[name]:
                got = f"{size} bytes" if regular else "another kind"
                raise InputError(
                    f"{where}: expected one regular member {name} of {members[name]} bytes, "
                    f"got {'another one' if name in found else got}."
                )
            found[name] = reader.take(size)
        else:
            reader.skip(size)
        reader.skip(-size % BLOCK)
    return found


def _parse_header(header: bytes, where: str) -> tuple[str, int, bool]:
    """Name, size of the content, and whether it is a regular file."""
    # The sum of all bytes, those of the checksum itself taken as spaces.
    total = sum(header[:148]) + 8 * ord(" ") + sum(header[156:])
    if _octal(header[148:156], where) != total:
        raise InputError(_damaged(where, "a header has a wrong checksum"))
    name = header[:100].split(b"\0")[0].decode("latin-1")
    kind = header[156:157]
    size = _octal(header[124:136], where)
    return name, 0 if kind in WITHOUT_CONTENT else size, kind in REGULAR


def _octal(field: bytes, where: str) -> int:
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise InputError(_damaged(where, "a header has no number where one should be"))
    return int(match.group(1) or b"0", 8)
