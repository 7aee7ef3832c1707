"""The public ops: one recurrence over a whole sequence."""

import contextlib
from typing import Any

import torch
from torch import Tensor

from lipschitz_rnn.ops import backend as backends
from lipschitz_rnn.ops import reference
from lipschitz_rnn.ops.backend import BackendChoice
from lipschitz_rnn.ops.call import autocast_is_on, make_call
from lipschitz_rnn.ops.nonlinearity import Nonlinearity
from lipschitz_rnn.ops.tableau import ButcherTableau


def _autocast_off(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Keep autocast from rounding the products inside the recurrence to half precision."""
    on = autocast_is_on(device)
    return torch.autocast(device.type, enabled=False) if on else contextlib.nullcontext()


def scan_both(
    where: str, tensors: dict[str, Tensor | None], *, backend: str = "auto", **options: Any
) -> tuple[Tensor | None, Tensor]:
    """All states, or None where ``output`` is "last", and the last one; arguments as the ops'."""
    call = make_call(where, tensors, **options)
    with _autocast_off(call.input.device):
        if call.u_gate is not None:
            return reference.scan(call)
        return backends.run(where, call, backend)


def lipschitz_scan(
    input: Tensor,
    h0: Tensor,
    a: Tensor | None,
    w: Tensor,
    u: Tensor,
    b: Tensor | None,
    *,
    step_size: float | Tensor,
    method: str | ButcherTableau = "euler",
    nonlinearity: str | Nonlinearity = "tanh",
    substeps: int = 1,
    output: str = "all",
    memory: str = "store",
    backend: str = "auto",
) -> Tensor:
    r"""Run the Lipschitz recurrence over a sequence and return every state.

    .. math::
        \dot h = A h + \sigma(W h + U x_t + b), \qquad t = 1, \dots, T

    with the input held over each step of length :math:`\varepsilon_t`; the forward Euler step is
    :math:`h_t = h_{t-1} + \varepsilon_t \bigl(A h_{t-1} + \sigma(W h_{t-1} + U x_t + b)\bigr)`.

    Differentiable any number of times, in reverse and forward mode, with respect to every tensor,
    ``step_size`` included; works under ``torch.func`` transforms and ``torch.compile``.

    Args:
        input: The sequence, time first.
        h0: Initial state.
        a: Linear state matrix A, or None to leave the linear term out.
        w: Recurrent matrix W inside the nonlinearity.
        u: Input matrix U.
        b: Bias b, or None.
        step_size: ε in units of time: a float, or a tensor with one value for all steps, one per
            step, or one per step and sample. Must be finite and not negative.
        method: Integrator: ``"euler"``, ``"midpoint"``, ``"heun"``, ``"rk4"`` or a
            :class:`ButcherTableau`.
        nonlinearity: σ: ``"tanh"``, ``"relu"``, ``"sigmoid"``, ``"softplus"``, ``"sine"``,
            ``"identity"`` or a :class:`Nonlinearity`.
        substeps: Integrator steps of size ``step_size / substeps`` taken per time step.
        output: ``"all"`` for every state, ``"last"`` for the last one, which takes no memory that
            grows with T when nothing is differentiated.
        memory: What is held for the backward pass: ``"store"`` every state, ``"recompute"`` about
            the square root of as many, the rest being computed once more: a third more work.
        backend: ``"auto"``, or the name of the backend that must run the call.

    Shape:
        - input: (T, B, P)
        - h0: (B, H)
        - a, w: (H, H); u: (H, P); b: (H,)
        - step_size: (), (T,) or (T, B)
        - Output: (T, B, H), the states :math:`h_1, \dots, h_T`, or (B, H) with ``output="last"``

    Note:
        Precision. All tensors share one dtype. In float16 and bfloat16 the recurrence is carried
        out in float32, because an update of relative size ε is lost in 8 bits, and each state is
        rounded once, on output; with a float32 ``h0`` the states are float32 too and not rounded.
        Under ``torch.autocast`` the whole op runs, and returns, in float32. The values of
        ``step_size`` are checked where that is free: on the CPU, outside ``torch.compile`` and
        functorch.

    Returns:
        The states, or the last one, in the dtype of ``h0``.

    Raises:
        TypeError: If an argument is not a floating-point tensor, or dtypes differ.
        ValueError: If shapes, devices or values do not fit, a name is unknown, or the backend asked
            for refuses.

    Examples:
        >>> h = lipschitz_scan(  # dh/dt = -h + 1 from 0, so h -> 1
        ...     torch.ones(500, 1, 1), torch.zeros(1, 1), -torch.eye(1), torch.zeros(1, 1),
        ...     torch.ones(1, 1), None, step_size=0.02, method="rk4", nonlinearity="identity")
        >>> bool(torch.isclose(h[-1, 0, 0], 1 - torch.exp(torch.tensor(-10.0))))
        True

    References:
        Erichson, Azencot, Queiruga, Hodgkinson, Mahoney (2021), Lipschitz Recurrent Neural
        Networks, ICLR.
    """
    states, last = scan_both(
        "lipschitz_scan",
        {"input": input, "h0": h0, "a": a, "w": w, "u": u, "b": b},
        backend=backend,
        step_size=step_size,
        method=method,
        nonlinearity=nonlinearity,
        substeps=substeps,
        output=output,
        memory=memory,
    )
    return last if states is None else states


def gated_lipschitz_scan(
    input: Tensor,
    h0: Tensor,
    a: Tensor | None,
    w: Tensor,
    u: Tensor,
    b: Tensor | None,
    u_gate: Tensor,
    b_gate: Tensor | None,
    *,
    step_size: float | Tensor,
    method: str | ButcherTableau = "euler",
    nonlinearity: str | Nonlinearity = "tanh",
    substeps: int = 1,
) -> Tensor:
    r"""The gated variant of :func:`lipschitz_scan`; always on the reference path.

    .. math::
        \dot h = \bigl(A h + \sigma(W h + U x_t + b)\bigr) \circ \mathrm{sigmoid}(W h + U_g x_t +
        b_g)

    The gate shares W with the body and multiplies the linear term too.

    Args:
        input: As in :func:`lipschitz_scan`, and so are all arguments not listed here.
        h0: Initial state.
        a: Linear state matrix A, or None.
        w: Recurrent matrix W of body and gate.
        u: Input matrix U.
        b: Bias b, or None.
        u_gate: Input matrix of the gate, shape (H, P).
        b_gate: Bias of the gate, shape (H,), or None.
        step_size: ε.
        method: Integrator.
        nonlinearity: σ of the body; the gate is a logistic sigmoid always.
        substeps: Integrator steps per time step.

    Returns:
        The states, shape (T, B, H).

    Raises:
        TypeError: As :func:`lipschitz_scan`.
        ValueError: As :func:`lipschitz_scan`.
    """
    tensors = {"input": input, "h0": h0, "a": a, "w": w, "u": u, "b": b}
    tensors = tensors | {"u_gate": u_gate, "b_gate": b_gate}
    states, _ = scan_both(
        "gated_lipschitz_scan",
        tensors,
        step_size=step_size,
        method=method,
        nonlinearity=nonlinearity,
        substeps=substeps,
    )
    assert states is not None  # for the type checker: the call asks for all
    return states


def lipschitz_field(
    input: Tensor,
    h: Tensor,
    a: Tensor | None,
    w: Tensor,
    u: Tensor,
    b: Tensor | None,
    u_gate: Tensor | None = None,
    b_gate: Tensor | None = None,
    *,
    nonlinearity: str | Nonlinearity = "tanh",
) -> Tensor:
    r"""Right-hand side of the unit, gated if ``u_gate`` is given.

    .. math:: \dot h = A h + \sigma(W h + U x + b)

    Args:
        input: x, shape (B, P).
        h: State, shape (B, H).
        a: As in :func:`lipschitz_scan`, and so are the others.
        w: Recurrent matrix.
        u: Input matrix.
        b: Bias, or None.
        u_gate: As in :func:`gated_lipschitz_scan`, or None for no gate.
        b_gate: Bias of the gate, or None.
        nonlinearity: σ.

    Returns:
        dh/dt, shape (B, H).

    Raises:
        TypeError: As :func:`lipschitz_scan`.
        ValueError: As :func:`lipschitz_scan`.
    """
    tensors = {"input": input.unsqueeze(0), "h0": h, "a": a, "w": w, "u": u, "b": b}
    call = make_call(
        "lipschitz_field",
        tensors | {"u_gate": u_gate, "b_gate": b_gate},
        step_size=0.0,
        method="euler",
        nonlinearity=nonlinearity,
        substeps=1,
    )
    with _autocast_off(input.device):
        return reference.field_at_start(call)


def explain_backend(
    input: Tensor,
    h0: Tensor,
    a: Tensor | None,
    w: Tensor,
    u: Tensor,
    b: Tensor | None,
    *,
    step_size: float | Tensor,
    method: str | ButcherTableau = "euler",
    nonlinearity: str | Nonlinearity = "tanh",
    substeps: int = 1,
    backend: str = "auto",
) -> BackendChoice:
    """Say which backend would run :func:`lipschitz_scan` with these arguments, and why.

    Returns:
        The choice; ``refused`` maps the name of each backend that refused to its reasons.

    Raises:
        TypeError: As :func:`lipschitz_scan` does.
        ValueError: Likewise: also if the backend asked for is unknown or refuses the call.
    """
    call = make_call(
        "explain_backend",
        {"input": input, "h0": h0, "a": a, "w": w, "u": u, "b": b},
        step_size=step_size,
        method=method,
        nonlinearity=nonlinearity,
        substeps=substeps,
    )
    return backends.choose_backend("explain_backend", call, backend)
