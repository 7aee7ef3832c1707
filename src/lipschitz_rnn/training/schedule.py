"""Learning rates as functions of how far the training has come."""

import math

SCHEDULES = ("steps", "one-cycle")

_START = 1 / 25
_END = _START / 1e4


def one_cycle_factor(update: int, total: int, warmup: float) -> float:
    """What a one-cycle schedule makes of the highest learning rate.

    Half a cosine up from 1/25 in the first ``warmup`` of all updates, half a cosine down to
    1/250,000 in the rest, as ``torch.optim.lr_scheduler.OneCycleLR`` with
    ``cycle_momentum=False``. With a warm-up of 0 this is cosine decay.

    Args:
        update: The update that is next, counted from 0.
        total: Updates of the whole training.
        warmup: Share of the updates in which the rate rises, in [0, 1).

    Returns:
        A factor in (0, 1].

    Examples:
        >>> [round(one_cycle_factor(update, 11, 0.5), 3) for update in (0, 10)]
        [0.04, 0.0]
    """
    top, last = max(warmup * total - 1, 0.0), total - 1
    if update < top:
        return _between(_START, 1.0, update / top)
    return _between(1.0, _END, (update - top) / (last - top)) if last > top else 1.0


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
