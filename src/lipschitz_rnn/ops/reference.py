"""The specification: the recurrence in plain PyTorch.

Differentiable any number of times, in either mode. Every kernel is an acceleration of this file
and is held to it.
"""

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from lipschitz_rnn.ops.call import ScanCall
from lipschitz_rnn.ops.exported import fold
from lipschitz_rnn.ops.tableau import explicit_step
from lipschitz_rnn.ops.transforms import is_transformed


def stack_matrices(a: Tensor | None, w: Tensor) -> Tensor:
    """``[Aᵀ | Wᵀ]``, shape (H, 2H), or ``Wᵀ``, shape (H, H), without a linear term."""
    return (w if a is None else torch.cat((a, w))).mT


def vector_field(
    call: ScanCall, matrices: Tensor, h: Tensor, z: Tensor, z_gate: Tensor | None = None
) -> Tensor:
    """``(A h + σ(W h + z)) ∘ sigmoid(W h + z_gate)`` for rows ``h``: (B, H); one product, A | W."""
    product = h @ matrices  # (B, 2H), or (B, H) without a linear term
    # chunk, not two slices: the backward of a slice fills a whole (B, 2H) with zeros, of each
    linear, recurrent = (None, product) if call.a is None else product.chunk(2, -1)
    slope = call.nonlinearity.function(recurrent + z)
    slope = slope if linear is None else linear + slope
    return slope if z_gate is None else slope * torch.sigmoid(recurrent + z_gate)


def _step_sizes(call: ScanCall) -> float | Tensor:
    """ε of every integrator step: a number for all, or (T, B, 1) or (T, 1, 1)."""
    if isinstance(call.step_size, float):
        return call.step_size / call.substeps
    steps = call.step_size.to(call.compute_dtype)
    # The shape comes before the division: torch gives a 0-dimensional tensor that meets a Python
    # number a tangent in float64, whatever its own dtype.
    if steps.dim() < 2:  # one for all, or one per time
        steps = steps.reshape(-1, 1).expand(call.input.shape[0], 1)
    return steps.unsqueeze(-1) / call.substeps


def project(call: ScanCall, input: Tensor, u: Tensor, b: Tensor | None) -> Tensor:
    """``U x_t + b`` for all t at once, (T, B, H)."""
    dtype = call.compute_dtype
    bias = None if b is None else b.to(dtype)
    return functional.linear(input.to(dtype), u.to(dtype), bias)


def scan(call: ScanCall) -> tuple[Tensor | None, Tensor]:
    """States ``h_1 … h_T``, (T, B, H), if asked for, and the last one, by a loop over time."""
    h = call.h0.to(call.compute_dtype)
    matrices = stack_matrices(call.a, call.w).to(call.compute_dtype)
    # transforms know no checkpoints; they get the same numbers, and the memory they ask for
    segmented = call.memory == "recompute" and call.input.shape[0] > 3
    if torch.compiler.is_exporting():
        return _fold(call, matrices, h)
    if segmented and torch.is_grad_enabled() and not is_transformed():
        states, h = _scan_in_segments(call, matrices, h)
    else:
        steps = _each(_step_sizes(call), call.input.shape[0])
        states, h = _loop(call, matrices, h, call.input, steps)
    last = h.to(call.h0.dtype)
    if call.output == "last":
        return None, last
    if not states:
        return call.h0.new_empty((0, *h.shape)), last
    return torch.stack(states).to(call.h0.dtype), last


def _each(steps: float | Tensor, count: int) -> Sequence[float | Tensor]:
    """ε of every integrator step as T numbers, or T tensors that broadcast against (B, H)."""
    return [steps] * count if isinstance(steps, float) else steps.unbind(0)


def advance(
    call: ScanCall,
    matrices: Tensor,
    h: Tensor,
    z: Tensor,
    z_gate: Tensor | None,
    step_size: float | Tensor,
) -> Tensor:
    """The state one input later."""

    def field(h: Tensor) -> Tensor:
        return vector_field(call, matrices, h, z, z_gate)

    for _ in range(call.substeps):
        h = explicit_step(call.tableau, field, h, step_size)
    return h


def _loop(
    call: ScanCall, matrices: Tensor, h: Tensor, input: Tensor, steps: Sequence[float | Tensor]
) -> tuple[list[Tensor], Tensor]:
    """The states after each input, none of them kept if only the last is asked for."""
    # The loop walks over `unbind`: indexing `projected[t]` inside it would make autograd build a
    # full (T, B, H) gradient for every step, quadratic in T.
    projected = project(call, input, call.u, call.b).unbind(0)
    gates: Sequence[Tensor | None] = [None] * len(projected)
    if call.u_gate is not None:
        gates = project(call, input, call.u_gate, call.b_gate).unbind(0)
    states = []
    for z, z_gate, step_size in zip(projected, gates, steps, strict=True):
        h = advance(call, matrices, h, z, z_gate, step_size)
        if call.output == "all":
            states.append(h)
    return states, h


def _scan_in_segments(call: ScanCall, matrices: Tensor, h: Tensor) -> tuple[list[Tensor], Tensor]:
    """The same, holding for the backward pass only what one segment of about √T steps needs."""
    length = math.isqrt(call.input.shape[0])
    steps = _each(_step_sizes(call), call.input.shape[0])
    states: list[Tensor] = []
    for first, input in zip(
        range(0, len(steps), length), torch.split(call.input, length), strict=True
    ):
        part = steps[first : first + length]
        run = functools.partial(_loop, call, matrices)
        some, h = checkpoint(run, h, input, part, use_reentrant=False)
        states += some
    return states, h


def _fold(call: ScanCall, matrices: Tensor, h: Tensor) -> tuple[Tensor | None, Tensor]:
    """The loop as one operator, for a program that is exported."""
    z, z_gate = project(call, call.input, call.u, call.b), None
    if call.u_gate is not None:
        z_gate = project(call, call.input, call.u_gate, call.b_gate)
    steps = _step_sizes(call)
    table = steps if isinstance(steps, Tensor) else None

    def step(h: Tensor, inputs: tuple[Tensor | None, ...]) -> Tensor:
        z, z_gate, own = inputs
        assert z is not None  # for the type checker: there is an input
        return advance(call, matrices, h, z, z_gate, steps if own is None else own)

    states, last = fold(step, h, (z, z_gate, table))
    last = last.to(call.h0.dtype)
    return (states.to(call.h0.dtype) if call.output == "all" else None), last


def field_at_start(call: ScanCall) -> Tensor:
    """Right-hand side at ``h0`` under the first input, (B, H)."""
    gate = None if call.u_gate is None else project(call, call.input, call.u_gate, call.b_gate)[0]
    matrices = stack_matrices(call.a, call.w).to(call.compute_dtype)
    h, z = call.h0.to(call.compute_dtype), project(call, call.input, call.u, call.b)[0]
    return vector_field(call, matrices, h, z, gate).to(call.h0.dtype)
