"""Numbers and times of the training series, brought to size 1."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from lipschitz_rnn.estimators.samples import Samples
from lipschitz_rnn.estimators.series import Array, Series


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
    def measure(cls, series: Series, *, standardize: bool) -> Self:
        """That of series; without ``standardize`` their values stay as they are."""
        size = series.values.shape[1]
        mean, scale = moments(series.values) if standardize else (np.zeros(size), np.ones(size))
        unit = None
        if series.gaps is not None:
            known = series.gaps[~np.isnan(series.gaps)]
            unit = float(np.median(known)) if len(known) else 1.0
        return cls(mean, scale, unit)

    def apply(self, series: Series) -> Samples:
        """The series as the model reads them."""
        observed = ~np.isnan(series.values)
        values = np.where(observed, (series.values - self.mean) / self.scale, 0.0)
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


def moments(values: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of what is observed of each column, (P,); if constant, 1."""
    observed = ~np.isnan(values)
    count = np.maximum(observed.sum(0), 1)
    mean = np.where(observed, values, 0.0).sum(0) / count
    scale = np.sqrt(np.where(observed, np.square(values - mean), 0.0).sum(0) / count)
    # not by the deviation: rounding leaves a constant some
    highest = np.where(observed, values, -np.inf).max(0)
    varies = highest > np.where(observed, values, np.inf).min(0)
    return mean, np.where(varies, scale, 1.0)
