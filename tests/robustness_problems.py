"""Models and samples for the tests of robustness."""

import math

import torch
from torch import nn

from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Linear(nn.Module):
    """Logits, or numbers, that are linear in the whole sequence, (B, T, P)."""

    def __init__(self, steps=3, features=2, outputs=2):
        super().__init__()
        self.linear = nn.Linear(steps * features, outputs, dtype=F64)

    def forward(self, x):
        return self.linear(x.flatten(1))


def samples(batch=40, steps=3, features=2, outputs=2, seed=1):
    x = torch.rand(batch, steps, features, generator=seeded(seed), dtype=F64)
    return x, torch.randint(outputs, (batch,), generator=seeded(seed + 1))


def margins(model, x, y):
    """How much the right class leads, (B,), and what that is multiplied with, (B, T P)."""
    logits = model(x).detach()
    w = model.linear.weight.detach()
    return (logits.gather(1, y[:, None]) - logits.gather(1, 1 - y[:, None])).squeeze(1), (
        w[y] - w[1 - y]
    )


def between(thresholds, largest=math.inf, count=8):
    """Strengths that are not close to those at which a sample falls."""
    t = thresholds[(thresholds > 0) & (thresholds < largest)].sort().values
    middles = (t[1:] + t[:-1]) / 2
    wide = middles[t[1:] > 1.02 * t[:-1]].tolist()
    assert len(wide) >= 3
    return tuple(wide[:: max(1, len(wide) // count)])


def integrator(batch_first=True):
    """h' = U x + b and a head: logits are linear in what is read, and in how long."""
    layer = LipschitzRNN(
        2,
        3,
        alpha=0.0,
        gamma=0.0,
        init_std=0.0,
        nonlinearity="identity",
        step_size=0.2,
        batch_first=batch_first,
        dtype=F64,
    )
    return SequenceClassifier(layer, 2)


def classifier(rnn, seed=0):
    torch.manual_seed(seed)
    return SequenceClassifier(rnn, 3)
