"""A linear classifier of sequences, whose best attacks and distances are known in closed form."""

import torch
from torch import nn

DUAL = {"l2": 2, "linf": 1}  # order of the norm dual to the one a perturbation is measured in


class LinearClassifier(nn.Module):
    """Logits D x + d of the whole sequence, (B, T, P)."""

    def __init__(self, classes=2, steps=4, features=3, dtype=torch.float64, seed=0):
        super().__init__()
        self.head = nn.Linear(steps * features, classes, dtype=dtype)
        g = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for value in (self.head.weight, self.head.bias):
                value.copy_(torch.randn(value.shape, generator=g, dtype=torch.float64))

    def forward(self, x):
        return self.head(x.flatten(1))


def samples(batch=16, steps=4, features=3, dtype=torch.float64, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(batch, steps, features, generator=g, dtype=torch.float64).to(dtype)


def sizes(difference, norm, axis=0):
    flat = difference.double().movedim(axis, 0).flatten(1)
    return flat.abs().amax(1) if norm == "linf" else flat.norm(dim=1)


def gaps_and_slopes(model, x, y, norm):
    """f_k - f_y, and the dual norm of its gradient, (B, C) each, in float64."""
    weight, bias = model.head.weight.detach().double(), model.head.bias.detach().double()
    logits = x.double().flatten(1) @ weight.T + bias
    slopes = (weight[None] - weight[y][:, None]).norm(DUAL[norm], -1)
    return logits - logits.gather(1, y[:, None]), slopes


def exact_distances(model, x, y, norm):
    """To the nearest input of another class, (B,)."""
    gaps, slopes = gaps_and_slopes(model, x, y, norm)
    return (gaps.abs() / slopes).where(slopes > 0, torch.inf).amin(1)


def rounding(model, x, y, norm):
    """How far from the exact boundary the computed one may be, (B,).

    Each logit is a sum of D + 1 terms, so off by D + 1 half ulps of their sizes; two of them, over
    the smallest slope; and the coordinates of the moved input are rounded to half an ulp.
    """
    eps = torch.finfo(x.dtype).eps
    weight, bias = model.head.weight.detach().double(), model.head.bias.detach().double()
    terms = (x.double().abs().flatten(1) @ weight.abs().T + bias.abs()).amax(1)
    slopes = gaps_and_slopes(model, x, y, norm)[1]
    smallest = slopes.where(slopes > 0, torch.inf).amin(1)
    return eps * ((weight.shape[1] + 1) * terms / smallest + sizes(x, norm))
