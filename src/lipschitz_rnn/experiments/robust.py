"""Accuracy of a trained run against how far its inputs are moved: proved, and under attack."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis.attacks import empirical_accuracy
from lipschitz_rnn.analysis.certificates import StabilityCertificate
from lipschitz_rnn.analysis.certify import certify
from lipschitz_rnn.analysis.radius import CertifiedRadii, certified_accuracy, certified_radii
from lipschitz_rnn.data import Split
from lipschitz_rnn.experiments.dynamics import for_people, sample_batch
from lipschitz_rnn.experiments.runs import Report, TrainedRun

RADII = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Of the curves: l2 norms of the change of a whole sequence, all times and features together."""


@dataclass(frozen=True)
class RobustCurve:
    """Accuracy of one run at each radius, on the same samples.

    The truth lies between what is proved and what withstands the attack.

    Attributes:
        run: What it is called.
        rate: At which its unit is proved to contract; None if that is not proved.
        reason: Of the certificate, whether it holds or not.
        gain: Largest of all differences of two logits; None without a certificate.
        radii: l2 norms.
        certified: Share that is right and proved to stay so, computed in float64; or None.
        certified_as_run: The same in the dtype of the run, from which rounding takes more; or None.
        empirical: Share that is right and stays so under PGD.
        samples: Test samples.
        steps: Of PGD.
    """

    run: str
    rate: float | None
    reason: str
    gain: float | None
    radii: tuple[float, ...]
    certified: tuple[float, ...] | None
    certified_as_run: tuple[float, ...] | None
    empirical: tuple[float, ...]
    samples: int
    steps: int


def describe_training(trained: TrainedRun) -> str:
    """A name that says how a run's unit was kept stable.

    Args:
        trained: The run.

    Returns:
        Such as ``"contractive, rate 0.01, margins 0.03"``, or ``"free"``; other units by name.
    """
    model, radius = trained.config.model, trained.config.training.certified_radius
    options = model.options
    unconstrained = "free" if model.unit == "lipschitz" else model.unit
    parts = [str(options.get("constraint") or unconstrained)]
    if "constraint" in options:
        parts.append(f"rate {options.get('rate', 0.01):g}")
    if radius > 0:
        parts.append(f"margins {radius:g}")
    return ", ".join(parts)


def robust_curve(
    trained: TrainedRun,
    split: Split,
    *,
    name: str | None = None,
    radii: Sequence[float] = RADII,
    samples: int = 1000,
    steps: int = 20,
    strength: str = "diagonal",
    report: Report | None = None,
) -> RobustCurve:
    """Certified and empirical accuracy of a classifier over a grid of radii.

    The attack is :func:`lipschitz_rnn.analysis.pgd` in l2, with the settings of
    :func:`lipschitz_rnn.analysis.empirical_accuracy`; inputs may leave their range. A certificate
    is searched for if the unit brings none.

    Args:
        trained: The run.
        split: Its samples.
        name: Of the curve; :func:`describe_training` if None.
        radii: At least 0.
        samples: The first so many test samples.
        steps: Of PGD at each radius.
        strength: Of that search, as :func:`lipschitz_rnn.analysis.certify` takes it.
        report: Takes a line of progress.

    Returns:
        The curve. Without a certificate the empirical one stands alone.

    Raises:
        InputError: If the task is not to name a class of a whole sequence, or the model's form is
            not known.
    """
    if split.kind != "classes" or split.timed:
        raise InputError(
            f"{trained.config.name}: expected a task of one class a sequence, without times, got "
            f"{split.kind} of {split.name}."
        )
    grid = tuple(float(radius) for radius in radii)
    batch = sample_batch(split, samples)
    model = trained.model
    tell = report or (lambda line: None)
    name = name or describe_training(trained)
    with for_people(trained):
        proof = certify(model, strength=strength)
        tell(f"{name}: {proof.reason}")
        wide = copy.deepcopy(model).double()
        exact = _radii(certify(wide, strength=strength), wide, batch.input.double(), batch.target)
        as_run = _radii(proof, model, batch.input, batch.target)
        tell(f"{name}: attacked {len(grid)} times in {steps} steps")
        attacked = empirical_accuracy(
            model, batch.input, batch.target, norm="l2", radii=grid, steps=steps
        )
    return RobustCurve(
        name,
        proof.rate if proof.holds else None,
        proof.reason,
        None if as_run is None else float(as_run.pairs.max()),
        grid,
        _shares(exact, grid),
        _shares(as_run, grid),
        tuple(attacked.tolist()),
        len(batch.target),
        steps,
    )


def _radii(
    proof: StabilityCertificate, model: nn.Module, input: Tensor, target: Tensor
) -> CertifiedRadii | None:
    return certified_radii(proof, model, input, target) if proof.holds else None


def _shares(radii: CertifiedRadii | None, grid: tuple[float, ...]) -> tuple[float, ...] | None:
    return None if radii is None else tuple(certified_accuracy(radii, grid).tolist())
