"""Whether a map brings trajectories together as fast as is claimed."""

import math

import torch

F64 = torch.float64


def norms(metric, differences):
    metric = torch.from_numpy(metric)
    metric = torch.diag(metric) if metric.dim() == 1 else metric
    return torch.einsum("...i,ij,...j->...", differences, metric, differences).sqrt()


def assert_contracts(step, n, g, metric, factor):
    """Of 64 pairs, some near and some far, none keeps more of its distance than the factor."""
    spread = torch.logspace(-3, 1, 64, dtype=F64)[:, None]
    one = 2 * torch.randn(64, n, generator=g, dtype=F64)
    two = one + spread * torch.randn(64, n, generator=g, dtype=F64)
    for _ in range(4):
        x = torch.randn(2, generator=g, dtype=F64)
        before = norms(metric, one - two)
        one, two = step(one, x), step(two, x)
        # the states are of size 10, and rounding tells in the metric by its largest entry
        rounding = 1e-13 * math.sqrt(abs(metric).max()) * (1 + one.abs().max())
        assert (norms(metric, one - two) <= factor * before + rounding).all()
