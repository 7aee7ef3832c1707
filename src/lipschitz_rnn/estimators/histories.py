"""Series that a forecaster goes on with: one, or several."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from lipschitz_rnn.estimators.series import (
    Series,
    axes,
    is_list_of_series,
    read_block,
    read_list,
    read_table,
    require_some,
)


@dataclass(frozen=True, eq=False)
class Histories:
    """Series to go on with, and how they were handed in.

    Attributes:
        series: They.
        single: Whether it was one series, not in a list.
        flat: Whether its feature had no axis.
    """

    series: Series
    single: bool
    flat: bool


def read_histories(estimator: BaseEstimator, X: Any, times: Any, *, reset: bool) -> Histories:
    """Read one series, (T,) or (T, P), or several, in a list or (n, T, P), and their times."""
    where, single = type(estimator).__name__, False
    require_some(where, X)
    if is_list_of_series(X, of_lists=True):
        series, flat = read_list(estimator, X, reset=reset), np.ndim(X[0]) == 1
    elif axes(X) == 3:
        series, flat = read_block(estimator, X, reset=reset), False
    elif axes(X) == 1:
        series, flat, single = read_list(estimator, [X], reset=reset), True, True
    else:
        array = read_table(estimator, X, reset=reset, compare=True)
        series, flat, single = Series(array, np.array([len(array)])), False, True
    stamps = [times] if single and times is not None else times
    return Histories(series.timed(where, stamps), single=single, flat=flat)
