"""Modules."""

from lipschitz_rnn.nn.authors import load_authors_tensors as load_authors_tensors
from lipschitz_rnn.nn.cells import LipschitzRNNCell as LipschitzRNNCell
from lipschitz_rnn.nn.heads import LanguageModel as LanguageModel
from lipschitz_rnn.nn.heads import SequenceClassifier as SequenceClassifier
from lipschitz_rnn.nn.heads import SequenceRegressor as SequenceRegressor
from lipschitz_rnn.nn.layer import RecurrentLayer as RecurrentLayer
from lipschitz_rnn.nn.margins import logit_gains as logit_gains
from lipschitz_rnn.nn.margins import margin_logits as margin_logits
from lipschitz_rnn.nn.parametrizations import Positive as Positive
from lipschitz_rnn.nn.parametrizations import SymmetricSkew as SymmetricSkew
from lipschitz_rnn.nn.parametrizations import UnitInterval as UnitInterval
from lipschitz_rnn.nn.parametrizations import UnreachableMatrixError as UnreachableMatrixError
from lipschitz_rnn.nn.penalty import contraction_penalty as contraction_penalty
from lipschitz_rnn.nn.rnn import LipschitzRNN as LipschitzRNN
from lipschitz_rnn.nn.streamer import Streamer as Streamer
from lipschitz_rnn.nn.units.antisymmetric import AntisymmetricRNNCell as AntisymmetricRNNCell
from lipschitz_rnn.nn.units.cayley import CayleyRNNCell as CayleyRNNCell
from lipschitz_rnn.nn.units.cornn import CoRNNCell as CoRNNCell
from lipschitz_rnn.nn.units.exponential import ExponentialRNNCell as ExponentialRNNCell
from lipschitz_rnn.nn.units.gated import GatedLipschitzRNNCell as GatedLipschitzRNNCell
from lipschitz_rnn.nn.units.lem import LEMCell as LEMCell
from lipschitz_rnn.nn.units.noisy import NoisyLipschitzRNNCell as NoisyLipschitzRNNCell
from lipschitz_rnn.nn.units.registry import UNITS as UNITS
from lipschitz_rnn.nn.units.registry import make_layer as make_layer
from lipschitz_rnn.nn.units.registry import unit_options as unit_options
from lipschitz_rnn.nn.units.residual import ResidualRNNCell as ResidualRNNCell
