"""Whether robustness is only that of gradients that do not show the way."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipschitz_rnn._base.checks import require_in_range, require_positive_int, require_shape
from lipschitz_rnn.analysis.attacks import pgd
from lipschitz_rnn.analysis.ball import NO_CLASS, Ball, Best, batch_axis, classes_of
from lipschitz_rnn.analysis.random_search import random_search

Attack = Callable[[Tensor, Tensor], Tensor]
"""Inputs and their classes to moved inputs."""

_CLEAN, _RANDOM, _AIMED = "clean", "random", "aimed"
_TRANSFER, _UNBOUNDED = "transfer", "unbounded"


@dataclass(frozen=True)
class AttackOutcome:
    """What is left of a model under an attack.

    Attributes:
        accuracy: Share of samples that are right, and stay so. No answer with a NaN logit is.
        loss: Mean cross-entropy at the inputs the attack returns.
    """

    accuracy: float
    loss: float


@dataclass(frozen=True)
class MaskingReport:
    """Attacks of growing strength on one model, and what is odd about them.

    Attributes:
        norm: ``"linf"`` or ``"l2"``.
        radius: Of all attacks but ``unbounded``.
        clean: Without an attack.
        steps: Gradients of each ascent.
        pgd: Under each of them.
        tries: Inputs drawn for each sample by the random search.
        random_search: Under it.
        transfer: Under the longest ascent on another model, if there is one.
        unbounded_radius: A ball that holds inputs of other classes.
        unbounded: Under the longest ascent in it.
        zero_gradients: Share of samples with a gradient of the loss that is exactly zero, or not
            finite.
        findings: A sentence for each sign of masked gradients; none if there are none.
    """

    norm: str
    radius: float
    clean: AttackOutcome
    steps: tuple[int, ...]
    pgd: tuple[AttackOutcome, ...]
    tries: int
    random_search: AttackOutcome
    transfer: AttackOutcome | None
    unbounded_radius: float
    unbounded: AttackOutcome
    zero_gradients: float
    findings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Trial:
    """What every attack did to every sample, (B,) each."""

    right: dict[str, Tensor]
    losses: dict[str, Tensor]
    flat: Tensor  # whether the gradient at the clean input shows no way

    def outcome(self, name: str) -> AttackOutcome:
        accuracy = self.right[name].double().mean().item()
        return AttackOutcome(accuracy, self.losses[name].double().mean().item())


def check_masking(
    model: nn.Module,
    input: Tensor,
    target: Tensor,
    *,
    norm: str,
    radius: float,
    steps: Sequence[int] = (1, 7, 20, 40),
    step_size: float | None = None,
    source: nn.Module | None = None,
    tries: int = 50,
    tolerance: float = 0.02,
    generator: torch.Generator | None = None,
    low: float | None = None,
    high: float | None = None,
    batch_size: int = 256,
) -> MaskingReport:
    """Look for signs that a model withstands attacks by hiding its gradients.

    All but the second and the last are those of Athalye, Carlini and Wagner:

    - the shortest ascent beats the longest one;
    - more steps lower the mean loss, by more than the tolerance of it;
    - an attack on another model beats the longest ascent on this one;
    - random inputs beat the longest ascent, or fool the model where neither that does nor one that
      is aimed at the class they reached (honest ascents without an aim may miss a class that lies
      in another direction);
    - an ascent in a ball that holds inputs of other classes leaves samples right;
    - gradients are exactly zero, or not finite, at the clean inputs.

    None of them is a proof, and neither is their absence. Every ascent starts from the clean input,
    so that one of a single step is that of :func:`lipschitz_rnn.analysis.fgsm`.

    Args:
        model: As :func:`lipschitz_rnn.analysis.pgd` takes it.
        input: The clean inputs.
        target: Their classes, (B,).
        norm: ``"linf"`` or ``"l2"``.
        radius: Above 0.
        steps: Of each ascent, ascending.
        step_size: 2.5 times the radius over the steps if None.
        source: Another model for the same inputs, trained alike without what may hide gradients.
        tries: Inputs drawn for each sample by the random search.
        tolerance: Share of the samples that a finding needs more than.
        generator: Of the random search.
        low: Smallest value of an input; that of ``input`` is used for the unbounded ball if None.
        high: Largest one, likewise.
        batch_size: Samples attacked at a time.

    Returns:
        Accuracies and losses, and the findings.

    Raises:
        TypeError: If the input does not hold floating-point numbers.
        ValueError: If a shape or value does not fit.

    Examples:
        >>> model = nn.Linear(2, 2, bias=False)
        >>> _ = model.requires_grad_(False).weight.copy_(torch.eye(2))
        >>> x, y = torch.tensor([[1.0, 0.2], [0.1, 0.3]]), torch.tensor([0, 1])
        >>> report = check_masking(model, x, y, norm="linf", radius=0.2)
        >>> report.clean.accuracy, report.pgd[-1].accuracy, report.findings
        (1.0, 0.5, ())

    References:
        Athalye, Carlini, Wagner (2018), Obfuscated gradients give a false sense of security, ICML,
        sec. 3.1.
    """
    where = "check_masking"
    require_in_range(where, "radius", radius, 0, open_low=True)
    require_in_range(where, "tolerance", tolerance, 0, 1)
    require_positive_int(where, "batch_size", batch_size)
    if not steps or min(steps) < 1 or list(steps) != sorted(set(steps)):
        raise ValueError(f"{where}: expected ascending `steps` >= 1, got {tuple(steps)}.")
    ball = Ball(where, model, input, norm, radius, low, high)
    require_shape(where, "target", target, (ball.batch,), "(B,)")
    box: dict[str, Any] = {"norm": norm, "low": low, "high": high}
    wide = _unbounded_radius(ball)

    def ascent(victim: nn.Module, count: int, reach: float, size: float | None) -> partial[Tensor]:
        size = 2.5 * reach / count if size is None else size
        return partial(
            pgd, victim, radius=reach, steps=count, step_size=size, random_start=False, **box
        )

    attacks: dict[str, Attack] = {_CLEAN: lambda x, y: x}
    attacks |= {_name(count): ascent(model, count, radius, step_size) for count in steps}
    attacks[_RANDOM] = partial(
        random_search, model, radius=radius, tries=tries, generator=generator, **box
    )
    attacks[_AIMED] = partial(ascent(model, steps[-1], radius, step_size), loss=_likeness)
    if source is not None:
        attacks[_TRANSFER] = ascent(source, steps[-1], radius, step_size)
    attacks[_UNBOUNDED] = ascent(model, steps[-1], wide, None)
    trial = _try(model, input, target, attacks, batch_size)
    return _report(trial, ball, tuple(steps), tries, wide, tolerance)


def _report(
    trial: _Trial, ball: Ball, steps: tuple[int, ...], tries: int, wide: float, tolerance: float
) -> MaskingReport:
    outcomes = {name: trial.outcome(name) for name in trial.right}
    return MaskingReport(
        norm=ball.norm,
        radius=ball.radius.max().item(),
        clean=outcomes[_CLEAN],
        steps=steps,
        pgd=tuple(outcomes[_name(count)] for count in steps),
        tries=tries,
        random_search=outcomes[_RANDOM],
        transfer=outcomes.get(_TRANSFER),
        unbounded_radius=wide,
        unbounded=outcomes[_UNBOUNDED],
        zero_gradients=trial.flat.double().mean().item(),
        findings=tuple(_findings(trial, outcomes, steps, wide, tolerance)),
    )


def _likeness(answers: Tensor, aim: Tensor) -> Tensor:
    return -functional.cross_entropy(answers, aim, reduction="none")


def _name(steps: int) -> str:
    return f"pgd {steps}"


def _unbounded_radius(ball: Ball) -> float:
    """Of a ball around any sample that holds the box, or all samples where there is no box."""
    x = ball.center
    low = ball.low if math.isfinite(ball.low) else x.min().item()
    high = ball.high if math.isfinite(ball.high) else x.max().item()
    numbers = x.numel() // max(ball.batch, 1)
    width = (high - low) * (1.0 if ball.norm == "linf" else math.sqrt(numbers))
    return max(width, 10 * ball.radius.max().item())


def _try(
    model: nn.Module, input: Tensor, target: Tensor, attacks: dict[str, Attack], batch_size: int
) -> _Trial:
    axis = batch_axis(model)
    right: dict[str, list[Tensor]] = {name: [] for name in attacks}
    losses: dict[str, list[Tensor]] = {name: [] for name in attacks}
    flat = []
    for index in torch.split(torch.arange(len(target), device=target.device), batch_size):
        x, y = input.index_select(axis, index), target[index]
        gradient = Best(x, axis, None, y).gradient(model, x).movedim(axis, 0)
        flat.append(~gradient.nan_to_num(0.0, 0.0, 0.0).flatten(1).any(1))
        reached = y
        for name, attack in attacks.items():
            moved = attack(x, reached if name == _AIMED else y)
            with torch.no_grad():
                answers = model(moved)
            predicted = classes_of(answers)
            if name == _RANDOM:  # before the one that is aimed
                reached = predicted.where(predicted != NO_CLASS, y)  # there is none to aim at
            stays = predicted == y
            right[name].append(stays & right[_CLEAN][-1] if name != _CLEAN else stays)
            losses[name].append(functional.cross_entropy(answers, y, reduction="none"))
    return _Trial(
        {name: torch.cat(parts) for name, parts in right.items()},
        {name: torch.cat(parts) for name, parts in losses.items()},
        torch.cat(flat),
    )


def _findings(
    trial: _Trial,
    outcomes: dict[str, AttackOutcome],
    steps: tuple[int, ...],
    wide: float,
    tolerance: float,
) -> Iterator[str]:
    first, longest = (outcomes[_name(count)].accuracy for count in (steps[0], steps[-1]))
    if first < longest - tolerance:
        yield (
            f"The longest ascent is not the strongest: accuracy {first:.3f} with steps={steps[0]}, "
            f"{longest:.3f} with steps={steps[-1]}."
        )
    for few, many in pairwise(steps):
        before, after = outcomes[_name(few)].loss, outcomes[_name(many)].loss
        if after < before * (1 - tolerance):
            yield (
                f"More steps lower the loss: {before:.3g} with steps={few}, {after:.3g} with "
                f"steps={many}."
            )
    weaker = {_TRANSFER: "An attack on another model leaves", _RANDOM: "Random inputs leave"}
    for name, words in weaker.items():
        if name in outcomes and outcomes[name].accuracy < longest - tolerance:
            accuracy = outcomes[name].accuracy
            yield f"{words} an accuracy of {accuracy:.3f}, the longest ascent {longest:.3f}."
    stands = trial.right[_name(steps[-1])] & trial.right[_AIMED]
    missed = (stands & ~trial.right[_RANDOM]).double().mean().item()
    if missed > tolerance:
        yield f"Random inputs fool the model where no ascent does: {missed:.1%} of samples."
    left = outcomes[_UNBOUNDED].accuracy
    if left > tolerance:
        yield f"An ascent within {wide:.3g}, where other classes lie, leaves {left:.1%} right."
    flat = trial.flat.double().mean().item()
    if flat > tolerance:
        yield f"The gradient is zero or not finite at {flat:.1%} of the clean inputs."
