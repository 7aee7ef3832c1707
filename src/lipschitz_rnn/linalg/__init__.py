"""Matrices; knows nothing of recurrent networks."""

from lipschitz_rnn.linalg.spectral import log_norm as log_norm
from lipschitz_rnn.linalg.spectral import spectral_abscissa as spectral_abscissa
