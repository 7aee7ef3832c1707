"""How well trained runs stand changes of their inputs and weights, on their own test samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis.certify import certify
from lipschitz_rnn.analysis.input_sensitivity import MeasuredGain, input_sensitivity, measured_gain
from lipschitz_rnn.analysis.masking import MaskingReport, check_masking
from lipschitz_rnn.analysis.robustness import robustness
from lipschitz_rnn.analysis.robustness_curve import RobustnessReport
from lipschitz_rnn.data import Batch, Split
from lipschitz_rnn.experiments.dynamics import for_people, sample_batch
from lipschitz_rnn.experiments.measured import measured
from lipschitz_rnn.experiments.registry import build_data
from lipschitz_rnn.experiments.runs import Report
from lipschitz_rnn.experiments.subjects import Subject
from lipschitz_rnn.nn import LanguageModel

MASKING_RADIUS = 0.05
"""Linf, of the input range: where signs of masked gradients are looked for."""

SENSITIVE = 200
"""Samples at most whose derivatives by the input are taken."""


@dataclass(frozen=True)
class TimeSensitivity:
    """Norm of the derivative of all logits by the input of each time.

    Attributes:
        mean: Over the samples, by time.
        largest: Gain of small changes of the whole sequence, in l2: the median over the samples.
    """

    mean: tuple[float, ...]
    largest: float


@dataclass(frozen=True)
class RunRobustness:
    """What was found of one run.

    Attributes:
        run: Its folder, as it was given.
        data: Name of the data set.
        parameters: Trainable ones.
        report: The curves.
        masking: Whether attacks may be misled; None if it was not asked for, or there are no
            classes of whole sequences.
        sensitivity: Derivatives over time; None likewise.
        gain: Measured, beside the certified one where there is one; None likewise.
    """

    run: str
    data: str
    parameters: int
    report: RobustnessReport
    masking: MaskingReport | None
    sensitivity: TimeSensitivity | None
    gain: MeasuredGain | None


@dataclass(frozen=True)
class RobustnessSettings:
    """What is measured.

    Attributes:
        samples: The first so many test samples.
        perturbations: Names of :data:`lipschitz_rnn.analysis.KINDS`; all if None.
        seeds: Draws of what is random.
        beside: Whether gradients are checked for masking, and derivatives and gains are measured.
        batch_size: Samples at a time.
    """

    samples: int = 1000
    perturbations: tuple[str, ...] | None = None
    seeds: int = 5
    beside: bool = True
    batch_size: int = 250


class _Logits(nn.Module):
    """A language model as one of symbols to logits; its parameters keep their names."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.every_step = True
        self.rnn = model.rnn
        for name, module in model.named_children():
            setattr(self, name, module)
        self._model = (model,)  # not as a child: its parameters would be there twice

    def forward(self, input: Tensor) -> Tensor:
        logits: Tensor = self._model[0](input)[0]
        return logits


def run_robustness(
    subjects: Sequence[Subject],
    folder: Path,
    settings: RobustnessSettings | None = None,
    *,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> list[RunRobustness]:
    """The robustness of every run; what is in the folder already is read from there.

    Strengths are relative to the range of the test samples that are used, in which attacks stay.

    Args:
        subjects: The runs.
        folder: Where each result is kept as soon as it is there.
        settings: What to measure.
        data_dir: A data folder to ask first.
        report: Takes lines of progress.

    Returns:
        One result for each run.

    Raises:
        InputError: If a perturbation is not known, or a model cannot be run on its data.
    """
    settings = settings or RobustnessSettings()
    found = []
    for subject in subjects:
        source = _source(subject, subjects) if settings.beside else None
        depends = {"of": settings, "transfer_from": None if source is None else source.name}

        def measure(subject: Subject = subject, source: Subject | None = source) -> RunRobustness:
            split = build_data(subject.trained.config, data_dir, report)
            with for_people(subject.trained):
                return _measure(subject, source, split, settings, report)

        found.append(measured(folder, "robustness", subject, depends, RunRobustness, measure))
    return found


def _source(subject: Subject, subjects: Sequence[Subject]) -> Subject | None:
    """A model of another kind for the same inputs, if there is one, else of another seed."""
    own = subject.trained.data
    others = [
        one
        for one in subjects
        if one is not subject and all(one.trained.data.get(k) == own.get(k) for k in own)
    ]
    others.sort(key=lambda one: one.label == subject.label)
    return others[0] if others else None


def _measure(
    subject: Subject,
    source: Subject | None,
    split: Split,
    settings: RobustnessSettings,
    report: Report | None,
) -> RunRobustness:
    tell = report or (lambda line: None)
    batch = sample_batch(split, settings.samples)
    low, high = _range(batch.input)
    model = subject.trained.model
    answers = _Logits(model) if isinstance(model, LanguageModel) else model
    curves = robustness(
        answers.eval(),
        batch.input,
        batch.target,
        dt=batch.dt,
        low=low,
        high=high,
        perturbations=settings.perturbations,
        seeds=settings.seeds,
        batch_size=settings.batch_size,
        report=lambda name: tell(f"{subject.name}: {name}"),
    )
    masking = sensitivity = gain = None
    if settings.beside and split.kind == "classes":
        tell(f"{subject.name}: derivatives and gains")
        sensitivity, gain = _sensitivity(model, batch), _gain(model, batch)
        if batch.dt is None:
            tell(f"{subject.name}: signs of masked gradients")
            masking = _masking(model, source, batch, settings.batch_size)
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return RunRobustness(str(subject.path), split.name, count, curves, masking, sensitivity, gain)


def _range(input: Tensor) -> tuple[float | None, float | None]:
    if not input.is_floating_point():
        return None, None
    low, high = float(input.min()), float(input.max())
    if not low < high:
        raise InputError(f"test samples: expected inputs that differ, got {low:g} everywhere.")
    return low, high


def _sensitivity(model: nn.Module, batch: Batch) -> TimeSensitivity:
    dt = None if batch.dt is None else batch.dt[:SENSITIVE]
    found = input_sensitivity(model, batch.input[:SENSITIVE], dt=dt)
    return TimeSensitivity(tuple(found.mean.tolist()), float(found.largest.median()))


def _gain(model: nn.Module, batch: Batch) -> MeasuredGain:
    dt = None if batch.dt is None else batch.dt[:SENSITIVE]
    return measured_gain(
        model, batch.input[:SENSITIVE], certificate=_certificate(model, batch), dt=dt
    )


def _certificate(model: nn.Module, batch: Batch):  # type: ignore[no-untyped-def]
    """Of the model, where one is found; most units have none."""
    if batch.dt is not None:
        return None
    try:
        found = certify(model, strength="diagonal")
    except (TypeError, ValueError):
        return None
    return found if found.holds else None


def _masking(
    model: nn.Module, source: Subject | None, batch: Batch, batch_size: int
) -> MaskingReport:
    low, high = _range(batch.input)
    assert low is not None and high is not None  # for the type checker
    return check_masking(
        model,
        batch.input,
        batch.target,
        norm="linf",
        radius=MASKING_RADIUS * (high - low),
        source=None if source is None else source.trained.model,
        generator=torch.Generator().manual_seed(0),
        low=low,
        high=high,
        batch_size=batch_size,
    )
