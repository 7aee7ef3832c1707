"""Lipschitz recurrent neural networks for PyTorch."""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING as _TYPE_CHECKING

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

if _TYPE_CHECKING:
    from lipschitz_rnn.estimators import LipschitzRNNClassifier as LipschitzRNNClassifier
    from lipschitz_rnn.estimators import LipschitzRNNForecaster as LipschitzRNNForecaster
    from lipschitz_rnn.estimators import LipschitzRNNRegressor as LipschitzRNNRegressor

__version__ = _version("lipschitz-rnn")

_ESTIMATORS = ("LipschitzRNNClassifier", "LipschitzRNNForecaster", "LipschitzRNNRegressor")


def __getattr__(name: str) -> object:
    """The estimators, whose import takes a second: scikit-learn is imported when one is named."""
    if name not in _ESTIMATORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lipschitz_rnn import estimators

    found: object = getattr(estimators, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_ESTIMATORS})
