"""Trained runs that are looked at side by side."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments.robust import describe_training
from lipschitz_rnn.experiments.runs import TrainedRun, load_trained
from lipschitz_rnn.training import RunConfig
from lipschitz_rnn.training.config import SeedConfig


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
