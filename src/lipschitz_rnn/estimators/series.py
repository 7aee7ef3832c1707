"""What callers hand an estimator as X and times, read into one form and checked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from lipschitz_rnn.estimators.times import Array as Array
from lipschitz_rnn.estimators.times import read_gaps


@dataclass(frozen=True, eq=False)
class Series:
    """Series of any lengths, one behind the other in memory.

    Attributes:
        values: All observations, (F, P), float64; NaN where a value is missing.
        counts: Observations of each series, at least 1, (n,), int64.
        gaps: Time from each observation to the next, (F,), NaN at the last one of each series;
            None without times.
    """

    values: Array
    counts: Array
    gaps: Array | None = None

    def __len__(self) -> int:
        """Number of series, n."""
        return len(self.counts)

    def timed(self, where: str, times: Any) -> "Series":
        """The same series with their time stamps, if there are any."""
        return self if times is None else replace(self, gaps=read_gaps(where, times, self.counts))

    @property
    def ends(self) -> Array:
        """Row after the last one of each series, (n,)."""
        ends: Array = self.counts.cumsum()
        return ends

    def select(self, starts: Array, counts: Array) -> "Series":
        """A run of each series."""
        shifts = starts - (counts.cumsum() - counts)
        rows = np.arange(counts.sum()) + np.repeat(shifts, counts)
        gaps = self.gaps
        if gaps is not None:
            gaps = gaps[rows]
            gaps[counts.cumsum() - 1] = np.nan
        return Series(self.values[rows], counts, gaps)

    def extended(self, values: Array, gap: float | None) -> "Series":
        """The series with more values, (n, K, P), each behind its own, ``gap`` apart in time."""
        more = values.shape[1]
        at = np.repeat(self.ends, more)
        gaps = self.gaps
        if gaps is not None:
            assert gap is not None  # for the type checker: there are times
            gaps = np.insert(np.where(np.isnan(gaps), gap, gaps), at, gap)
            gaps[self.ends + more * np.arange(1, len(self) + 1) - 1] = np.nan
        joined = np.insert(self.values, at, values.reshape(-1, values.shape[2]), axis=0)
        return Series(joined, self.counts + more, gaps)


def last_steps(series: Series, steps: int) -> Series:
    """The last observations of each series, at most so many."""
    counts = np.minimum(series.counts, steps)
    return series.select(series.ends - counts, counts)


def without_last(series: Series, steps: int) -> Series:
    """The series without their last observations."""
    return series.select(series.ends - series.counts, series.counts - steps)


def require_some(where: str, X: Any) -> None:
    """Raise ``ValueError`` if X is empty."""
    # len() of a sparse matrix is an error
    if (isinstance(X, (list, tuple)) and not X) or getattr(X, "shape", ())[:1] == (0,):
        raise ValueError(
            f"{where}: expected X of at least one series of at least one step, got none."
        )


def is_list_of_series(X: Any, *, of_lists: bool) -> bool:
    """Whether X is several series in a list, not an array of numbers in any disguise.

    Args:
        X: Anything.
        of_lists: What rows of numbers in nested lists, all of one length, are: series too; or an
            array, as everywhere in scikit-learn.

    Returns:
        Whether it is a list, or an array of objects, of things with axes.
    """
    listed = isinstance(X, (list, tuple)) or (
        isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1
    )
    if not listed or not len(X) or np.ndim(X[0]) == 0:
        return False
    if of_lists:
        return True
    rows = all(isinstance(x, (list, tuple)) and len(x) and np.ndim(x[0]) == 0 for x in X)
    return not (rows and len({len(x) for x in X}) == 1)


def axes(X: Any) -> int:
    """How many axes X has as an array."""
    return int(X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim)


def read_list(estimator: BaseEstimator, X: Iterable[Any], *, reset: bool) -> Series:
    """Read n series (T_i, P) or (T_i,) of any lengths; T_i at least 1."""
    where = type(estimator).__name__
    parts = [_one_series(where, number, item) for number, item in enumerate(X)]
    _keep_size(estimator, parts[0].shape[1], reset)
    return _joined(where, parts)


def read_block(estimator: BaseEstimator, X: Any, *, reset: bool) -> Series:
    """Read an array (n, T, P)."""
    array = check_array(X, allow_nd=True, estimator=estimator, **_OPTIONS)
    if array.ndim != 3 or 0 in array.shape[1:]:
        raise ValueError(
            f"{type(estimator).__name__}: expected X of shape (n, T, P) with at least one step and "
            f"one feature, got {array.shape}."
        )
    _keep_size(estimator, array.shape[2], reset)
    counts = np.full(len(array), array.shape[1], dtype=np.int64)
    return Series(array.reshape(-1, array.shape[2]), counts)


def read_table(estimator: BaseEstimator, X: Any, *, reset: bool, compare: bool) -> Array:
    """Read a two-dimensional array; with ``compare`` it must have the columns ``fit`` saw."""
    if reset or compare:
        array: Array = validate_data(estimator, X, reset=reset, **_OPTIONS)
    else:
        array = check_array(X, estimator=estimator, **_OPTIONS)
    return array


_OPTIONS: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}


def _keep_size(estimator: Any, size: int, reset: bool) -> None:
    """Set what scikit-learn asks of every fitted estimator; a list or a block has no names."""
    if reset:
        estimator.n_features_in_ = size
        vars(estimator).pop("feature_names_in_", None)


def _one_series(where: str, number: int, item: Any) -> Array:
    try:
        array = np.asarray(item, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: expected series of numbers, got at X[{number}]: {error}."
        ) from None
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{where}: expected series (T_i, P) or (T_i,) of at least one step, got shape "
            f"{np.shape(item)} at X[{number}]."
        )
    if np.isinf(array).any():
        raise ValueError(
            f"{where}: expected finite numbers, or NaN for missing ones, got infinity at "
            f"X[{number}]."
        )
    return array


def _joined(where: str, parts: Sequence[Array]) -> Series:
    size = parts[0].shape[1]
    for number, part in enumerate(parts):
        if part.shape[1] != size:
            raise ValueError(
                f"{where}: expected series of {size} feature(s) as X[0] has, got {part.shape[1]} "
                f"at X[{number}]."
            )
    counts = np.array([len(part) for part in parts], dtype=np.int64)
    return Series(np.concatenate(parts), counts)
