"""Trained runs that are looked at side by side."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import SeriesStream, Split, SymbolStream
from lipschitz_rnn.data.batch import Dataset
from lipschitz_rnn.experiments.registry import build_data
from lipschitz_rnn.experiments.robust import describe_training
from lipschitz_rnn.experiments.runs import Report, TrainedRun, load_trained
from lipschitz_rnn.training import RunConfig
from lipschitz_rnn.training.config import SeedConfig
from lipschitz_rnn.training.state import describe_data, require_same_data

MODELS = 6
"""Different ones that are compared at a time: so many colours can be told apart."""


@dataclass(frozen=True)
class Subject:
    """One of the runs.

    Attributes:
        name: Of its folder and the one above, such as ``"mnist-8px-free-seed1"``.
        label: Of the model; the same for runs that differ in their seeds alone.
        path: Its folder.
        trained: The model and its configuration.
    """

    name: str
    label: str
    path: Path
    trained: TrainedRun


def load_subjects(runs: Sequence[Path], weights: str = "best") -> list[Subject]:
    """Load runs and give each a name and a label.

    Args:
        runs: Their folders.
        weights: ``"best"`` on the validation samples, or ``"last"``.

    Returns:
        In the order given.

    Raises:
        InputError: If one cannot be loaded, or two have the same name.
    """
    names = [_name(run) for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"runs: expected folders of different names, got {name!r} twice.")
    trained = [load_trained(run, weights) for run in runs]
    labels = _labels(runs, trained)
    parts = zip(names, labels, runs, trained, strict=True)
    return [Subject(name, label, run, one) for name, label, run, one in parts]


def require_drawable(subjects: Sequence[Subject]) -> None:
    """Before anything is measured: as many models as a figure can tell apart.

    Args:
        subjects: The runs.

    Raises:
        InputError: If there are more.
    """
    count = len({one.label for one in subjects})
    if count > MODELS:
        raise InputError(f"runs: expected at most {MODELS} different models, got {count}.")


def same_data(one: Subject, other: Subject) -> bool:
    """Whether two models were trained for the same inputs and targets.

    Args:
        one: A run.
        other: Another.

    Returns:
        True if their samples, and how these were prepared, are the same.
    """
    mine, others = one.trained, other.trained
    return (mine.data, mine.config.data) == (others.data, others.config.data)


def are_alike(subjects: Sequence[Subject]) -> bool:
    """Whether all runs are of the same data, so that their numbers compare."""
    return all(same_data(subjects[0], other) for other in subjects)


def split_of(subject: Subject, data_dir: Path | None, report: Report | None) -> Split:
    """The samples that a run was trained on.

    Args:
        subject: The run.
        data_dir: A data folder to ask first.
        report: Takes a line for every source that failed.

    Returns:
        Them.

    Raises:
        InputError: If they cannot be had, or those at hand are others.
    """
    split = build_data(subject.trained.config, data_dir, report)
    require_same_data(subject.path, subject.trained.data, describe_data(split))
    return split


def describe_samples(part: Dataset, count: int, which: str, split: Split) -> str:
    """Which samples the first so many of a part are, in words.

    Args:
        part: Of the split.
        count: How many are taken.
        which: ``"training"`` or ``"test"``.
        split: For its name.

    Returns:
        Such as ``"the first 1,000 test samples of mnist"``; of a text rows are taken, which lie as
        far from each other as they can.
    """
    if isinstance(part, SymbolStream):
        return f"{count:,} rows of {part.steps} symbols of the {which} text of {split.name}"
    if isinstance(part, SeriesStream):
        return f"{count:,} rows of {part.steps} steps of the {which} series of {split.name}"
    return f"the first {count:,} {which} samples of {split.name}"


def _name(run: Path) -> str:
    resolved = run.resolve()
    return f"{resolved.parent.name}-{resolved.name}".strip("-")


def _unseeded(config: RunConfig) -> RunConfig:
    return dataclasses.replace(config, seed=SeedConfig())


def _describe(trained: TrainedRun) -> str:
    """As where constraints are compared, but here units are."""
    text = describe_training(trained)
    return trained.config.model.unit if text == "free" else text


def _labels(runs: Sequence[Path], trained: Sequence[TrainedRun]) -> list[str]:
    """A description where it tells models apart, otherwise the name of the first run of each."""
    models: list[RunConfig] = []
    for one in trained:
        if _unseeded(one.config) not in models:
            models.append(_unseeded(one.config))
    first = [next(i for i, one in enumerate(trained) if _unseeded(one.config) == m) for m in models]
    described = [_describe(trained[i]) for i in first]
    unique = [
        name if described.count(name) == 1 else runs[i].resolve().name
        for name, i in zip(described, first, strict=True)
    ]
    return [unique[models.index(_unseeded(one.config))] for one in trained]
