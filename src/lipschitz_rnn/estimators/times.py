"""Time stamps of series, numbers or dates, read as the time from each observation to the next."""

from collections.abc import Sequence
from datetime import UTC, date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def read_gaps(where: str, times: Any, counts: Array) -> Array:
    """Time from each observation to the next.

    Args:
        where: What messages call the caller.
        times: Increasing time stamps of each series: numbers in one unit; or ``datetime64``,
            ``datetime``, ``date`` or ``pandas.Timestamp``, or durations, whose unit is the second.
        counts: Observations of each series, (n,).

    Returns:
        (F,), NaN at the last observation of each series.

    Raises:
        ValueError: If the stamps are of other series, no time stamps, or do not increase.
    """
    stamps = [np.asarray(item) for item in times]
    if len(stamps) != len(counts):
        raise ValueError(
            f"{where}: expected `times` of {len(counts)} series as X has, got {len(stamps)}."
        )
    for number, (item, count) in enumerate(zip(stamps, counts, strict=True)):
        if item.shape != (count,):
            raise ValueError(
                f"{where}: expected {count} time stamps as X[{number}] has steps, got shape "
                f"{item.shape} at times[{number}]."
            )
    dated = [_is_dated(item) for item in stamps]
    _require_one_kind(where, dated)
    gaps = np.full(int(counts.sum()), np.nan)
    starts = counts.cumsum() - counts
    for number, (item, start) in enumerate(zip(stamps, starts, strict=True)):
        found = _differences(f"{where}: times[{number}]", item, dated[number])
        if not ((found > 0) & (found < np.inf)).all():
            raise ValueError(
                f"{where}: expected finite time stamps that increase, got others at "
                f"times[{number}]."
            )
        gaps[start : start + len(found)] = found
    return gaps


def _is_dated(stamps: Array) -> bool:
    """Whether stamps are dates or durations, of numpy's or of Python's kind, not numbers."""
    return stamps.dtype.kind in "mM" or isinstance(stamps[0], (date, timedelta))


def _require_one_kind(where: str, dated: Sequence[bool]) -> None:
    if any(dated) and not all(dated):
        number = dated.index(not dated[0])
        kinds = ("dates", "others") if dated[0] else ("numbers", "dates")
        raise ValueError(
            f"{where}: expected `times` of one kind, got {kinds[0]} at times[0] and {kinds[1]} at "
            f"times[{number}]. Make all of them dates, or numbers in one unit."
        )


def _differences(where: str, stamps: Array, dated: bool) -> Array:
    """Time between neighbours, in seconds for dates."""
    try:
        if not dated:
            return np.diff(stamps.astype(np.float64))
        if stamps.dtype.kind in "mM":
            steps: Array = np.diff(stamps) / np.timedelta64(1, "s")
            return steps
        moments = [_in_one_zone(item) for item in stamps]
        found = [(b - a) / timedelta(seconds=1) for a, b in pairwise(moments)]
        return np.array(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: expected numbers, or dates of one kind (datetime64, datetime or date), "
            f"got: {error}."
        ) from None


def _in_one_zone(moment: Any) -> Any:
    """A date with a time zone, in UTC: within one zone clocks are compared, summer or not."""
    return moment.astimezone(UTC) if getattr(moment, "tzinfo", None) is not None else moment
