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


def _step_sizes(call: ScanCall) -> Sequence[float | Tensor]:
    """ε of every integrator step: T floats, or T tensors that broadcast against (B, H)."""
    if isinstance(call.step_size, float):
        return [call.step_size / call.substeps] * call.input.shape[0]
    steps = call.step_size.to(call.compute_dtype)
    # The shape comes before the division: torch gives a 0-dimensional tensor that meets a Python
    # number a tangent in float64, whatever its own dtype.
    if steps.dim() < 2:  # one for all, or one per time
        steps = steps.reshape(-1, 1).expand(call.input.shape[0], 1)
    return (steps.unsqueeze(-1) / call.substeps).unbind(0)  # T x (B, 1) or (1, 1)


def _project(call: ScanCall, input: Tensor, u: Tensor, b: Tensor | None) -> tuple[Tensor, ...]:
    """``U x_t + b`` for all t at once, as T tensors (B, H)."""
    # The loop walks over `unbind`: indexing `projected[t]` inside it would make autograd build a
    # full (T, B, H) gradient for every step, quadratic in T.
    dtype = call.compute_dtype
    bias = None if b is None else b.to(dtype)
    return functional.linear(input.to(dtype), u.to(dtype), bias).unbind(0)


def scan(call: ScanCall) -> tuple[Tensor | None, Tensor]:
    """States ``h_1 … h_T``, (T, B, H), if asked for, and the last one, by a loop over time."""
    h = call.h0.to(call.compute_dtype)
    matrices = stack_matrices(call.a, call.w).to(call.compute_dtype)
    # transforms know no checkpoints; they get the same numbers, and the memory they ask for
    segmented = call.memory == "recompute" and call.input.shape[0] > 3
    if segmented and torch.is_grad_enabled() and not is_transformed():
        states, h = _scan_in_segments(call, matrices, h)
    else:
        states, h = _loop(call, matrices, h, call.input, _step_sizes(call))
    last = h.to(call.h0.dtype)
    if call.output == "last":
        return None, last
    if not states:
        return call.h0.new_empty((0, *h.shape)), last
    return torch.stack(states).to(call.h0.dtype), last


def _loop(
    call: ScanCall, matrices: Tensor, h: Tensor, input: Tensor, steps: Sequence[float | Tensor]
) -> tuple[list[Tensor], Tensor]:
    """The states after each input, none of them kept if only the last is asked for."""
    projected = _project(call, input, call.u, call.b)
    gates: Sequence[Tensor | None] = [None] * len(projected)
    if call.u_gate is not None:
        gates = _project(call, input, call.u_gate, call.b_gate)
    states = []
    for z, z_gate, step_size in zip(projected, gates, steps, strict=True):

        def field(h: Tensor, z: Tensor = z, z_gate: Tensor | None = z_gate) -> Tensor:
            return vector_field(call, matrices, h, z, z_gate)

        for _ in range(call.substeps):
            h = explicit_step(call.tableau, field, h, step_size)
        if call.output == "all":
            states.append(h)
    return states, h


def _scan_in_segments(call: ScanCall, matrices: Tensor, h: Tensor) -> tuple[list[Tensor], Tensor]:
    """The same, holding for the backward pass only what one segment of about √T steps needs."""
    length = math.isqrt(call.input.shape[0])
    steps = _step_sizes(call)
    states: list[Tensor] = []
    for first, input in zip(
        range(0, len(steps), length), torch.split(call.input, length), strict=True
    ):
        part = steps[first : first + length]
        run = functools.partial(_loop, call, matrices)
        some, h = checkpoint(run, h, input, part, use_reentrant=False)
        states += some
    return states, h


def field_at_start(call: ScanCall) -> Tensor:
    """Right-hand side at ``h0`` under the first input, (B, H)."""
    gate = None if call.u_gate is None else _project(call, call.input, call.u_gate, call.b_gate)[0]
    matrices = stack_matrices(call.a, call.w).to(call.compute_dtype)
    h, z = call.h0.to(call.compute_dtype), _project(call, call.input, call.u, call.b)[0]
    return vector_field(call, matrices, h, z, gate).to(call.h0.dtype)
