"""A run folder: where each file is, who may write, and whether the run is finished."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import temporary_name, write_atomically
from lipschitz_rnn.training.config import RunConfig
from lipschitz_rnn.training.record import RunRecord
from lipschitz_rnn.training.schema import from_table


@dataclass(frozen=True)
class RunFolder:
    """The five files of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The configuration, ``config.toml``; there from the beginning."""
        return self.path / "config.toml"

    @property
    def record(self) -> Path:
        """A JSON line for each epoch, and for each test at the end, ``record.jsonl``."""
        return self.path / "record.jsonl"

    @property
    def summary(self) -> Path:
        """The summary, ``summary.json``; there once the run is finished."""
        return self.path / "summary.json"

    @property
    def last(self) -> Path:
        """Everything needed to go on, ``last.safetensors``."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """The weights of the highest validation accuracy so far, ``best.safetensors``."""
        return self.path / "best.safetensors"

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end."""
        return self.summary.exists()

    def require_new(self) -> None:
        """Refuse a folder that holds anything.

        Raises:
            InputError: If it does, or is no folder.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path}: expected a new folder for the run, got a file.")
        # What a kill left of our own first write, before there was a configuration, is no content.
        leftover = temporary_name(self.config)
        if self.path.exists() and any(entry != leftover for entry in self.path.iterdir()):
            remedy = "Choose another, or go on with `lipschitz-rnn resume`."
            raise InputError(
                f"{self.path}: expected a new or empty folder, got a full one. {remedy}"
            )

    def create(self, config: RunConfig) -> None:
        """Begin a run: put the configuration into the empty, locked folder.

        Args:
            config: The configuration.

        Raises:
            InputError: If the folder holds anything.
        """
        self.require_new()
        write_atomically(self.config, config.to_toml().encode())

    def read_config(self) -> RunConfig:
        """Read the configuration back.

        Returns:
            What :meth:`create` was given.

        Raises:
            InputError: If this is no run folder, or the file does not fit.
        """
        if not self.config.is_file():
            raise InputError(f"{self.path}: expected a run folder, got one without config.toml.")
        return RunConfig.from_toml(self.config)

    def read_summary(self) -> RunRecord:
        """Read the summary back.

        Returns:
            The record of the finished run.

        Raises:
            InputError: If a file is damaged, or the summary is of another configuration.
        """
        record = RunRecord.read(self.summary)
        if from_table(RunConfig, record.config, str(self.summary)) != self.read_config():
            raise InputError(
                f"{self.summary}: expected the summary of the configuration in config.toml, "
                "got another's."
            )
        return record

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from training in this folder; it is made if absent.

        The lock belongs to the process and goes with it, however it ends. There is none on systems
        or file systems without ``flock``.

        Yields:
            Nothing.

        Raises:
            InputError: If another process has the lock.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if os.name != "posix":
            yield
            return
        import fcntl  # there is none on Windows

        handle = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"{self.path}: expected to be the only one here, got a folder that another "
                    "process trains in. Wait for it, or choose another folder."
                ) from None
            except OSError:  # some network file systems cannot lock a folder
                pass
            yield
        finally:
            os.close(handle)
