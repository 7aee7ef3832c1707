"""Numbers and times of the training series, brought to size 1."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from lipschitz_rnn.estimators.samples import Samples
from lipschitz_rnn.estimators.series import Array, Series

_LARGEST = 1e15
"""Of standardised numbers: sums of their squares stay within float32, far beyond any use."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """What the training series were like.

    Attributes:
        mean: Of each feature over all its observed values, (P,).
        scale: Their standard deviation, 1 for a constant feature, (P,).
        time_unit: Median time between two observations; None if there were no times.
    """

    mean: Array
    scale: Array
    time_unit: float | None = None

    @classmethod
    def measure(cls, series: Series, where: str = "Scaling", *, standardize: bool) -> Self:
        """That of series; without ``standardize`` their values stay as they are."""
        size = series.values.shape[1]
        mean, scale = np.zeros(size), np.ones(size)
        if standardize:
            mean, scale = moments(series.values, f"{where}: X")
        unit = None
        if series.gaps is not None:
            known = series.gaps[~np.isnan(series.gaps)]
            unit = float(np.median(known)) if len(known) else 1.0
        return cls(mean, scale, unit)

    def apply(self, series: Series, where: str = "Scaling") -> Samples:
        """Standardise series.

        Args:
            series: They.
            where: What messages call the estimator.

        Returns:
            The series as the model reads them.

        Raises:
            ValueError: If a number is too large for the model's float32.
        """
        observed = ~np.isnan(series.values)
        with np.errstate(over="ignore"):
            values = np.where(observed, (series.values - self.mean) / self.scale, 0.0)
        _require_small(series, values, where)
        dt = None
        if series.gaps is not None and self.time_unit is not None:
            # when the observation after the last one comes is not known: at the usual time
            held = np.where(np.isnan(series.gaps), 1.0, series.gaps / self.time_unit)
            dt = torch.from_numpy(held.astype(np.float32))
        counts = torch.from_numpy(series.counts)
        return Samples(
            values=torch.from_numpy(values.astype(np.float32)),
            observed=None if observed.all() else torch.from_numpy(observed),
            dt=dt,
            starts=counts.cumsum(0) - counts,
            counts=counts,
        )


def moments(values: Array, where: str = "moments") -> tuple[Array, Array]:
    """Mean and standard deviation of what is observed of each column.

    Args:
        values: The columns, (F, P), NaN where not observed.
        where: What messages call them.

    Returns:
        (P,) each; the deviation of a constant is 1.

    Raises:
        ValueError: If they are too large to have any.
    """
    observed = ~np.isnan(values)
    count = np.maximum(observed.sum(0), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.where(observed, values, 0.0).sum(0) / count
        scale = np.sqrt(np.where(observed, np.square(values - mean), 0.0).sum(0) / count)
    # not by the deviation: rounding leaves a constant some, and tiny ones none
    highest = np.where(observed, values, -np.inf).max(0)
    varies = highest > np.where(observed, values, np.inf).min(0)
    mean = np.where(varies | ~observed.any(0), mean, highest)
    scale = np.where(varies & (scale > 0), scale, 1.0)
    if not np.isfinite(mean + scale).all():
        raise ValueError(
            f"{where}: expected numbers with a finite standard deviation, got some up to "
            f"{np.nanmax(np.abs(values)):g}. Divide them by a constant."
        )
    return mean, scale


def _require_small(series: Series, values: Array, where: str) -> None:
    """Raise ``ValueError`` if a standardised value may overflow in the model."""
    large = ~(np.abs(values) <= _LARGEST)
    if large.any():
        row, column = np.unravel_index(large.argmax(), large.shape)
        number = np.searchsorted(series.ends, row, "right")
        raise ValueError(
            f"{where}: expected numbers up to {_LARGEST:g} once standardised, got "
            f"{series.values[row, column]:g} in series {number} of X. Set what was not measured to "
            "NaN, or rescale X."
        )
