"""Accuracy against the strength of a perturbation, and how well samples tell it."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from lipschitz_rnn._base.checks import require_in_range, require_positive_int


def wilson_interval(share: float, samples: int, level: float = 0.95) -> tuple[float, float]:
    r"""Wilson's score interval for a probability.

    .. math:: \frac{1}{1 + z^2/n} \biggl(\hat p + \frac{z^2}{2n}
        \pm z \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4 n^2}}\biggr)

    those p that are at most z of their own standard deviations :math:`\sqrt{p(1-p)/n}` away from
    what was found. It holds what it promises at 0 and 1, and of few samples, where the interval of
    the textbooks does not.

    A mean of numbers in [0, 1], such as each sample's share of right answers over several seeds,
    may stand for the share: a variable Y in [0, 1] of mean p has :math:`Y^2 \le Y`, so a variance
    of at most p(1 - p), and the interval can only be too wide.

    Args:
        share: p̂, in [0, 1].
        samples: n, independent ones.
        level: How often the interval is to hold the truth.

    Returns:
        Its ends, in [0, 1].

    Raises:
        ValueError: If a value is out of range.

    Examples:
        >>> low, high = wilson_interval(0.5, 10)
        >>> round(low, 4), round(high, 4)
        (0.2366, 0.7634)

    References:
        Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA
        22; Brown, Cai, DasGupta (2001), Interval estimation for a binomial proportion, Statistical
        Science 16, sec. 3.1.1.
    """
    require_in_range("wilson_interval", "share", share, 0, 1)
    require_positive_int("wilson_interval", "samples", samples)
    require_in_range("wilson_interval", "level", level, 0, 1, open_low=True, open_high=True)
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    center = share + z2 / (2 * samples)
    half = math.sqrt(z2 * (share * (1 - share) / samples + z2 / (4 * samples**2)))
    scale = 1 + z2 / samples
    # exact at the ends, where rounding would leave a rest
    low = 0.0 if share == 0 else (center - half) / scale
    high = 1.0 if share == 1 else (center + half) / scale
    return low, high


@dataclass(frozen=True)
class RobustnessCurve:
    """How a model answers as one kind of perturbation grows.

    Attributes:
        name: Of the perturbation.
        label: What its strength is, with the unit.
        strengths: The clean model on clean data first, as 0.
        accuracy: Share of right answers at each strength, averaged over the seeds; None if the
            target is not classes.
        accuracy_low: Lower ends of its 95 % intervals, see :func:`wilson_interval`. They are about
            the choice of the samples. Where weights are perturbed a seed draws one change for all
            samples, and the intervals are those for the changes that were drawn.
        accuracy_high: Upper ends.
        accuracy_sd: Standard deviation over the seeds; None of a single one.
        loss: Mean loss over samples and seeds; None if the kind has none at a strength.
        loss_sd: Standard deviation over the seeds, likewise.
        seeds: Random draws at each strength; 1 if nothing is random, or it is drawn once.
        samples: How many.
        note: What else has to be known.
        median_distance: Of the samples that are right at first, to the nearest input found that has
            another class, in units of the strengths; inf if for half of them none was found. None
            if the kind measures none, or no sample is right.
        distances: Of every sample, that distance: 0 where the clean answer is wrong, inf where no
            other class was reached. The accuracy is the share that exceeds a strength. None if the
            kind measures none.
    """

    name: str
    label: str
    strengths: tuple[float, ...]
    accuracy: tuple[float, ...] | None
    accuracy_low: tuple[float, ...] | None
    accuracy_high: tuple[float, ...] | None
    accuracy_sd: tuple[float, ...] | None
    loss: tuple[float, ...] | None
    loss_sd: tuple[float, ...] | None
    seeds: int
    samples: int
    note: str = ""
    median_distance: float | None = None
    distances: tuple[float, ...] | None = None


@dataclass(frozen=True)
class RobustnessReport:
    """Curves of one model on one set of samples.

    Attributes:
        curves: By name of the perturbation, in the order in which they were asked for.
        skipped: Why others were left out, by name.
        samples: How many.
        accuracy: Of the clean model on clean data; None if the target is not classes.
        loss: Likewise.
        low: Smallest value of the range that strengths are relative to; None for symbols.
        high: Largest one.
        seeds: Draws of what is random.
        seed: Of the first one; the others follow.
    """

    curves: dict[str, RobustnessCurve]
    skipped: dict[str, str]
    samples: int
    accuracy: float | None
    loss: float
    low: float | None
    high: float | None
    seeds: int
    seed: int
