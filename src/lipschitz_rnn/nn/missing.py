"""Missing inputs: fill the gaps of a sequence before it enters the unit."""

import torch
from torch import Tensor

MISSING = ("hold", "zero")


def fill_missing(input: Tensor, mask: Tensor, how: str) -> Tensor:
    """Replace missing values by the last observed one, or by zero.

    What stands in the gaps, NaN included, never reaches the result or its gradient.

    Args:
        input: (T, B, P).
        mask: True where observed, (T, B) for whole steps or (T, B, P) per feature.
        how: ``"hold"``: the last observed value, zero before the first one. ``"zero"``: zero.

    Returns:
        The filled input, (T, B, P).
    """
    observed = (mask.unsqueeze(-1) if mask.dim() == 2 else mask).expand_as(input)
    clean = torch.where(observed, input, torch.zeros_like(input))
    if how == "zero" or not input.shape[0]:
        return clean
    times = torch.arange(input.shape[0], device=input.device).view(-1, 1, 1)
    # time of the last observation, 0 before the first: `clean` is zero there
    last = torch.where(observed, times, torch.zeros_like(times)).cummax(0).values
    return clean.gather(0, last)
