"""The time of a training step grows linearly with the length of the sequence."""

import statistics
import time

import pytest
import torch
from torch import nn

from lipschitz_rnn.ops import lipschitz_scan


def seconds(steps, through):
    """Forward and backward through a trainable layer below, so that the input needs a gradient."""
    w = 0.001 * torch.randn(64, 64)
    below = nn.Linear(4, 64)
    input = torch.randn(steps, 32, 4)
    start = time.perf_counter()
    states = through(below(input), torch.zeros(32, 64), w, w, w, None, step_size=0.03)
    states[-1].sum().backward()
    return time.perf_counter() - start


def indexing(input, h, a, w, u, b, *, step_size):
    """The trap, to see that this test can fail: indexing a differentiable tensor in the loop."""
    projected, states = input @ u.T, []
    for t in range(len(input)):
        h = h + step_size * (h @ a.T + torch.tanh(h @ w.T + projected[t]))
        states.append(h)
    return torch.stack(states)


def growth(through, repeats):
    """Time at T=784 over that at T=98, alternating, by medians."""
    seconds(98, through)
    short, long = [], []
    for _ in range(repeats):
        short += [seconds(98, through) for _ in range(3)]
        long.append(seconds(784, through))
    return statistics.median(long) / statistics.median(short)


def test_time_is_linear_in_the_number_of_steps():
    """8 is linear, 64 the trap."""
    ratio = growth(lipschitz_scan, 5)
    assert ratio <= 16, f"T=784 takes {ratio:.1f} times as long as T=98"


@pytest.mark.slow
def test_this_test_would_notice_the_trap():
    assert growth(indexing, 2) > 16
