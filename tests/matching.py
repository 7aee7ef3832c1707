"""One way to compare tensors, with a tolerance derived from the arithmetic."""

import math

import torch


def assert_matches(name, got, expected, *, steps=1, factor=8.0):
    """Relative Frobenius error at most ``factor · eps · sqrt(steps)``.

    Rounding errors of damped dynamics add up like a random walk over the steps. The precision is
    that of the coarser of the two tensors.
    """
    assert got.shape == expected.shape, f"{name}: {tuple(got.shape)} != {tuple(expected.shape)}"
    eps = max(torch.finfo(got.dtype).eps, torch.finfo(expected.dtype).eps)
    got, expected = got.detach().double(), expected.detach().double()
    scale = expected.norm().item() or 1.0
    error = (got - expected).norm().item() / scale
    allowed = factor * eps * math.sqrt(steps)
    assert error <= allowed, f"{name}: relative error {error:.3g}, {error / allowed:.3g} x allowed"
