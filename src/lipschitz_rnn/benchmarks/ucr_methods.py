"""Classifiers of series to compare: ours, the same with an LSTM, and two from ``aeon``."""

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.ucr import LabelledSeries

METHODS = {
    "lipschitz": "Lipschitz RNN",
    "lstm": "LSTM",
    "minirocket": "MiniRocket",
    "dtw": "1-NN DTW",
}
"""What tables call each method, in the order they are measured: the slowest last."""

DTW_BAND = 0.1
"""Steps that DTW may shift by, as a share of the length: five times as fast as without a limit."""

_OURS = ("lipschitz", "lstm")
_SEEDLESS = ("dtw",)


def require_installed(methods: tuple[str, ...]) -> None:
    """Raise ``InputError`` if a method needs a library that is not there."""
    wanted = [name for name in methods if name not in _OURS]
    if wanted and find_spec("aeon") is None:
        raise InputError(
            f"{wanted[0]}: expected the library aeon, got none. "
            'Install it by: pip install "lipschitz-rnn[ucr]", or choose others with --only.'
        )


def seeds_of(method: str, seeds: tuple[int, ...]) -> tuple[int, ...]:
    """Seeds worth measuring: the first one where chance plays no part."""
    return seeds[:1] if method in _SEEDLESS else seeds


def make_classifier(method: str, seed: int, threads: int) -> Any:
    """A classifier with the defaults of its library.

    Args:
        method: A key of ``METHODS``.
        seed: Of what it draws.
        threads: Of the methods that start their own; torch's are set elsewhere.

    Returns:
        Something with ``fit(X, y)`` and ``predict(X)``.
    """
    if method in _OURS:
        from lipschitz_rnn.estimators import LipschitzRNNClassifier

        return LipschitzRNNClassifier(unit=method, random_state=seed)
    if method == "minirocket":
        from aeon.classification.convolution_based import MiniRocketClassifier

        return MiniRocketClassifier(random_state=seed, n_jobs=threads)
    from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier

    return KNeighborsTimeSeriesClassifier(
        distance="dtw", distance_params={"window": DTW_BAND}, n_neighbors=1, n_jobs=threads
    )


def series_for(method: str, part: LabelledSeries) -> Any:
    """Series as a method takes them; what ``aeon`` may not know is interpolated, ends are held."""
    if method in _OURS:
        return part.series
    return np.stack([_interpolated(row) for row in part.values])[:, None]


def _interpolated(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """A series with straight lines through what is missing; its ends are held."""
    missing = np.isnan(row)
    if not missing.any():
        return row
    steps = np.arange(len(row))
    return np.where(missing, np.interp(steps, steps[~missing], row[~missing]), row)
