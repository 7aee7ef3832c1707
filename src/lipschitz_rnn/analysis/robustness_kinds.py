"""Every kind of perturbation by name, with the strengths it is measured at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from lipschitz_rnn.analysis.attacks import pgd
from lipschitz_rnn.analysis.deepfool import deepfool
from lipschitz_rnn.analysis.fgsm import fgsm
from lipschitz_rnn.analysis.parameter_groups import GROUPS
from lipschitz_rnn.analysis.perturbations import Perturbed, salt_and_pepper, white_noise
from lipschitz_rnn.analysis.robustness_samples import Samples
from lipschitz_rnn.analysis.step_perturbations import drop_steps, jitter_times, repeat_steps
from lipschitz_rnn.analysis.weight_noise import noise_weights, prune_weights, round_weights

NOISE_STDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
GRAIN_SHARES = (0.01, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3)
STEP_SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
JITTERS = (0.1, 0.25, 0.5, 0.75, 0.95)
LINF_RADII = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.3)
L2_RADII = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0)
PAPER_RADII = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07)
WEIGHT_STDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
BITS = (16, 8, 6, 5, 4, 3)
PRUNED_SHARES = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)

PGD_STEPS = 20

_OF_RANGE = "of the input range"
_NESTED = "a sample that falls at one radius counts as fallen at every larger one"


@dataclass(frozen=True)
class Kind:
    """A kind of perturbation.

    Attributes:
        name: What it is called.
        label: What its strength is, with the unit.
        strengths: Measured by default.
        family: What ``apply`` is called with, and makes. ``"values"``, ``"steps"`` and ``"times"``:
            (samples, strength, generator) -> Perturbed, with other values, with other steps and
            their times, or with other times alone; ``"attack"``: (model, samples, strength,
            generator) -> input; ``"distance"``: (model, samples) -> distances to another class;
            ``"weights"``: (model, strength, generator, names) -> model.
        apply: What does it.
        seeds: Whether it is drawn anew for each seed.
        timed: Whether the model has to take times.
        nested: Whether an input found at one strength is allowed at every larger one.
        group: Of the parameters; all if None.
        note: What else has to be known.
    """

    name: str
    label: str
    strengths: tuple[float, ...]
    family: str
    apply: Callable[..., Any]
    seeds: bool = False
    timed: bool = False
    nested: bool = False
    group: str | None = None
    note: str = ""


def _noise(samples: Samples, strength: float, generator: torch.Generator) -> Perturbed:
    return white_noise(samples.input, strength * samples.span, generator, dt=samples.dt)


def _grain(samples: Samples, strength: float, generator: torch.Generator) -> Perturbed:
    low, high = samples.low, samples.high
    return salt_and_pepper(samples.input, strength, generator, low, high, dt=samples.dt)


def _steps(
    change: Callable[..., Perturbed],
    samples: Samples,
    strength: float,
    generator: torch.Generator,
) -> Perturbed:
    first = samples.axis == 0
    return change(samples.input, strength, generator, dt=samples.dt, batch_first=first)


def _limits(samples: Samples) -> dict[str, Any]:
    """What attacks take of the samples: the box, and the loss that they raise."""
    by_default = samples.loss is None and samples.has_classes and samples.target.dim() == 1
    low, high = samples.box
    return {"low": low, "high": high, "loss": None if by_default else samples.losses}


def _fgsm(
    model: nn.Module, samples: Samples, strength: float, generator: torch.Generator
) -> Tensor:
    radius = strength * samples.span
    return fgsm(model, samples.input, samples.target, radius=radius, **_limits(samples))


def _pgd(
    norm: str, model: nn.Module, samples: Samples, strength: float, generator: torch.Generator
) -> Tensor:
    radius = strength * samples.span
    return pgd(
        model,
        samples.input,
        samples.target,
        norm=norm,
        radius=radius,
        steps=PGD_STEPS,
        step_size=2.5 * radius / PGD_STEPS,
        generator=generator,
        **_limits(samples),
    )


def _pgd_of_the_paper(
    model: nn.Module, samples: Samples, strength: float, generator: torch.Generator
) -> Tensor:
    # from the clean input: seven steps reach the whole ball from there, but not from its far side
    return pgd(
        model,
        samples.input,
        samples.target,
        norm="linf",
        radius=strength * samples.span,
        steps=7,
        step_size=0.01 * samples.span,
        random_start=False,
        **_limits(samples),
    )


def _deepfool(norm: str, model: nn.Module, samples: Samples) -> Tensor:
    low, high = samples.box
    size = len(samples)
    found = deepfool(model, samples.input, norm=norm, low=low, high=high, batch_size=size)
    return found.distances


def _fewer_bits(
    model: nn.Module, strength: int, generator: torch.Generator, names: tuple[str, ...]
) -> nn.Module:
    return round_weights(model, strength, names)


def _bfloat16(
    model: nn.Module, strength: float, generator: torch.Generator, names: tuple[str, ...]
) -> nn.Module:
    return round_weights(model, "bfloat16", names)


def _pruned(
    model: nn.Module, strength: float, generator: torch.Generator, names: tuple[str, ...]
) -> nn.Module:
    return prune_weights(model, strength, names)


def _weight_noise(group: str | None) -> Kind:
    name = "weight-noise" if group is None else f"weight-noise:{group}"
    label = "noise, of each tensor's rms"
    return Kind(name, label, WEIGHT_STDS, "weights", noise_weights, seeds=True, group=group)


def _of_steps(name: str, change: Callable[..., Perturbed], **options: Any) -> Kind:
    label, apply = "share of the steps", partial(_steps, change)
    return Kind(name, label, STEP_SHARES, "steps", apply, seeds=True, **options)


def _attack(
    name: str, norm: str, strengths: tuple[float, ...], attack: Any, **options: Any
) -> Kind:
    label = f"{norm} radius, {_OF_RANGE}"
    return Kind(name, label, strengths, "attack", attack, **options)


def _distance(name: str, norm: str, strengths: tuple[float, ...]) -> Kind:
    label = f"{norm} radius, {_OF_RANGE}"
    return Kind(name, label, strengths, "distance", partial(_deepfool, norm))


_JITTER = Kind(
    "jittered-times",
    "width of the spread of the times, of a step",
    JITTERS,
    "times",
    partial(_steps, jitter_times),
    seeds=True,
    timed=True,
)

PERTURBATIONS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                "white-noise",
                f"standard deviation, {_OF_RANGE}",
                NOISE_STDS,
                "values",
                _noise,
                seeds=True,
                note="not clipped to the range",
            ),
            Kind(
                "salt-and-pepper",
                "share of the numbers",
                GRAIN_SHARES,
                "values",
                _grain,
                seeds=True,
                note="each number is replaced with this probability, by either end of the range",
            ),
            _of_steps("dropped-steps", drop_steps),
            _of_steps(
                "dropped-steps-held",
                partial(drop_steps, hold=True),
                timed=True,
                note="the model is told the time that passes",
            ),
            _of_steps("repeated-steps", repeat_steps),
            _JITTER,
            _attack("fgsm", "linf", LINF_RADII, _fgsm),
            _attack(
                "pgd-7x0.01",
                "linf",
                PAPER_RADII,
                _pgd_of_the_paper,
                nested=True,
                note=f"7 steps of 0.01 {_OF_RANGE} from the clean input; {_NESTED}",
            ),
            *(
                _attack(
                    f"pgd-{norm}",
                    norm,
                    radii,
                    partial(_pgd, norm),
                    nested=True,
                    note=f"{PGD_STEPS} steps of {2.5 / PGD_STEPS:g} radii from a random start, "
                    f"drawn once; {_NESTED}",
                )
                for norm, radii in (("linf", LINF_RADII), ("l2", L2_RADII))
            ),
            _distance("deepfool-linf", "linf", LINF_RADII),
            _distance("deepfool-l2", "l2", L2_RADII),
            *(_weight_noise(group) for group in (None, *GROUPS)),
            Kind("rounded", "bits of a weight", BITS, "weights", _fewer_bits),
            Kind("bfloat16", "1: weights rounded to bfloat16", (1.0,), "weights", _bfloat16),
            Kind("pruned", "share of each tensor's weights", PRUNED_SHARES, "weights", _pruned),
        )
    }
)
"""Every kind by name, in the order in which they are measured."""
