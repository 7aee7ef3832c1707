"""Samples that are answered with numbers: those with the largest errors, answer over truth."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn.data import Dataset
from lipschitz_rnn.report.answers import Answered, answer_all, examined_part
from lipschitz_rnn.report.pictures import (
    LINES,
    Picture,
    heat_picture,
    line_picture,
    sample_picture,
)
from lipschitz_rnn.report.source import Source
from lipschitz_rnn.report.wording import number

WORST = 8
"""Samples with the largest mean errors that are shown."""

NUMBERS = ("values", "frames", "spectra")
"""Kinds of task that are answered with numbers."""


@dataclass(frozen=True)
class Trace:
    """A sample and what was made of it.

    Attributes:
        name: Of the sample.
        loss: Mean squared error.
        answers: Truth and answer of each number, where there are few and one for the sample.
        pictures: Of the sample, or of its truth and its answer, each with a caption.
    """

    name: str
    loss: float
    answers: tuple[tuple[str, str], ...]
    pictures: tuple[tuple[str, Picture], ...]


@dataclass(frozen=True)
class Traces:
    """The samples with the largest errors.

    Attributes:
        part: ``"test"`` or ``"validation"``.
        total: How many samples there are.
        median: Of their mean squared errors.
        shown: The largest first.
    """

    part: str
    total: int
    median: float
    shown: tuple[Trace, ...]


def examine_numbers(source: Source) -> Traces | None:
    """Answer all samples once more.

    Args:
        source: A run whose task is answered with numbers.

    Returns:
        What came of it; None without samples or weights.
    """
    found = examined_part(source)
    if found is None or source.subject is None or source.kind not in NUMBERS:
        return None
    part, dataset = found
    model, training = source.subject.trained.model, source.config.training
    if dataset.carries_state:
        plan = dataset.plan(training.eval_batch_size)
        seen: list[float] = []
        windows = _windows(answer_all(model, dataset, plan), seen)
        worst_windows = heapq.nlargest(WORST, windows, key=lambda one: _size(one[1]))
        traces = [_trace_of_window(*one) for one in worst_windows]
        losses = torch.tensor(seen)
    else:
        losses = sample_losses(source, dataset)
        worst = losses.argsort(descending=True, stable=True)[:WORST]
        traces = [_trace(source, dataset, int(place), float(losses[place])) for place in worst]
    return Traces(part, len(losses), float(losses.median()), tuple(traces))


def sample_losses(source: Source, dataset: Dataset) -> Tensor:
    """The mean loss of every sample.

    Args:
        source: The run, with a model.
        dataset: Its samples; no stream.

    Returns:
        (n,), in the order of the data set; a mean over valid steps where every step is answered.
    """
    assert source.subject is not None  # for the type checker
    training = source.config.training
    totals, counts = torch.zeros(len(dataset)), torch.zeros(len(dataset))
    plan = dataset.plan(training.eval_batch_size)
    model = source.subject.trained.model
    for one in answer_all(model, dataset, plan, training.truncate_steps):
        losses = one.losses
        valid = one.valid if losses.dim() == 2 else torch.ones(losses.shape, dtype=torch.bool)
        places = one.index
        totals[places] += torch.where(valid, losses, 0).view(len(losses), -1).sum(1)
        counts[places] += valid.view(len(losses), -1).sum(1)
    return totals / counts.clamp(min=1)


def _size(loss: float) -> float:
    """What is not a number is as bad as can be."""
    return math.inf if math.isnan(loss) else loss


def _windows(
    answered: Iterator[Answered], seen: list[float]
) -> Iterator[tuple[str, float, np.ndarray, np.ndarray]]:
    """Segments of the rows of a stream, of which nothing is kept but their losses, in ``seen``."""
    for one in answered:
        steps = one.batch.input.shape[1]
        for row, loss in enumerate(one.losses.mean(1).tolist()):
            seen.append(loss)
            name = f"row {row}, steps {one.index.first} to {one.index.first + steps - 1}"
            yield name, loss, one.batch.target[row].numpy(), one.answers[row].numpy()


def _trace_of_window(name: str, loss: float, truth: np.ndarray, answer: np.ndarray) -> Trace:
    return Trace(name, loss, (), _over_truth(name, truth, answer))


def _trace(source: Source, dataset: Dataset, place: int, loss: float) -> Trace:
    """One sample, answered by itself: what is kept of it is what is drawn."""
    assert source.subject is not None
    plan: list[Any] = list(dataset.plan(1, torch.tensor([place])))
    steps = source.config.training.truncate_steps
    pieces = list(answer_all(source.subject.trained.model, dataset, plan, steps))
    name = f"sample {place}"
    if not pieces[0].batch.every_step:
        truth, answer = pieces[-1].batch.target[0], pieces[-1].answers[0]
        picture = sample_picture(source.config.data, dataset, place, f"the input of {name}")
        told = [(number(float(t)), number(float(a))) for t, a in zip(truth, answer, strict=True)]
        return Trace(name, loss, tuple(told[:LINES]), (("the input", picture),))
    valid = [one.valid[0] for one in pieces]
    targets = [one.batch.target[0][own] for one, own in zip(pieces, valid, strict=True)]
    answers = [one.answers[0][own] for one, own in zip(pieces, valid, strict=True)]
    pictures = _over_truth(name, torch.cat(targets).numpy(), torch.cat(answers).numpy())
    return Trace(name, loss, (), pictures)


def _over_truth(
    name: str, truth: np.ndarray, answer: np.ndarray
) -> tuple[tuple[str, Picture], ...]:
    """Truth and answer (T, Q) in one plot for each number, or as heat maps on one scale."""
    steps, size = truth.shape
    if size <= LINES:
        return tuple(
            (
                f"number {place + 1}" if size > 1 else "answer over truth",
                line_picture(
                    [("truth", truth[:, place]), ("answer", answer[:, place])],
                    f"{name}, number {place + 1} of {size} over {steps} steps: the answer is off "
                    f"by {number(float(np.abs(answer - truth)[:, place].max()))} at most",
                ),
            )
            for place in range(size)
        )
    low, high = float(truth.min()), float(truth.max())
    error = np.abs(answer - truth)
    maps = [("truth", truth, low, high), ("answer", answer, low, high)]
    pictures = [
        (caption, heat_picture(values, f"{caption} of {name}, {size} numbers over {steps} steps",
                               first, last))
        for caption, values, first, last in maps
    ]  # fmt: skip
    alt = f"size of the error of {name}, at most {number(float(error.max()))}"
    return (*pictures, ("size of the error", heat_picture(error, alt, 0.0, None)))
