"""One validated call of the recurrence, as backends see it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import (
    require_choice,
    require_floating,
    require_in_range,
    require_positive_int,
    require_same,
    require_same_device,
    require_shape,
    require_square,
    require_tensor,
    values_are_visible,
)
from lipschitz_rnn.ops.nonlinearity import Nonlinearity, as_nonlinearity
from lipschitz_rnn.ops.tableau import ButcherTableau, as_tableau

LOW_PRECISION = (torch.float16, torch.bfloat16)

OUTPUTS = ("all", "last")
"""What a caller may ask for: every state, or the last one."""

MEMORIES = ("store", "recompute")
"""What is held for the backward pass: every state, or about the square root of as many."""


@dataclass(frozen=True, eq=False)
class ScanCall:
    """Arguments of one recurrence after validation; see ``lipschitz_scan`` for their meaning.

    Attributes:
        input: Shape (T, B, P).
        h0: Shape (B, H).
        a: Shape (H, H), or None for a unit without a linear term.
        w: Shape (H, H).
        u: Shape (H, P).
        b: Shape (H,), or None.
        step_size: A float, or a tensor of shape (), (T,) or (T, B).
        tableau: The integrator.
        nonlinearity: σ.
        substeps: Integrator steps per time step.
        u_gate: Input matrix of the gate, shape (H, P), or None for an ungated unit.
        b_gate: Bias of the gate, shape (H,), or None.
        output: One of OUTPUTS.
        memory: One of MEMORIES.
    """

    input: Tensor
    h0: Tensor
    a: Tensor | None
    w: Tensor
    u: Tensor
    b: Tensor | None
    step_size: float | Tensor
    tableau: ButcherTableau
    nonlinearity: Nonlinearity
    substeps: int
    u_gate: Tensor | None = None
    b_gate: Tensor | None = None
    output: str = "all"
    memory: str = "store"

    @property
    def compute_dtype(self) -> torch.dtype:
        """The dtype of the recurrence: that of the input, but float32 for half precision.

        An update of relative size ε disappears in bfloat16's 8 bits, so states are accumulated in
        float32 and rounded once, on output.
        """
        return torch.float32 if self.input.dtype in LOW_PRECISION else self.input.dtype


def _check_tensors(where: str, tensors: dict[str, Tensor | None]) -> None:
    for name, tensor in tensors.items():
        if tensor is not None:
            require_tensor(where, name, tensor)
            require_floating(where, name, tensor)
    input, h0 = tensors["input"], tensors["h0"]
    assert input is not None and h0 is not None  # for the type checker: make_call saw to it
    if input.dtype in LOW_PRECISION and h0.dtype == torch.float32:
        # In half precision the state may be carried in float32, the dtype it is accumulated in.
        tensors = tensors | {"h0": h0.to(input.dtype)}
    require_same(where, tensors)


def _check_shapes(where: str, tensors: dict[str, Tensor | None]) -> None:
    input, w = tensors["input"], tensors["w"]
    assert input is not None and w is not None  # for the type checker, as above
    require_shape(where, "input", input, (None, None, None), "(T, B, P)")
    require_square(where, "w", w)
    hidden = w.shape[0]
    vector, wide = ((hidden,), "(H,)"), ((hidden, input.shape[2]), "(H, P)")
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "h0": ((input.shape[1], hidden), "(B, H)"),
        "a": ((hidden, hidden), "(H, H)"),
        "u": wide,
        "b": vector,
        "u_gate": wide,
        "b_gate": vector,
    }
    for name, tensor in tensors.items():
        if tensor is not None and name in shapes:
            require_shape(where, name, tensor, *shapes[name])


def _check_step(where: str, step_size: float | Tensor, input: Tensor) -> float | Tensor:
    if not isinstance(step_size, Tensor):
        require_in_range(where, "step_size", step_size, 0.0)
        return float(step_size)
    require_floating(where, "step_size", step_size)
    steps, batch = input.shape[:2]
    if step_size.shape not in ((), (steps,), (steps, batch)):
        raise ValueError(
            f"{where}: expected `step_size` to be a float or of shape (), (T,) = ({steps},) "
            f"or (T, B) = ({steps}, {batch}), got {tuple(step_size.shape)}."
        )
    require_same_device(where, {"input": input, "step_size": step_size})
    # `inf < inf` and every comparison with NaN are false
    if values_are_visible(step_size) and not bool(
        ((step_size >= 0) & (step_size < math.inf)).all()
    ):
        low, high = step_size.min().item(), step_size.max().item()
        raise ValueError(
            f"{where}: expected a finite `step_size` >= 0, got values from {low} to {high}. "
            "Time stamps must not decrease."
        )
    return step_size


def make_call(
    where: str,
    tensors: dict[str, Tensor | None],
    *,
    step_size: float | Tensor,
    method: str | ButcherTableau,
    nonlinearity: str | Nonlinearity,
    substeps: int,
    output: str = "all",
    memory: str = "store",
) -> ScanCall:
    """Check the arguments of an op and bundle them.

    ``tensors`` holds input, h0, a, w, u, b and, for a gated unit, u_gate and b_gate.

    Returns:
        The call. Under ``torch.autocast`` its half-precision tensors have been raised to float32.

    Raises:
        TypeError: If an argument is not a floating-point tensor or dtypes differ.
        ValueError: If shapes, devices or values do not fit.
    """
    for name in ("input", "h0", "w", "u"):  # the rest may be None
        require_tensor(where, name, tensors[name])
    input = tensors["input"]
    assert input is not None  # for the type checker: checked just above
    if autocast_is_on(input.device):
        tensors = {name: _raised(tensor) for name, tensor in tensors.items()}
    _check_tensors(where, tensors)
    _check_shapes(where, tensors)
    require_positive_int(where, "substeps", substeps)
    require_choice(where, "output", output, OUTPUTS)
    require_choice(where, "memory", memory, MEMORIES)
    return ScanCall(
        **tensors,  # type: ignore[arg-type]  # which of them may be None was checked above
        step_size=_check_step(where, step_size, input),
        tableau=as_tableau(where, method),
        nonlinearity=as_nonlinearity(where, nonlinearity),
        substeps=substeps,
        output=output,
        memory=memory,
    )


def autocast_is_on(device: torch.device) -> bool:
    """Whether ``torch.autocast`` is in force for a device."""
    # Asking outright raises for devices that have no autocast, such as `meta`.
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def _raised(tensor: Tensor | None) -> Tensor | None:
    return tensor.float() if tensor is not None and tensor.dtype in LOW_PRECISION else tensor
