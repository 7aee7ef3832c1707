"""Intervals of shares: the published ones, and as often right as they say."""

import math
import statistics

import pytest
import torch
from robustness_problems import seeded

from lipschitz_rnn.analysis.robustness_curve import wilson_interval

F64 = torch.float64
SIGMAS = 5.0
NORMAL = statistics.NormalDist()


@pytest.mark.parametrize(
    ("right", "samples", "low", "high"),
    [  # 0 and 5 of 10: as published; 81 of 263: Newcombe (1998), table I, method 3
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(right, samples, low, high):
    got = wilson_interval(right / samples, samples)
    assert [round(end, 4) for end in got] == [low, high]


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("share", [0.03, 0.5, 0.9])
def test_its_ends_are_z_of_their_own_deviations_away(share, level):
    n, z = 70, NORMAL.inv_cdf((1 + level) / 2)
    for end in wilson_interval(share, n, level):
        assert abs(share - end) == pytest.approx(z * math.sqrt(end * (1 - end) / n), rel=1e-9)


def coverage(p, n, draws):
    """How often the interval of a mean holds p; ``draws(p)`` are means of samples in [0, 1]."""
    intervals = [wilson_interval(share, n) for share in draws]
    return sum(low <= p <= high for low, high in intervals) / len(intervals)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.97])
def test_the_interval_holds_the_truth_as_often_as_it_says(p):
    n, runs = 100, 4000
    right = torch.rand(runs, n, generator=seeded(), dtype=F64) < p
    found = coverage(p, n, right.double().mean(1).tolist())
    # exact, from the binomial distribution: near 0.95, not at it
    exact = sum(
        math.comb(n, k) * p**k * (1 - p) ** (n - k)
        for k in range(n + 1)
        if wilson_interval(k / n, n)[0] <= p <= wilson_interval(k / n, n)[1]
    )
    assert 0.93 < exact < 0.98
    assert abs(found - exact) < SIGMAS * math.sqrt(exact * (1 - exact) / runs)


def test_means_over_seeds_are_held_more_often():
    """Each sample's share of right answers over three draws varies less than a single draw."""
    n, runs, p = 100, 2000, 0.3
    right = torch.rand(runs, n, 3, generator=seeded(), dtype=F64) < p
    assert coverage(p, n, right.double().mean((1, 2)).tolist()) > 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.2, 10), "0 <= `share` <= 1"),
        ((0.5, 0), "`samples` >= 1"),
        ((0.5, 10, 1.0), "0 < `level` < 1"),
    ],
)
def test_intervals_of_nothing_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        wilson_interval(*arguments)
