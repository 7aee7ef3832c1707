"""Modules."""

from lipschitz_rnn.nn.cells import LipschitzRNNCell as LipschitzRNNCell
from lipschitz_rnn.nn.heads import LanguageModel as LanguageModel
from lipschitz_rnn.nn.heads import SequenceClassifier as SequenceClassifier
from lipschitz_rnn.nn.heads import SequenceRegressor as SequenceRegressor
from lipschitz_rnn.nn.layer import RecurrentLayer as RecurrentLayer
from lipschitz_rnn.nn.parametrizations import Positive as Positive
from lipschitz_rnn.nn.parametrizations import SymmetricSkew as SymmetricSkew
from lipschitz_rnn.nn.parametrizations import UnitInterval as UnitInterval
from lipschitz_rnn.nn.parametrizations import UnreachableMatrixError as UnreachableMatrixError
from lipschitz_rnn.nn.rnn import LipschitzRNN as LipschitzRNN
