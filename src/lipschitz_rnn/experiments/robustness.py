"""How well trained runs stand changes of their inputs and weights, on their own test samples."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis.certificates import StabilityCertificate
from lipschitz_rnn.analysis.certify import certify
from lipschitz_rnn.analysis.input_sensitivity import MeasuredGain, input_sensitivity, measured_gain
from lipschitz_rnn.analysis.masking import MaskingReport, check_masking
from lipschitz_rnn.analysis.robustness import robustness
from lipschitz_rnn.analysis.robustness_curve import RobustnessReport
from lipschitz_rnn.analysis.robustness_kinds import PERTURBATIONS
from lipschitz_rnn.data import Batch, FrameDataset, Split
from lipschitz_rnn.experiments.dynamics import for_people, sample_batch
from lipschitz_rnn.experiments.measured import measured, measurement_key
from lipschitz_rnn.experiments.runs import Report
from lipschitz_rnn.experiments.subjects import Subject, describe_samples, same_data, split_of
from lipschitz_rnn.nn import LanguageModel
from lipschitz_rnn.training import count_parameters

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
        of: Which samples the curves are of.
        parameters: Trainable ones.
        report: The curves.
        sensitivity: Derivatives over time; None if it was not asked for, or left out.
        gain: Measured, beside the certified one where there is one; None likewise.
        masking: Whether attacks may be misled; None likewise.
        left_out: Why, of these three, some were left out.
    """

    run: str
    of: str
    parameters: int
    report: RobustnessReport
    sensitivity: TimeSensitivity | None = None
    gain: MeasuredGain | None = None
    masking: MaskingReport | None = None
    left_out: str = ""


@dataclass(frozen=True)
class RobustnessSettings:
    """What is measured.

    Attributes:
        samples: The first so many test samples.
        perturbations: Names of :data:`lipschitz_rnn.analysis.PERTURBATIONS`; all if None.
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
    strengths: Mapping[str, Sequence[float]] | None = None,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> list[RunRobustness]:
    """The robustness of every run; what is in the folder already is read from there.

    Strengths are relative to the range of the test samples that are used, in which attacks stay.

    Args:
        subjects: The runs.
        folder: Where each result is kept as soon as it is there.
        settings: What to measure.
        strengths: Others than those of the perturbation, by its name.
        data_dir: A data folder to ask first.
        report: Takes lines of progress.

    Returns:
        One result for each run.

    Raises:
        InputError: If some runs tell classes and others numbers, or a model cannot be run on its
            data.
    """
    _require_one_sort(subjects)
    settings, tell = settings or RobustnessSettings(), report or (lambda line: None)
    names = PERTURBATIONS if settings.perturbations is None else settings.perturbations
    depends = {
        "of": settings,
        "strengths": {name: PERTURBATIONS[name].strengths for name in names}
        | dict(strengths or {}),
        "sensitive": SENSITIVE,
    }
    found = []
    for subject in subjects:

        def measure(subject: Subject = subject) -> RunRobustness:
            split = split_of(subject, data_dir, report)
            with for_people(subject.trained):
                return _measure(subject, split, settings, strengths, tell)

        one = measured(folder, "robustness", subject, depends, RunRobustness, measure)
        if settings.beside and not one.left_out:
            source = _source(subject, subjects)
            masking = _run_masking(subject, source, folder, settings, data_dir, report)
            one = dataclasses.replace(one, masking=masking)
        found.append(one)
    return found


def _require_one_sort(subjects: Sequence[Subject]) -> None:
    numbers = {one.trained.data["kind"] in {"values", "frames", "spectra"} for one in subjects}
    if len(numbers) > 1:
        raise InputError(
            "robustness: expected runs that all tell classes, or all numbers, got both: accuracies "
            "and losses do not compare. Measure them apart."
        )


def _run_masking(
    subject: Subject,
    source: Subject | None,
    folder: Path,
    settings: RobustnessSettings,
    data_dir: Path | None,
    report: Report | None,
) -> MaskingReport:
    """Apart, since it depends on the model whose attacks are tried."""
    depends = {
        "samples": settings.samples,
        "batch_size": settings.batch_size,
        "radius": MASKING_RADIUS,
        "source": None if source is None else measurement_key("source", source, {}),
    }

    def measure() -> MaskingReport:
        if report is not None:
            report(f"{subject.name}: signs of masked gradients")
        batch = sample_batch(split_of(subject, data_dir, report), settings.samples)
        with for_people(subject.trained):
            return _masking(subject.trained.model, source, batch, settings.batch_size)

    return measured(folder, "masking", subject, depends, MaskingReport, measure)


def _source(subject: Subject, subjects: Sequence[Subject]) -> Subject | None:
    """A model of another kind for the same inputs, if there is one, else of another seed."""
    others = [one for one in subjects if one is not subject and same_data(one, subject)]
    others.sort(key=lambda one: one.label == subject.label)
    return others[0] if others else None


def _measure(
    subject: Subject,
    split: Split,
    settings: RobustnessSettings,
    strengths: Mapping[str, Sequence[float]] | None,
    tell: Report,
) -> RunRobustness:
    batch = sample_batch(split, settings.samples)
    low, high = _range(batch.input)
    model = subject.trained.model
    curves = robustness(
        (_Logits(model) if isinstance(model, LanguageModel) else model).eval(),
        batch.input,
        batch.target,
        dt=batch.dt,
        low=low,
        high=high,
        perturbations=settings.perturbations,
        strengths=strengths,
        seeds=settings.seeds,
        batch_size=settings.batch_size,
        report=lambda name: tell(f"{subject.name}: {name}"),
    )
    of = describe_samples(split.test, len(batch), "test", split)
    if isinstance(split.test, FrameDataset) or getattr(split.test, "lengths", None) is not None:
        of += f", cut to {batch.input.shape[1]} steps"
    found = RunRobustness(str(subject.path), of, count_parameters(model), curves)
    if not settings.beside:
        return found
    if split.kind != "classes" or batch.dt is not None:
        reason = "they are for one class of a whole sequence, read without times"
        return dataclasses.replace(found, left_out=reason)
    tell(f"{subject.name}: derivatives and gains")
    sensitivity, gain = _sensitivity(model, batch), _gain(model, batch)
    return dataclasses.replace(found, sensitivity=sensitivity, gain=gain)


def _range(input: Tensor) -> tuple[float | None, float | None]:
    if not input.is_floating_point():
        return None, None
    low, high = float(input.min()), float(input.max())
    if not low < high:
        raise InputError(f"test samples: expected inputs that differ, got {low:g} everywhere.")
    return low, high


def _sensitivity(model: nn.Module, batch: Batch) -> TimeSensitivity:
    found = input_sensitivity(model, batch.input[:SENSITIVE])
    return TimeSensitivity(tuple(found.mean.tolist()), float(found.largest.median()))


def _gain(model: nn.Module, batch: Batch) -> MeasuredGain:
    return measured_gain(model, batch.input[:SENSITIVE], certificate=_certificate(model))


def _certificate(model: nn.Module) -> StabilityCertificate | None:
    """Of the model, where one is found; most units have none."""
    try:
        found = certify(model, strength="diagonal")
    except (TypeError, ValueError):
        return None
    return found if found.holds else None


def _masking(
    model: nn.Module, source: Subject | None, batch: Batch, batch_size: int
) -> MaskingReport:
    low, high = _range(batch.input)
    assert low is not None  # for the type checker: inputs of classes are numbers
    assert high is not None
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
