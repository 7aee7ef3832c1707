"""The equations of the units once more: plain loops in float64, from the free parameters on."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from lipschitz_rnn.nn import (
    AntisymmetricRNNCell,
    CayleyRNNCell,
    CoRNNCell,
    ExponentialRNNCell,
    GatedLipschitzRNNCell,
    LEMCell,
    NoisyLipschitzRNNCell,
    ResidualRNNCell,
)

P, H = 2, 5
EYE = torch.eye(H, dtype=torch.float64)


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def skew(entries):
    """L - Lᵀ, the entries of L taken row by row."""
    lower = [[entries.new_zeros(())] * H for _ in range(H)]
    left = list(entries)
    for row in range(H):
        for column in range(row):
            lower[row][column] = left.pop(0)
    low = torch.stack([torch.stack(row) for row in lower])
    return low - low.T


def exponential(a):
    """The power series; the norm of ``a`` is a few units, so 60 terms are plenty."""
    total = term = EYE
    for k in range(1, 60):
        term = term @ a / k
        total = total + term
    return total


def symmetric_skew(m, beta, gamma):
    return (1 - beta) * (m + m.T) + beta * (m - m.T) - gamma * EYE


def free(parameters, name):
    return parameters[f"parametrizations.{name}.original"]


def walk(step, input, state, times):
    """States after each input; ``step(x, state, dt)`` with dt (B, 1)."""
    states = []
    for t in range(len(input)):
        state = step(input[t], state, times[t].unsqueeze(-1))
        states.append(state)
    return states


def euler(rate, size):
    """A loop of Euler steps of ``rate(parameters, x, state)``."""

    def loop(parameters, input, state, times):
        def step(x, state, dt):
            slopes = rate(parameters, x, state)
            return tuple(h + size * dt * f for h, f in zip(state, slopes, strict=True))

        return walk(step, input, state, times)

    return loop


def midpoint(rate, size, substeps):
    def loop(parameters, input, state, times):
        def step(x, state, dt):
            (h,) = state
            for _ in range(substeps):
                half = h + size * dt / substeps / 2 * rate(parameters, x, (h,))[0]
                h = h + size * dt / substeps * rate(parameters, x, (half,))[0]
            return (h,)

        return walk(step, input, state, times)

    return loop


def residual_rate(p, x, state):
    (h,) = state
    return (torch.tanh(h @ p["weight_hh"].T + x @ p["weight_ih"].T + p["bias"]),)


def antisymmetric_rate(p, x, state):
    (h,) = state
    w = skew(free(p, "weight_hh")) - 0.3 * EYE
    return (torch.tanh(h @ w.T + x @ p["weight_ih"].T + p["bias"]),)


def antisymmetric_gated_rate(p, x, state):
    (h,) = state
    w = skew(free(p, "weight_hh")) - 0.3 * EYE
    gate = torch.sigmoid(h @ w.T + x @ p["weight_gate"].T + p["bias_gate"])
    return (antisymmetric_rate(p, x, state)[0] * gate,)


def gated_rate(p, x, state):
    (h,) = state
    a = symmetric_skew(free(p, "weight_a"), 0.7, 0.2)
    w = symmetric_skew(free(p, "weight_hh"), 0.6, 0.2)
    body = h @ a.T + torch.tanh(h @ w.T + x @ p["weight_ih"].T + p["bias"])
    return (body * torch.sigmoid(h @ w.T + x @ p["weight_gate"].T + p["bias_gate"]),)


def noisy_rate(p, x, state):
    (h,) = state
    a = symmetric_skew(free(p, "weight_a"), 0.7, 0.2)
    w = symmetric_skew(free(p, "weight_hh"), 0.6, 0.2)
    return (h @ a.T + torch.tanh(h @ w.T + x @ p["weight_ih"].T + p["bias"]),)


def noisy_loop(p, input, state, times):
    d = torch.log1p(torch.exp(free(p, "step_size")))

    def step(x, state, dt):
        return (state[0] + d * dt * noisy_rate(p, x, state)[0],)

    return walk(step, input, state, times)


def cayley_loop(p, input, state, times):
    k = skew(free(p, "weight_hh"))
    w = torch.linalg.inv(EYE + k) @ (EYE - k)

    def step(x, state, dt):
        return (torch.tanh(state[0] @ w.T + x @ p["weight_ih"].T + p["bias"]),)

    return walk(step, input, state, times)


def exponential_loop(p, input, state, times):
    w = exponential(skew(free(p, "weight_hh")))

    def step(x, state, dt):
        z = state[0] @ w.T + x @ p["weight_ih"].T
        return (torch.where(z > 0, 1.0, -1.0) * torch.clamp(z.abs() + p["bias"], min=0),)

    return walk(step, input, state, times)


def exponential_tanh_loop(p, input, state, times):
    w = exponential(skew(free(p, "weight_hh")))

    def step(x, state, dt):
        return (torch.tanh(state[0] @ w.T + x @ p["weight_ih"].T + p["bias"]),)

    return walk(step, input, state, times)


def cornn_rate(p, x, state):
    y, z = state
    inside = y @ p["weight_hh"].T + z @ p["weight_zh"].T + x @ p["weight_ih"].T + p["bias"]
    return z, torch.tanh(inside) - 1.5 * y - 0.5 * z


def cornn_loop(p, input, state, times):
    def step(x, state, dt):
        y, z = state
        z = z + 0.2 * dt * cornn_rate(p, x, (y, z))[1]
        return y + 0.2 * dt * z, z

    return walk(step, input, state, times)


def lem_parts(p):
    names = ("1", "2", "z")
    w = dict(zip(names, p["weight_hh"].split(H), strict=True)) | {"y": p["weight_zh"]}
    v = dict(zip((*names, "y"), p["weight_ih"].split(H), strict=True))
    b = dict(zip((*names, "y"), p["bias"].split(H), strict=True))
    return lambda name, x, h: h @ w[name].T + x @ v[name].T + b[name]


def lem_rate(p, x, state):
    (y, z), affine = state, lem_parts(p)
    dy = torch.sigmoid(affine("2", x, y)) * (torch.tanh(affine("y", x, z)) - y)
    dz = torch.sigmoid(affine("1", x, y)) * (torch.tanh(affine("z", x, y)) - z)
    return dy, dz


def lem_loop(p, input, state, times):
    affine = lem_parts(p)

    def step(x, state, dt):
        y, z = state
        dt1 = 0.6 * dt * torch.sigmoid(affine("1", x, y))
        dt2 = 0.6 * dt * torch.sigmoid(affine("2", x, y))
        z = (1 - dt1) * z + dt1 * torch.tanh(affine("z", x, y))
        y = (1 - dt2) * y + dt2 * torch.tanh(affine("y", x, z))
        return y, z

    return walk(step, input, state, times)


@dataclass(frozen=True)
class Case:
    """A cell, options that differ from its defaults, and the equation with those options."""

    kind: type
    loop: Callable
    options: dict = field(default_factory=dict)
    timed: bool = True
    field: Callable | None = None


SKEWED = {"beta_a": 0.7, "beta_w": 0.6, "gamma": 0.2}
CASES = {
    "residual": Case(
        ResidualRNNCell, euler(residual_rate, 0.2), {"step_size": 0.2}, field=residual_rate
    ),
    "residual midpoint": Case(
        ResidualRNNCell,
        midpoint(residual_rate, 0.2, 2),
        {"step_size": 0.2, "method": "midpoint", "substeps": 2},
        field=residual_rate,
    ),
    "antisymmetric": Case(
        AntisymmetricRNNCell,
        euler(antisymmetric_rate, 0.2),
        {"gamma": 0.3, "step_size": 0.2},
        field=antisymmetric_rate,
    ),
    "antisymmetric-gated": Case(
        AntisymmetricRNNCell,
        euler(antisymmetric_gated_rate, 0.2),
        {"gamma": 0.3, "step_size": 0.2, "gated": True},
        field=antisymmetric_gated_rate,
    ),
    "cayley": Case(CayleyRNNCell, cayley_loop, timed=False),
    "exponential": Case(ExponentialRNNCell, exponential_loop, timed=False),
    "exponential tanh": Case(
        ExponentialRNNCell, exponential_tanh_loop, {"nonlinearity": "tanh"}, timed=False
    ),
    "cornn": Case(
        CoRNNCell,
        cornn_loop,
        {"gamma": 1.5, "epsilon": 0.5, "step_size": 0.2},
        field=cornn_rate,
    ),
    "lem": Case(LEMCell, lem_loop, {"step_size": 0.6}, field=lem_rate),
    "noisy": Case(
        NoisyLipschitzRNNCell, noisy_loop, {**SKEWED, "step_size": 0.2}, field=noisy_rate
    ),
    "gated": Case(
        GatedLipschitzRNNCell,
        euler(gated_rate, 0.2),
        {**SKEWED, "step_size": 0.2},
        field=gated_rate,
    ),
}


def make_cell(name):
    """The unit in evaluation mode, with weights large enough that states differ visibly."""
    case = CASES[name]
    cell = case.kind(P, H, **case.options, dtype=torch.float64).eval()
    with torch.no_grad():
        for key, parameter in cell.named_parameters():
            if "step_size" in key:  # about softplus(-1.5) = 0.2, of each unit its own
                parameter.copy_(-1.5 + 0.3 * torch.randn_like(parameter))
            else:
                parameter.normal_(std=1 / math.sqrt(H))
    return cell
