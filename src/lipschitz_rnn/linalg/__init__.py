"""Matrices; knows nothing of recurrent networks."""

from lipschitz_rnn.linalg.balls import BallMatrix as BallMatrix
from lipschitz_rnn.linalg.definite import eigenvalue_lower_bound as eigenvalue_lower_bound
from lipschitz_rnn.linalg.definite import (
    is_certainly_positive_definite as is_certainly_positive_definite,
)
from lipschitz_rnn.linalg.definite import norm_upper_bound as norm_upper_bound
from lipschitz_rnn.linalg.qr import positive_qr as positive_qr
from lipschitz_rnn.linalg.scheme_spectrum import imaginary_bound as imaginary_bound
from lipschitz_rnn.linalg.scheme_spectrum import scheme_interval as scheme_interval
from lipschitz_rnn.linalg.spectral import log_norm as log_norm
from lipschitz_rnn.linalg.spectral import spectral_abscissa as spectral_abscissa
