"""Places a data file may come from, asked in turn; the local ones are here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.files import DataFile, FoundFile, find_in, read_checked

Report = Callable[[str], None]
"""Takes one line for the user."""


class DataUnavailableError(InputError):
    """No source has the data; the message lists every source with its reason, in one line."""


class SourceFailedError(Exception):
    """A source cannot deliver, for the short reason given; the next one is asked."""


class Source(Protocol):
    """Somewhere files may come from."""

    @property
    def name(self) -> str:
        """What to call it, ``"mirror HOST"``."""
        ...

    @property
    def optional(self) -> bool:
        """Whether having nothing is ordinary, and not worth a line to the user."""
        ...

    def locate(self, files: Sequence[DataFile]) -> Iterator[FoundFile]:
        """Yield what it has, checked; raise `SourceFailedError` when it cannot go on."""
        ...


@dataclass(frozen=True)
class FolderSource:
    """A data folder that the user keeps; its files are never changed.

    Attributes:
        root: The folder that holds ``mnist/`` and its siblings.
    """

    root: Path

    optional = False  # who names a folder wants to hear that it lacks a file

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"folder {self.root}"

    def locate(self, files: Sequence[DataFile]) -> Iterator[FoundFile]:
        """Files in the folder, plain or gzipped.

        Args:
            files: What to look for.

        Yields:
            Every file that is there.

        Raises:
            SourceFailedError: If one is absent.
        """
        absent = []
        for file in files:
            path = find_in(self.root, file)
            if path is None:
                absent.append(f"{file.folder}/{file.name}[.gz]")
            else:
                # A wrong digest ends the search: silently using other data than named is worse.
                yield FoundFile(file, path, read_checked(path, file), self.name)
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise SourceFailedError(f"no {absent[0]}{more}")


@dataclass(frozen=True)
class CacheSource:
    """Files that were downloaded before; one that is damaged is dropped and asked for again.

    Attributes:
        root: The cache folder, laid out like a data folder.
        report: Told of a damaged file.
    """

    root: Path
    report: Report | None = None

    optional = True  # an empty cache is how everybody begins

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"cache {self.root}"

    def locate(self, files: Sequence[DataFile]) -> Iterator[FoundFile]:
        """Files in the cache.

        Args:
            files: What to look for.

        Yields:
            Every file that is there and whole.

        Raises:
            SourceFailedError: If one is absent or was dropped.
        """
        missing = 0
        for file in files:
            path = find_in(self.root, file)
            if path is None:
                missing += 1
                continue
            try:
                content = read_checked(path, file)
            except FileNotFoundError:  # another process has just removed a damaged one
                missing += 1
                continue
            except InputError:
                missing += 1
                path.unlink(missing_ok=True)
                if self.report is not None:
                    self.report(f"{self.name}: removed damaged {file.folder}/{file.name}.")
                continue
            yield FoundFile(file, path, content, self.name)
        if missing:
            raise SourceFailedError(f"lacks {missing} of {len(files)} files")


def obtain(
    files: Sequence[DataFile], sources: Sequence[Source], report: Report | None = None
) -> list[FoundFile]:
    """Get files from the first sources that have them.

    Each source is asked once, for all files still missing. What it delivers before it fails is
    kept; why it failed is reported in one line, and the next source is asked for the rest.

    Args:
        files: What is needed, all of one data set.
        sources: Where to ask, in this order.
        report: Takes one line per source that failed.

    Returns:
        One entry per file, in the order of ``files``, all checked.

    Raises:
        InputError: If a file in a folder that the user keeps has the wrong content.
        DataUnavailableError: If a file is left that no source has.
    """
    found: dict[str, FoundFile] = {}
    failures = []
    for source in sources:
        missing = [file for file in files if file.name not in found]
        if not missing:
            break
        try:
            for item in source.locate(missing):
                found[item.file.name] = item
        except SourceFailedError as error:
            failures.append(f"{source.name} ({error})")
            if report is not None and not source.optional:
                report(f"{files[0].folder}: {source.name}: {error}.")
    absent = [file.name for file in files if file.name not in found]
    if absent:
        folder = files[0].folder
        raise DataUnavailableError(
            f"{folder}: expected {len(files)} files from {len(sources)} sources, "
            f"got no {', '.join(absent)}: {'; '.join(failures)}. "
            f"Put the files into DIR/{folder}/ and pass --data-dir DIR, or set "
            "LIPSCHITZ_RNN_DATA=DIR."
        )
    return [found[file.name] for file in files]
