"""Lipschitz recurrent neural networks for PyTorch."""

from importlib.metadata import version as _version

from lipschitz_rnn.nn import LanguageModel as LanguageModel
from lipschitz_rnn.nn import LipschitzRNN as LipschitzRNN
from lipschitz_rnn.nn import LipschitzRNNCell as LipschitzRNNCell
from lipschitz_rnn.nn import RecurrentLayer as RecurrentLayer
from lipschitz_rnn.nn import SequenceClassifier as SequenceClassifier
from lipschitz_rnn.nn import SequenceRegressor as SequenceRegressor
from lipschitz_rnn.nn import SymmetricSkew as SymmetricSkew
from lipschitz_rnn.ops import lipschitz_scan as lipschitz_scan
from lipschitz_rnn.ops import use_backend as use_backend

__version__ = _version("lipschitz-rnn")
