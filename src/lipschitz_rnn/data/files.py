"""Files that are known by name, size and digest, and how one is read and checked."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.idx import decompress


@dataclass(frozen=True)
class DataFile:
    """What a file must be.

    Attributes:
        folder: The data set's folder inside a data folder, ``"mnist"``.
        name: File name without ``.gz``.
        size: Bytes of the uncompressed content.
        sha256: SHA-256 of the uncompressed content, so that it does not matter who compressed it.
    """

    folder: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class FoundFile:
    """A file that was found, read and checked.

    Attributes:
        file: What it had to be.
        path: Where it lies.
        content: Its uncompressed bytes: what was checked is what is used.
        source: Who had it: ``"folder X"``, ``"cache X"``, ``"mirror HOST"``, ...
    """

    file: DataFile
    path: Path
    content: bytes
    source: str


def sha256(content: bytes | memoryview) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def manifest_digest(digests: Mapping[str, str]) -> str:
    """One SHA-256 for several files: that of the list ``sha256sum`` prints for them, by name.

    Args:
        digests: SHA-256 of each file's uncompressed content, by file name.

    Returns:
        What ``sha256sum FILES | sha256sum`` prints if FILES are in byte order of their names.

    Examples:
        >>> manifest_digest({"empty": sha256(b"")})[:16]
        'a9e456cbcd4f490b'
    """
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return sha256(lines.encode())


def find_in(folder: Path, file: DataFile) -> Path | None:
    """Path of ``file`` under a data folder, plain or with ``.gz``; None if it holds neither."""
    plain = folder / file.folder / file.name
    for path in (plain, plain.with_name(f"{file.name}.gz")):
        if path.is_file():
            return path
    return None


def read_checked(path: Path, file: DataFile) -> bytes:
    """Read a file and check it against what it must be.

    Args:
        path: A plain or gzipped file. No more than ``file.size`` bytes and a little are read.
        file: What it must be.

    Returns:
        The uncompressed content.

    Raises:
        InputError: If the content is damaged, too long, or has another digest.
    """
    content = read_plain(path, file)
    check_content(content, file, where=str(path))
    return content


def read_plain(path: Path, file: DataFile) -> bytes:
    """Read a file without looking at its digest.

    Args:
        path: A plain or gzipped file. No more than ``file.size`` bytes and a little are read.
        file: What it must be.

    Returns:
        The uncompressed content.

    Raises:
        InputError: If the content is damaged or too long.
    """
    with path.open("rb") as stream:
        raw = stream.read(file.size + 4096)  # a gzip file may be a little longer than its content
    return decompress(raw, where=str(path), limit=file.size)


def check_content(content: bytes, file: DataFile, *, where: str) -> None:
    """Check uncompressed content.

    Args:
        content: All of it.
        file: What it must be.
        where: What to call it in the error.

    Raises:
        InputError: If the digest differs; the message names both.
    """
    digest = sha256(content)
    if digest != file.sha256:
        raise InputError(
            f"{where}: expected SHA-256 {file.sha256} of the uncompressed content, got {digest} "
            f"({len(content)} bytes, {file.size} expected). Replace or remove the file."
        )


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that no other process ever sees a part of it.

    Unlike :func:`lipschitz_rnn._base.files.write_atomically`, several processes may write the same
    file at once, as they do to a cache; after a crash of the machine it may have to be made anew.

    Args:
        path: Where; its folder is made if need be, an existing file is replaced.
        content: What.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
