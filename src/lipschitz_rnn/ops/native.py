"""The native backend: the whole recurrence, forward and adjoint, in one call of the library."""

import math

import torch
from torch import Tensor

from lipschitz_rnn.ops import library
from lipschitz_rnn.ops.call import ScanCall
from lipschitz_rnn.ops.library import Missing
from lipschitz_rnn.ops.native_call import METHODS, SUFFIX
from lipschitz_rnn.ops.native_ops import scan
from lipschitz_rnn.ops.nonlinearity import NONLINEARITIES
from lipschitz_rnn.ops.tableau import EULER
from lipschitz_rnn.ops.transforms import is_transformed

# For the last state alone, midpoint, and Euler with learned steps, keep every so manieth state, and
# compute what lies between once more: keeping all that their backward pass reads would take two or
# three arrays the size of all states.
_RECOMPUTED_STRIDE = 16


class NativeBackend:
    """The kernel in ``csrc/``: Euler and midpoint steps with tanh, on the CPU."""

    name = "native"
    priority = 10

    def unsupported_reasons(self, call: ScanCall) -> tuple[str, ...]:
        """Why the kernel cannot run the call, a sentence each; empty if it can."""
        if isinstance(library.library, Missing):
            return (library.library.reason,)
        supported = ", ".join(tableau.name for tableau in METHODS)
        refusals = (
            (
                call.input.device.type != "cpu",
                f"device is {call.input.device.type}; supported: cpu",
            ),
            (
                call.compute_dtype not in SUFFIX,
                f"dtype is {call.input.dtype}; supported: float32, float64, and half by float32",
            ),
            (
                call.tableau not in METHODS,
                f"method is {call.tableau.name!r}; supported: {supported}",
            ),
            (
                call.nonlinearity is not NONLINEARITIES["tanh"],
                f"nonlinearity is {call.nonlinearity.name!r}; supported: 'tanh'",
            ),
            (call.substeps != 1, f"substeps is {call.substeps}; supported: 1"),
            (call.u_gate is not None, "the unit is gated"),
            (is_transformed(), "a functorch transform or forward-mode differentiation is active"),
            (not call.h0.numel() or not call.input.shape[0], "there is nothing to compute"),
        )
        return tuple(reason for refused, reason in refusals if refused)

    def scan(self, call: ScanCall) -> tuple[Tensor | None, Tensor]:
        """All states if asked for, and the last one."""
        dtype, steps = call.compute_dtype, call.input.shape[0]
        step_size, step_sizes = _split_steps(call.step_size, steps, dtype)
        stride, keep_tanhs = _what_to_keep(call)
        arguments = (call.input, call.h0, call.a, call.w, call.u, call.b)
        states, last, _ = scan(
            *(None if x is None else x.to(dtype).contiguous() for x in arguments),
            step_sizes,
            step_size,
            METHODS[call.tableau],
            stride,
            keep_tanhs,
        )
        given = call.h0.dtype
        return (states.to(given) if call.output == "all" else None), last.to(given)


def _split_steps(
    step_size: float | Tensor, steps: int, dtype: torch.dtype
) -> tuple[float, Tensor | None]:
    """A number for all steps, or a table (T,) or (T, B)."""
    if not isinstance(step_size, Tensor):
        return step_size, None
    table = step_size.to(dtype)
    return 0.0, (table.expand(steps) if table.dim() == 0 else table).contiguous()


def _what_to_keep(call: ScanCall) -> tuple[int, bool]:
    """The stride of the states to keep, and whether to keep the tanhs of every step."""
    steps = call.input.shape[0]
    tensors = (call.input, call.h0, call.a, call.w, call.u, call.b)
    learns = torch.is_grad_enabled() and not torch.compiler.is_exporting()
    # an exported program is for inference; who trains it all the same has states computed once more
    learns_steps = learns and isinstance(call.step_size, Tensor) and call.step_size.requires_grad
    trains = learns_steps or (learns and any(x is not None and x.requires_grad for x in tensors))
    stored = trains and call.memory == "store"
    # the gradient of the steps is taken of slopes, which are computed once more, tanhs and all
    tanhs = stored and call.tableau == EULER and not learns_steps
    if call.output == "all":
        return 1, tanhs
    if not trains:
        return steps + 1, False
    if not stored:
        return max(1, math.isqrt(steps)), False
    return (1, True) if tanhs else (min(_RECOMPUTED_STRIDE, steps), False)
