"""What a report is made from: the files of a run, its model and its samples, as far as they go."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Split
from lipschitz_rnn.experiments.card import read_curve
from lipschitz_rnn.experiments.history import History, read_history
from lipschitz_rnn.experiments.runs import Report
from lipschitz_rnn.experiments.subjects import Subject, load_subjects, split_of
from lipschitz_rnn.training import RunConfig, RunFolder, RunRecord
from lipschitz_rnn.training.metrics import METRICS


@dataclass(frozen=True)
class LeftOut:
    """A part of a report that could not be had.

    Attributes:
        what: In a few words.
        why: A sentence.
    """

    what: str
    why: str


@dataclass(frozen=True, eq=False)
class Source:
    """A run as it lies on disk.

    Attributes:
        name: What the report calls it.
        path: Its folder, as it was given.
        weights: ``"best"`` or ``"last"``.
        config: Its configuration.
        summary: None of a run in hand.
        history: Of all epochs so far.
        curve: The figure after each of them, as :func:`lipschitz_rnn.experiments.card.read_curve`
            gives it.
        kind: Of the task; None of a run without an epoch.
        subject: The model; None without weights.
        split: Its samples; None if they cannot be had.
        left_out: Why some of these are None.
    """

    name: str
    path: Path
    weights: str
    config: RunConfig
    summary: RunRecord | None
    history: History
    curve: tuple[dict[str, Any], ...]
    kind: str | None
    subject: Subject | None
    split: Split | None
    left_out: tuple[LeftOut, ...]

    @property
    def metric(self) -> str | None:
        """Name of the figure that models are compared by."""
        return None if self.kind is None else METRICS[self.kind].name


Splits = dict[str, Split]
"""Samples that were loaded already, by the text of their settings: runs often share them."""


def open_source(
    path: Path,
    name: str,
    weights: str = "best",
    *,
    data_dir: Path | None = None,
    splits: Splits | None = None,
    report: Report | None = None,
) -> Source:
    """Read a run, finished or not, with or without its samples.

    Args:
        path: Its folder.
        name: What to call it.
        weights: ``"best"`` on the validation samples, or ``"last"``.
        data_dir: A data folder to ask first.
        splits: What was loaded already; it is added to.
        report: Takes a line for every data source that failed.

    Returns:
        The source.

    Raises:
        InputError: If this is no run folder, or a file in it is damaged.
    """
    folder = RunFolder(path)
    config = folder.read_config()
    summary = folder.read_summary() if folder.is_finished else None
    history = read_history(folder.record) if folder.record.exists() else _EMPTY
    left_out = []
    subject = None
    if {"best": folder.best, "last": folder.last}[weights].exists():
        (subject,) = load_subjects([path], weights)
    else:
        left_out.append(LeftOut("everything about the model", f"there are no {weights} weights"))
    kind = _kind(summary, subject)
    split = None
    if subject is not None:
        try:
            split = _load(subject, data_dir, {} if splits is None else splits, report)
        except InputError as error:
            left_out.append(LeftOut("what the model makes of its samples", str(error)))
    curve = () if kind is None or not len(history.epochs) else read_curve(
        folder.record, METRICS[kind].name
    )  # fmt: skip
    return Source(
        name, path, weights, config, summary, history, tuple(curve), kind, subject, split,
        tuple(left_out),
    )  # fmt: skip


_NOTHING = np.zeros(0)
_EMPTY = History(_NOTHING.astype(int), _NOTHING, _NOTHING, _NOTHING, _NOTHING, {})


def _kind(summary: RunRecord | None, subject: Subject | None) -> str | None:
    if summary is not None:
        return str(summary.data.get("kind", "classes"))
    return None if subject is None else str(subject.trained.data["kind"])


def _load(subject: Subject, data_dir: Path | None, splits: Splits, report: Report | None) -> Split:
    config, data = subject.trained.config.data, subject.trained.data
    key = repr((config, data))
    if key not in splits:
        splits[key] = split_of(subject, data_dir, report)
    return splits[key]
