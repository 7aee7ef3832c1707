"""Data sets in the files of the UCR archive of time series, which users supply."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from lipschitz_rnn._base.checks import nearest
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.files import manifest_digest
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.speech_files import find_folder

_REMEDY = "Put the archive's own folders, NAME/NAME_TRAIN.tsv and NAME_TEST.tsv, into DIR/ucr/"


@dataclass(frozen=True, eq=False)
class LabelledSeries:
    """Series with one feature, and a class for each.

    Attributes:
        values: (n, T), float64; NaN where nothing was observed.
        lengths: Steps of each series up to its last observation, (n,): what follows is padding.
        labels: Their classes, as the file numbers them, (n,), int64.
    """

    values: NDArray[np.float64]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of series, n."""
        return len(self.labels)

    @property
    def series(self) -> NDArray[np.float64] | list[NDArray[np.float64]]:
        """What estimators take: the table (n, T), or a list without padding if lengths differ."""
        longest = self.values.shape[1]
        if (self.lengths == longest).all():
            return self.values
        return [row[:length] for row, length in zip(self.values, self.lengths, strict=True)]


@dataclass(frozen=True, eq=False)
class UCRDataset:
    """One data set of the archive, split as the archive splits it.

    Attributes:
        name: As the archive spells it.
        train: For training, and for every choice.
        test: For the last look.
        digest: Names the content of both files.
    """

    name: str
    train: LabelledSeries
    test: LabelledSeries
    digest: str


def load_ucr(
    name: str, *, data_dir: Path | None = None, report: Report | None = None
) -> UCRDataset:
    """Read a data set from ``ucr/NAME/NAME_TRAIN.tsv`` and ``NAME_TEST.tsv``.

    The files are those of the UCR archive of 2018: a line for each series, its class first, then
    its values, with tabs between; NaN is a missing value, and NaN at the end of a line is padding.
    Nothing is downloaded.

    Args:
        name: The data set, ``"FordA"``.
        data_dir: A data folder to look into before that of ``LIPSCHITZ_RNN_DATA``.
        report: Told of each data folder that has no ``ucr/``.

    Returns:
        Both parts.

    Raises:
        DataUnavailableError: If there is no folder ``ucr/``.
        InputError: If it lacks the data set, or a file is not as said above.
    """
    folder = find_folder("ucr", data_dir, report, _REMEDY)
    if not (folder / name).is_dir():
        present = sorted(path.name for path in folder.iterdir() if path.is_dir())
        hint = nearest(name, present) or f"{_REMEDY}."
        raise InputError(f"ucr: expected a folder {name}/ in {folder}, got none. {hint}")
    return read_ucr(folder / name)


def read_ucr(folder: Path) -> UCRDataset:
    """Read a data set from its own folder; see :func:`load_ucr`.

    Args:
        folder: The folder ``NAME/`` that holds ``NAME_TRAIN.tsv`` and ``NAME_TEST.tsv``.

    Returns:
        Both parts.

    Raises:
        InputError: If a file is missing or not as it should be.
    """
    name = folder.name
    digests: dict[str, str] = {}
    parts = []
    for which in ("TRAIN", "TEST"):
        path = folder / f"{name}_{which}.tsv"
        if not path.is_file():
            raise InputError(f"{path}: expected a file, got none. {_REMEDY}.")
        digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        parts.append(_read_part(path))
    train, test = parts
    _require_alike(folder, train, test)
    return UCRDataset(name, train, test, manifest_digest(digests))


def _read_part(path: Path) -> LabelledSeries:
    table = _read_table(path)
    labels, values = table[:, 0], table[:, 1:]
    if values.shape[1] == 0:
        _fail(path, "a class and values in every line, with tabs between", "one column")
    whole = np.isfinite(labels) & (labels == np.round(labels))
    if not whole.all():
        line = int(np.flatnonzero(~whole)[0])
        _fail(path, "whole numbers as classes, in the first column", f"{labels[line]:g}", line)
    observed = ~np.isnan(values)
    if np.isinf(values).any():
        line = int(np.flatnonzero(np.isinf(values).any(1))[0])
        _fail(path, "finite values, or NaN for missing ones", "infinity", line)
    if not observed.any(1).all():
        _fail(path, "a value in every line", "none", int(np.flatnonzero(~observed.any(1))[0]))
    lengths = values.shape[1] - observed[:, ::-1].argmax(1)
    return LabelledSeries(values, lengths.astype(np.int64), labels.astype(np.int64))


def _read_table(path: Path) -> NDArray[np.float64]:
    """All numbers of a file, (n, 1 + T)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an empty file is but a warning to numpy
        try:
            return np.loadtxt(path, delimiter="\t", comments=None, ndmin=2, encoding="utf-8")
        except (ValueError, UserWarning) as error:
            reason = " ".join(str(error).split("; use")[0].split())
            _fail(path, "as many numbers in every line, with tabs between", reason)


def _fail(path: Path, expected: str, got: str, line: int | None = None) -> NoReturn:
    place = "" if line is None else f" in line {line + 1}"
    raise InputError(f"{path}: expected {expected}, got {got}{place}. Copy the file again.")


def _require_alike(folder: Path, train: LabelledSeries, test: LabelledSeries) -> None:
    """Raise unless two files can be of one data set: a mixed-up pair would give a wrong table."""
    steps = [part.values.shape[1] for part in (train, test)]
    if steps[0] != steps[1]:
        raise InputError(
            f"{folder}: expected series of one length in both files, got {steps[0]} steps in TRAIN "
            f"and {steps[1]} in TEST. Copy both files again."
        )
    classes = np.unique(train.labels)
    if len(classes) < 2:
        raise InputError(f"{folder}: expected at least 2 classes in TRAIN, got {len(classes)}.")
    new = np.setdiff1d(test.labels, classes)
    if len(new):
        raise InputError(
            f"{folder}: expected only classes of TRAIN in TEST, got also {new[0]}. "
            "Copy both files again."
        )
