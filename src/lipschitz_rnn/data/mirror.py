"""A public mirror: gzipped files under one web address, brought into the cache by pooch."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pooch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.download import Limits, fetch
from lipschitz_rnn.data.files import DataFile, FoundFile, read_checked
from lipschitz_rnn.data.idx import decompress
from lipschitz_rnn.data.sources import SourceFailedError


@dataclass(frozen=True)
class MirrorSource:
    """A web server with ``<base_url><file name>.gz``.

    Attributes:
        base_url: Ends in a slash.
        cache: Cache folder that receives the uncompressed files.
        limits: Time limits.
    """

    base_url: str
    cache: Path
    limits: Limits = field(default_factory=Limits)

    optional = False  # a download that fails is worth a line

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"mirror {urlsplit(self.base_url).hostname}"

    def locate(self, files: Sequence[DataFile]) -> Iterator[FoundFile]:
        """Download files one by one, each tried once.

        Args:
            files: What to download.

        Yields:
            Every file, already in the cache. pooch checks the digest before it gives the file its
            name there, so nothing else is ever left behind.

        Raises:
            SourceFailedError: At the first file that cannot be had; the others are not tried.
        """
        deadline = time.monotonic() + self.limits.total
        for file in files:
            path = self._retrieve(file, deadline)
            yield FoundFile(file, path, read_checked(path, file), self.name)

    def _retrieve(self, file: DataFile, deadline: float) -> Path:
        def download(url: str, output_file: str, _pooch: object) -> None:
            body = fetch(url, limits=self.limits, deadline=deadline, max_bytes=file.size + 4096)
            try:
                plain = decompress(body, where=file.name, limit=file.size)
            except InputError:
                raise SourceFailedError(f"wrong content for {file.name}.gz") from None
            Path(output_file).write_bytes(plain)

        try:
            with _quiet_pooch():
                path = pooch.retrieve(
                    f"{self.base_url}{file.name}.gz",
                    known_hash=f"sha256:{file.sha256}",
                    fname=file.name,
                    path=self.cache / file.folder,
                    downloader=download,
                )
        except ValueError:  # pooch's word for a digest that differs
            raise SourceFailedError(f"wrong checksum for {file.name}.gz") from None
        except OSError as error:
            what = error.strerror or "permission denied"  # pooch words this one by itself
            raise SourceFailedError(f"cannot write {self.cache / file.folder}: {what}") from None
        return Path(path)


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Keep pooch from logging to stderr; what is to be said goes through the report."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
