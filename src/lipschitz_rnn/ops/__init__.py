"""The recurrence as pure functions."""

from lipschitz_rnn.ops.backend import Backend as Backend
from lipschitz_rnn.ops.backend import BackendChoice as BackendChoice
from lipschitz_rnn.ops.backend import available_backends as available_backends
from lipschitz_rnn.ops.backend import register_backend as register_backend
from lipschitz_rnn.ops.backend import use_backend as use_backend
from lipschitz_rnn.ops.buffers import release_memory as release_memory
from lipschitz_rnn.ops.call import ScanCall as ScanCall
from lipschitz_rnn.ops.library import explain_kernel as explain_kernel
from lipschitz_rnn.ops.library import use_variant as use_variant
from lipschitz_rnn.ops.library import variants as variants
from lipschitz_rnn.ops.native import NativeBackend as NativeBackend
from lipschitz_rnn.ops.nonlinearity import NONLINEARITIES as NONLINEARITIES
from lipschitz_rnn.ops.nonlinearity import Nonlinearity as Nonlinearity
from lipschitz_rnn.ops.scan import explain_backend as explain_backend
from lipschitz_rnn.ops.scan import gated_lipschitz_scan as gated_lipschitz_scan
from lipschitz_rnn.ops.scan import lipschitz_field as lipschitz_field
from lipschitz_rnn.ops.scan import lipschitz_scan as lipschitz_scan
from lipschitz_rnn.ops.tableau import EULER as EULER
from lipschitz_rnn.ops.tableau import HEUN as HEUN
from lipschitz_rnn.ops.tableau import MIDPOINT as MIDPOINT
from lipschitz_rnn.ops.tableau import RK4 as RK4
from lipschitz_rnn.ops.tableau import TABLEAUX as TABLEAUX
from lipschitz_rnn.ops.tableau import ButcherTableau as ButcherTableau
from lipschitz_rnn.ops.tableau import explicit_step as explicit_step

register_backend(NativeBackend())
