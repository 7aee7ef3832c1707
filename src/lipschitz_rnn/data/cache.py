"""Where data lives, and what the command line says about it: get, verify."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pooch

from lipschitz_rnn._base.checks import require_name
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.archive import ArchiveSource
from lipschitz_rnn.data.files import DataFile, FoundFile, find_in, manifest_digest, read_checked
from lipschitz_rnn.data.mirror import MirrorSource
from lipschitz_rnn.data.mnist_files import MNIST_FILES, MNIST_MIRRORS
from lipschitz_rnn.data.sources import CacheSource, FolderSource, Report, Source, obtain

DATA_VARIABLE = "LIPSCHITZ_RNN_DATA"
CACHE_VARIABLE = "LIPSCHITZ_RNN_CACHE"
DATASETS: dict[str, tuple[DataFile, ...]] = {"mnist": MNIST_FILES, "digits": ()}


@dataclass(frozen=True)
class FileStatus:
    """One file of a data set, as it was found.

    Attributes:
        name: File name without ``.gz``.
        path: Where it lies; None if it is nowhere.
        bytes: Size of the uncompressed content; None if there is none to be read.
        digest_ok: Whether the content is what it must be.
        source: Whose file it is: ``"folder X"``, ``"cache X"``, ``"mirror HOST"``, ...
        problem: What is wrong, in one line; empty if nothing is.
    """

    name: str
    path: Path | None
    bytes: int | None
    digest_ok: bool
    source: str
    problem: str = ""


@dataclass(frozen=True)
class DataStatus:
    """All files of a data set.

    Attributes:
        name: The data set.
        files: One entry per file; none where nothing needs to be downloaded.
        digest: Names the data as in `Split.digest`; empty unless every file is right.
        note: Something to say besides, or nothing.
    """

    name: str
    files: tuple[FileStatus, ...]
    digest: str = ""
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether every file is there and right."""
        return all(file.digest_ok for file in self.files)


def cache_folder() -> Path:
    """``$LIPSCHITZ_RNN_CACHE`` if set, else the user's cache folder for this package."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(pooch.os_cache("lipschitz-rnn"))


def data_folders(data_dir: Path | None = None) -> tuple[Path, ...]:
    """Folders the user keeps: ``data_dir`` if given, then ``$LIPSCHITZ_RNN_DATA`` if set."""
    named = (data_dir, os.environ.get(DATA_VARIABLE) or None)
    folders = (Path(folder).expanduser() for folder in named if folder is not None)
    return tuple(dict.fromkeys(folders))  # one folder named twice is asked once


def default_sources(data_dir: Path | None = None, report: Report | None = None) -> list[Source]:
    """Where MNIST is looked for, in this order.

    Args:
        data_dir: A data folder to ask first.
        report: Told of damaged files in the cache.

    Returns:
        The user's folders, the cache, the public mirrors, the package archive.
    """
    cache = cache_folder()
    return [
        *(FolderSource(folder) for folder in data_folders(data_dir)),
        CacheSource(cache, report),
        *(MirrorSource(url, cache) for url in MNIST_MIRRORS),
        ArchiveSource(cache),
    ]


def get(
    name: str,
    *,
    data_dir: Path | None = None,
    report: Report | None = None,
    sources: Sequence[Source] | None = None,
) -> DataStatus:
    """Make sure a data set is on this machine, downloading what is missing.

    Args:
        name: ``"mnist"`` or ``"digits"``.
        data_dir: A data folder to ask first.
        report: Takes one line for each source that failed.
        sources: Where to ask instead of `default_sources`.

    Returns:
        Its files, every one of them right.

    Raises:
        InputError: If the name is not known, or a file in the user's folder is wrong.
        DataUnavailableError: If no source has a file.
    """
    files = _files(name)
    if not files:
        return _bundled(name)
    found = obtain(files, default_sources(data_dir, report) if sources is None else sources, report)
    return DataStatus(name, tuple(_found_status(item) for item in found), found_digest(found))


def verify(name: str, *, data_dir: Path | None = None) -> DataStatus:
    """Check the files that would be used, without downloading or changing anything.

    Args:
        name: ``"mnist"`` or ``"digits"``.
        data_dir: A data folder to look into first.

    Returns:
        One entry per file, with what is wrong with it.

    Raises:
        InputError: If the name is not known.
    """
    files = _files(name)
    if not files:
        return _bundled(name)
    places = [(folder, f"folder {folder}") for folder in data_folders(data_dir)]
    places.append((cache_folder(), f"cache {cache_folder()}"))
    status = tuple(_verify_file(file, places) for file in files)
    right = all(entry.digest_ok for entry in status)
    digest = manifest_digest({file.name: file.sha256 for file in files}) if right else ""
    return DataStatus(name, status, digest)


def found_digest(found: Sequence[FoundFile]) -> str:
    """The digest that names these files' data, for a record."""
    return manifest_digest({item.file.name: item.file.sha256 for item in found})


def _files(name: str) -> tuple[DataFile, ...]:
    require_name("data", name, DATASETS)
    return DATASETS[name]


def _bundled(name: str) -> DataStatus:
    return DataStatus(name, (), note="bundled with scikit-learn, nothing to download")


def _found_status(item: FoundFile) -> FileStatus:
    return FileStatus(item.file.name, item.path, len(item.content), True, item.source)


def _verify_file(file: DataFile, places: Sequence[tuple[Path, str]]) -> FileStatus:
    for folder, source in places:
        path = find_in(folder, file)
        if path is None:
            continue
        try:
            size = len(read_checked(path, file))
        except (InputError, OSError) as error:
            return FileStatus(file.name, path, None, False, source, str(error))
        return FileStatus(file.name, path, size, True, source)
    searched = ", ".join(source for _, source in places)
    return FileStatus(file.name, None, None, False, "", f"{file.name}: not found in {searched}.")
