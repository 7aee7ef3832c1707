"""How the training loss of trained runs curves at their weights."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lipschitz_rnn.analysis.hessian import CHECKED, hessian_of
from lipschitz_rnn.analysis.hessian_product import HessianProduct, Terms
from lipschitz_rnn.analysis.hessian_report import HessianReport, HessianSettings
from lipschitz_rnn.analysis.parameter_groups import parameter_groups
from lipschitz_rnn.data import Batch, Split
from lipschitz_rnn.experiments.dynamics import for_people
from lipschitz_rnn.experiments.measured import measured
from lipschitz_rnn.experiments.runs import Report
from lipschitz_rnn.experiments.subjects import Subject, describe_samples, split_of
from lipschitz_rnn.training.objective import score_batch

DISTANCES = tuple(np.linspace(-1, 1, 41).tolist())
"""Of the slices of the loss, along unit vectors."""


@dataclass(frozen=True)
class LossSlice:
    """The loss along an eigenvector.

    Attributes:
        eigenvalue: Of the unit vector that is followed.
        distances: From the weights.
        losses: There.
    """

    eigenvalue: float
    distances: tuple[float, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class RunHessian:
    """What was found at the weights of one run.

    Attributes:
        run: Its folder, as it was given.
        of: Which samples the loss is of.
        report: The Hessian; its eigenvectors are left out.
        slices: Of the loss along the eigenvectors of the two largest eigenvalues.
    """

    run: str
    of: str
    report: HessianReport
    slices: tuple[LossSlice, ...]


def training_terms(split: Split, samples: int, batch_size: int) -> Terms:
    """The mean loss of the first training samples, batch by batch, in float64.

    It is the loss of the answers alone, without what training may have added. Of a text the samples
    are rows that lie as far from each other as they can, each read from a state of zero.

    Args:
        split: The samples of a run.
        samples: How many.
        batch_size: At a time.

    Returns:
        The terms of a model.
    """
    index = split.train.plan(min(samples, len(split.train)))[0]
    whole = _double(split.train.batch(index))
    first, rest = torch.arange(len(whole)).tensor_split([CHECKED])
    batches = [
        _rows(whole, i) for i in (first, *(torch.split(rest, batch_size) if len(rest) else ()))
    ]
    counts = [_answers(batch) for batch in batches]

    def terms(model: nn.Module) -> Iterator[Tensor]:
        for batch, count in zip(batches, counts, strict=True):
            yield score_batch(model, batch).loss * (count / sum(counts))

    return terms


def _rows(batch: Batch, index: Tensor) -> Batch:
    parts = (batch.input, batch.target, batch.lengths, batch.dt)
    return Batch(*(None if part is None else part[index] for part in parts))  # type: ignore[arg-type]


def _answers(batch: Batch) -> int:
    """How many the loss of a batch is the mean of, as ``score_batch`` counts them."""
    if batch.lengths is not None and batch.every_step:
        return int(batch.lengths.sum())
    return (
        batch.target[..., 0].numel() if batch.target.is_floating_point() else batch.target.numel()
    )


def _double(batch: Batch) -> Batch:
    """The samples in float64."""
    parts = {"input": batch.input, "target": batch.target, "dt": batch.dt}
    wide = {
        name: part.double() if part is not None and part.is_floating_point() else part
        for name, part in parts.items()
    }
    return dataclasses.replace(batch, **wide)  # type: ignore[arg-type]


def run_hessians(
    subjects: Sequence[Subject],
    folder: Path,
    *,
    samples: int = 1000,
    group: str = "all",
    settings: HessianSettings | None = None,
    batch_size: int = 250,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> list[RunHessian]:
    """The Hessian of every run's training loss; what is in the folder already is read from there.

    Args:
        subjects: The runs.
        folder: Where each result is kept as soon as it is there.
        samples: The first so many training samples.
        group: ``"all"``, or one of :func:`lipschitz_rnn.analysis.parameter_groups`.
        settings: How much work to do.
        batch_size: Samples at a time.
        data_dir: A data folder to ask first.
        report: Takes lines of progress.

    Returns:
        One result for each run.

    Raises:
        InputError: If a model cannot be differentiated twice, or has no such group.
    """
    settings, tell = settings or HessianSettings(), report or (lambda line: None)
    for subject in subjects:
        with for_people(subject.trained):
            _require_group(subject.trained.model, group)
    depends = {
        "samples": samples,
        "group": group,
        "batch_size": batch_size,
        "of": settings,
        "distances": DISTANCES,
    }
    found = []
    for subject in subjects:

        def measure(subject: Subject = subject) -> RunHessian:
            split = split_of(subject, data_dir, report)
            terms = training_terms(split, samples, batch_size)
            of = describe_samples(split.train, min(samples, len(split.train)), "training", split)
            return _measure(subject, of, terms, group, settings, tell)

        found.append(measured(folder, "hessian", subject, depends, RunHessian, measure))
    return found


def _require_group(model: nn.Module, group: str) -> None:
    groups = parameter_groups(model)
    known = [name for name, names in groups.items() if names]
    if group != "all" and group not in known:
        raise ValueError(f"expected a group among all, {', '.join(known)}, got {group!r}")


def _measure(
    subject: Subject,
    of: str,
    terms: Terms,
    group: str,
    settings: HessianSettings,
    tell: Report,
) -> RunHessian:
    def say(line: str) -> None:
        tell(f"{subject.name}: {line}")

    threads = torch.get_num_threads()
    torch.set_num_threads(subject.trained.config.training.threads or threads)
    try:
        with for_people(subject.trained):
            model = subject.trained.model
            found = hessian_of(model, terms, group=group, settings=settings, report=say)
            names = None if group == "all" else parameter_groups(model)[group]
            slices = _slices(HessianProduct(model, terms, names), found)
    finally:
        torch.set_num_threads(threads)
    small = dataclasses.replace(found, vectors=np.zeros((0, 0)))
    return RunHessian(str(subject.path), of, small, slices)


def _slices(product: HessianProduct, found: HessianReport) -> tuple[LossSlice, ...]:
    slices = []
    for value, vector in zip(found.eigenvalues[:2], found.vectors.T[:2], strict=True):
        losses = tuple(product.losses_along(vector, DISTANCES))
        if losses[0] > losses[-1]:  # the sign of a vector means nothing: rise to the right
            losses = losses[::-1]
        slices.append(LossSlice(float(value), DISTANCES, losses))
    return tuple(slices)
