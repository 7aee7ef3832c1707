"""One model on one set of samples: a curve for each kind of perturbation."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_in_range
from lipschitz_rnn.analysis.parameter_groups import parameter_groups
from lipschitz_rnn.analysis.robustness_curve import RobustnessCurve, wilson_interval
from lipschitz_rnn.analysis.robustness_kinds import Kind
from lipschitz_rnn.analysis.robustness_samples import Samples, Score
from lipschitz_rnn.nn.unroll import takes_dt


@contextmanager
def _differentiable() -> Iterator[None]:
    """Without cuDNN, whose recurrent layers have no gradient in evaluation mode."""
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before


class _WithTimes(nn.Module):
    """A model of inputs alone, as attacks know them."""

    def __init__(self, model: nn.Module, dt: float | Tensor, batch_first: bool) -> None:
        super().__init__()
        self.model, self.dt, self.batch_first = model, dt, batch_first

    def forward(self, input: Tensor) -> Tensor:
        answers: Tensor = self.model(input, dt=self.dt)
        return answers


@dataclass(frozen=True, eq=False)
class Measure:
    """One model on one set of samples."""

    model: nn.Module
    samples: Samples
    clean: Score
    seeds: int
    seed: int
    batch_size: int

    def curve(self, kind: Kind, strengths: Sequence[float] | None) -> RobustnessCurve | str:
        """The curve, or why there is none."""
        reason = self.obstacle(kind)
        if reason is not None:
            return reason
        grid = _grid(kind, strengths)
        if kind.family == "distance":
            return self.distances(kind, grid)
        seeds = self.seeds if kind.seeds else 1
        scores = [[self.clean] * seeds]
        for strength in grid:
            try:
                found = [self.score(kind, strength, self.seed + k) for k in range(seeds)]
            except _DoesNotFitError as error:
                return str(error)
            if kind.nested:
                pairs = zip(found, scores[-1], strict=True)
                found = [new.worse(smaller) for new, smaller in pairs]
            scores.append(found)
        return _curve(kind, (0.0, *grid), scores)

    def obstacle(self, kind: Kind) -> str | None:
        """What about the model or its data does not go with a kind."""
        samples = self.samples
        every_step = samples.has_classes and samples.target.dim() > 1
        if kind.family in ("values", "attack", "distance"):
            if not samples.input.is_floating_point():
                return "the input holds symbols, which cannot be moved a little"
            if not 0 < samples.span < float("inf"):
                return "the inputs have no finite range above 0: give `low` and `high`"
        if kind.family == "distance" and not samples.has_classes:
            return "the target is numbers: there is no class to leave"
        if kind.family == "distance" and every_step:
            return "the target has a class for each step: there is none of the whole to leave"
        if kind.family in ("steps", "times") and samples.input.dim() < 2:
            return "the input has no steps"
        if kind.family == "steps" and (every_step or getattr(self.model, "every_step", False)):
            return "the model answers at every step, and the target has an answer for each"
        if kind.timed and not takes_dt(self.model):
            return "the model takes no times `dt`"
        if kind.family == "weights" and not self.names(kind):
            return "the model has no such trainable parameters"
        return None

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Of the parameters that a kind is about."""
        groups = parameter_groups(self.model)
        if kind.group is not None:
            return groups[kind.group]
        return tuple(name for names in groups.values() for name in names)

    def score(self, kind: Kind, strength: float, seed: int) -> Score:
        """At one strength, drawn once."""
        generator = torch.Generator().manual_seed(seed)
        if kind.family == "weights":
            changed = kind.apply(self.model, strength, generator, self.names(kind))
            return self.samples.score(changed, self.batch_size)
        if kind.family == "attack":
            return self.attack(kind, strength, generator)
        perturbed = self.samples.after(kind.apply(self.samples, strength, generator))
        if kind.family == "values":
            return perturbed.score(self.model, self.batch_size)
        try:
            return perturbed.score(self.model, self.batch_size)
        except (TypeError, ValueError, RuntimeError) as error:
            raise _DoesNotFitError(
                f"the model does not take such steps or times: {error}"
            ) from error

    def attack(self, kind: Kind, strength: float, generator: torch.Generator) -> Score:
        """At one strength, a batch at a time."""
        found = []
        for part in self.samples.parts(self.batch_size):
            with _differentiable():
                moved = kind.apply(self.target_of(part), part, strength, generator)
            found.append(replace(part, input=moved).score(self.model, self.batch_size))
        return Score.join(found)

    def target_of(self, part: Samples) -> nn.Module:
        """What is attacked: the model, told the times of the samples."""
        if part.dt is None:
            return self.model
        return _WithTimes(self.model, part.dt, part.axis == 0)

    def distances(self, kind: Kind, grid: tuple[float, ...]) -> RobustnessCurve:
        """A whole curve from the distance of each sample to another class."""
        assert self.clean.right is not None  # for the type checker: there are classes
        dt, found = self.samples.dt, []
        alone = isinstance(dt, Tensor) and dt.dim() == 2  # times of each sample's own
        for part in self.samples.parts(1 if alone else self.batch_size):
            if alone and isinstance(part.dt, Tensor):
                part = replace(part, dt=part.dt.flatten())
            with _differentiable():
                found.append(kind.apply(self.target_of(part), part).cpu() / self.samples.span)
        right = self.clean.right
        distance = torch.cat(found).where(right > 0, 0.0)
        scores = [Score((distance > r).double(), self.clean.loss) for r in grid]
        curve = _curve(kind, (0.0, *grid), [[self.clean], *([score] for score in scores)])
        reached = distance[right > 0].tolist()
        median = statistics.median(reached) if reached else None
        distances = tuple(distance.tolist())
        return replace(curve, loss=None, median_distance=median, distances=distances)


