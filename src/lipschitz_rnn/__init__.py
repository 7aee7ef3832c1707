"""Lipschitz recurrent neural networks for PyTorch."""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from lipschitz_rnn import analysis as analysis
    from lipschitz_rnn import benchmarks as benchmarks
    from lipschitz_rnn import data as data
    from lipschitz_rnn import estimators as estimators
    from lipschitz_rnn import experiments as experiments
    from lipschitz_rnn import export as export
    from lipschitz_rnn import linalg as linalg
    from lipschitz_rnn import nn as nn
    from lipschitz_rnn import ops as ops
    from lipschitz_rnn import report as report
    from lipschitz_rnn import training as training
    from lipschitz_rnn.estimators import LipschitzRNNClassifier as LipschitzRNNClassifier
    from lipschitz_rnn.estimators import LipschitzRNNForecaster as LipschitzRNNForecaster
    from lipschitz_rnn.estimators import LipschitzRNNRegressor as LipschitzRNNRegressor
    from lipschitz_rnn.nn import LanguageModel as LanguageModel
    from lipschitz_rnn.nn import LipschitzRNN as LipschitzRNN
    from lipschitz_rnn.nn import LipschitzRNNCell as LipschitzRNNCell
    from lipschitz_rnn.nn import RecurrentLayer as RecurrentLayer
    from lipschitz_rnn.nn import SequenceClassifier as SequenceClassifier
    from lipschitz_rnn.nn import SequenceRegressor as SequenceRegressor
    from lipschitz_rnn.nn import Streamer as Streamer
    from lipschitz_rnn.nn import SymmetricSkew as SymmetricSkew
    from lipschitz_rnn.ops import lipschitz_scan as lipschitz_scan
    from lipschitz_rnn.ops import use_backend as use_backend

__version__ = _version("lipschitz-rnn")

__all__ = [
    "LanguageModel",
    "LipschitzRNN",
    "LipschitzRNNCell",
    "LipschitzRNNClassifier",
    "LipschitzRNNForecaster",
    "LipschitzRNNRegressor",
    "RecurrentLayer",
    "SequenceClassifier",
    "SequenceRegressor",
    "Streamer",
    "SymmetricSkew",
    "lipschitz_scan",
    "use_backend",
]

_HOMES = dict.fromkeys(__all__, "nn") | {
    "LipschitzRNNClassifier": "estimators",
    "LipschitzRNNForecaster": "estimators",
    "LipschitzRNNRegressor": "estimators",
    "lipschitz_scan": "ops",
    "use_backend": "ops",
}
_PACKAGES = (
    "analysis",
    "benchmarks",
    "data",
    "estimators",
    "experiments",
    "export",
    "linalg",
    "nn",
    "ops",
    "report",
    "training",
)


if not _TYPE_CHECKING:  # a checker that sees these believes in every name

    def __getattr__(name: str) -> object:
        """Import what is named: torch takes a second, and a shell asks at each Tab."""
        if name in _PACKAGES:
            return _import_module(f"{__name__}.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(_import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES, *_PACKAGES})
