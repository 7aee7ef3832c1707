"""The record of a run: one JSON line an epoch while it lasts, one summary at its end."""

import dataclasses
import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.training.upgrade import upgrade_summary


@dataclass(frozen=True)
class WeightsResult:
    """How one set of weights did.

    Attributes:
        epoch: After which the weights stood, counted from 1.
        validation: Loss, figures and count on the validation samples.
        test: The same on the test samples, which no choice has looked at.
    """

    epoch: int
    validation: dict[str, Any]
    test: dict[str, Any]


@dataclass(frozen=True)
class RunRecord:
    """The summary of a finished run, what ``summary.json`` holds.

    Attributes:
        name: Of the run.
        config: The configuration as a table, seeds included.
        environment: Commit, versions, hardware and threads.
        data: Name, kind, source and digest of the samples, how many there are, losses of trivial
            predictors, and notes.
        parameters: Numbers that are learned.
        time: Wall seconds over all sessions, training seconds, training samples per second, and
            the sessions: where each ran, and which epoch and update it began at.
        last: Result of the weights after the last epoch.
        best: Result of the weights of the best validation figure; the earliest of equals.
        before: Measurements on the initial weights, such as spectra.
        after: The same on the last weights.
        metric: Name of that figure.
    """

    name: str
    config: dict[str, Any]
    environment: dict[str, Any]
    data: dict[str, Any]
    parameters: int
    time: dict[str, Any]
    last: WeightsResult
    best: WeightsResult
    before: dict[str, Any]
    after: dict[str, Any]
    metric: str = "accuracy"

    def write(self, path: Path) -> None:
        """Write the summary as JSON, atomically.

        Args:
            path: Where to.
        """
        text = json.dumps(finite(dataclasses.asdict(self)), indent=2, allow_nan=False)
        write_atomically(path, text.encode() + b"\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what :meth:`write` wrote.

        Args:
            path: The file.

        Returns:
            The summary.

        Raises:
            InputError: If the file is truncated or something else.
        """
        try:
            table = upgrade_summary(json.loads(path.read_bytes()))
            metric = str(table["metric"])
            for name in ("last", "best"):
                table[name] = WeightsResult(**table[name])
                table[name].test[metric], int(table[name].test["count"])
            for name in ("config", "environment", "data", "time", "before", "after"):
                dict.keys(table[name])
            for name in ("backend", "instruction_set", "processor", "threads", "cores"):
                str(table["environment"][name])
            for name in ("wall_seconds", "samples_per_second"):
                float(table["time"][name])
            table["name"], table["parameters"] = str(table["name"]), int(table["parameters"])
            return cls(**table)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise InputError(
                f"{path}: expected the summary of a run, got a truncated or foreign file."
            ) from None


class RecordFile:
    """A file of JSON lines that grows, and can be cut back to where a checkpoint left it.

    Args:
        path: The file; nothing is written yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self.length = 0

    def cut_back(self, length: int, digest: str) -> None:
        """Begin, or go on behind what is there; the file is made if absent.

        Args:
            length: Bytes to keep; what lies beyond was written after the checkpoint that says so.
            digest: SHA-256 of those bytes; not looked at if there are none.

        Raises:
            InputError: If the file is shorter than that, or another one; it is then left alone.
        """
        path = self._path
        path.touch()
        size = path.stat().st_size
        if size < length:
            raise InputError(f"{path}: expected at least {length} bytes, got {size}. Was it cut?")
        with path.open("rb") as file:
            self._hash = hashlib.sha256(file.read(length))
        if length and self._hash.hexdigest() != digest:
            raise InputError(
                f"{path}: expected the record of this run, got another's or a damaged."
            )
        os.truncate(path, length)
        self.length = length

    def append(self, entry: dict[str, Any]) -> None:
        """Add a line; it is on disk when this returns.

        Args:
            entry: What to write; numbers that are not finite become null.
        """
        line = json.dumps(finite(entry), allow_nan=False).encode() + b"\n"
        with self._path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.length += len(line)
        self._hash.update(line)

    @property
    def digest(self) -> str:
        """SHA-256 of the whole file."""
        return self._hash.hexdigest()


def finite(value: Any) -> Any:
    """A copy in which every number JSON cannot hold is None.

    Returns:
        Dictionaries, lists and scalars.
    """
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