class _DoesNotFitError(Exception):
    """A model that refuses sequences of another length, or times."""


def _grid(kind: Kind, strengths: Sequence[float] | None) -> tuple[float, ...]:
    """From weak to strong, without 0, which is the clean model."""
    given = kind.strengths if strengths is None else tuple(strengths)
    for strength in given:
        require_in_range("robustness", f"strengths[{kind.name!r}]", strength, 0)
    fewer_is_stronger = kind.name == "rounded"
    return tuple(sorted({s for s in given if s > 0}, reverse=fewer_is_stronger))


def _curve(kind: Kind, strengths: tuple[float, ...], scores: list[list[Score]]) -> RobustnessCurve:
    samples, seeds = len(scores[0][0].loss), len(scores[0])
    losses = [[score.loss.mean().item() for score in draws] for draws in scores]
    rights: Any = [[score.right for score in draws] for draws in scores]
    accuracy: tuple[float, ...] | None = None
    accuracy_sd = intervals = None
    if rights[0][0] is not None:
        shares = [[right.mean().item() for right in draws] for draws in rights]
        accuracy, accuracy_sd = _mean(shares), _sd(shares)
        intervals = [wilson_interval(share, samples) for share in accuracy]
    return RobustnessCurve(
        name=kind.name,
        label=kind.label,
        strengths=strengths,
        accuracy=accuracy,
        accuracy_low=None if intervals is None else tuple(low for low, _ in intervals),
        accuracy_high=None if intervals is None else tuple(high for _, high in intervals),
        accuracy_sd=accuracy_sd,
        loss=_mean(losses),
        loss_sd=_sd(losses),
        seeds=seeds,
        samples=samples,
        note=kind.note,
    )


def _mean(draws: list[list[float]]) -> tuple[float, ...]:
    return tuple(torch.tensor(draws, dtype=torch.float64).mean(1).tolist())


def _sd(draws: list[list[float]]) -> tuple[float, ...] | None:
    """Over the seeds."""
    if len(draws[0]) < 2:
        return None
    return tuple(torch.tensor(draws, dtype=torch.float64).std(1).tolist())
