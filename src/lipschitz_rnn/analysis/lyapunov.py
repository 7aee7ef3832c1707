"""Lyapunov exponents of a unit along data."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_in_range, require_positive_int, require_shape
from lipschitz_rnn.analysis.step_map import StepMap, step_times
from lipschitz_rnn.analysis.units import single_unit
from lipschitz_rnn.linalg.qr import positive_qr


@dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """Mean growth rates of small differences between states, the largest first.

    Attributes:
        unit: Name of the unit.
        kind: Its class.
        exponents: Per step, (K,): the mean over sequences of natural logarithms of growth.
        standard_error: Of that mean, (K,), from the spread of the sequences; None for one sequence.
        per_sequence: Exponents per step of each sequence, (B, K).
        exponents_per_time: Per unit of time, (K,); None for a unit that is no ODE.
        standard_error_per_time: Likewise, (K,).
        drift: Exponents of the second half of the steps less those of the first, (K,): where it is
            not small, the sequences are too short for the exponents to have settled.
        steps: Steps that were measured.
        warmup: Steps before those, in which the directions aligned.
        sequences: B.
        state_size: N: how many exponents there are in all.
    """

    unit: str
    kind: str
    exponents: Tensor
    standard_error: Tensor | None
    per_sequence: Tensor
    exponents_per_time: Tensor | None
    standard_error_per_time: Tensor | None
    drift: Tensor
    steps: int
    warmup: int
    sequences: int
    state_size: int


def lyapunov_exponents(
    unit: StepMap | nn.Module,
    input: Tensor,
    hx: Tensor | None = None,
    *,
    count: int | None = None,
    dt: float | Tensor | None = None,
    warmup: int = 0,
) -> LyapunovSpectrum:
    r"""Lyapunov exponents of a unit along data, by repeated QR factorisation.

    .. math::
        J_t Q_{t-1} = Q_t R_t, \qquad
        \lambda_i = \frac{1}{T} \sum_{t=1}^{T} \ln (R_t)_{ii}, \qquad
        J_t = \frac{\partial h_t}{\partial h_{t-1}}

    with R of positive diagonal. Q starts at random, always the same, so that it meets every
    direction; it needs some steps to turn towards the leading ones, which ``warmup`` leaves out.
    The sum of all N exponents is the mean of ln \|det J\| from the first step on.

    Args:
        unit: A map of :func:`layer_cells` in float64; or a cell, or a layer of one unit, which is
            looked at in float64 whatever its dtype.
        input: The data, (T, B, P), time first.
        hx: Initial states, (B, N); zero if None.
        count: K, how many leading exponents; all if None.
        dt: For how long each input is held: a number, (T,) or (T, B).
        warmup: Steps to run before measuring.

    Returns:
        The spectrum, in float64. It costs T steps, T·K derivatives along a direction and T
        factorisations for each sequence. A direction that dies out altogether has the exponent
        minus infinity.

    Raises:
        TypeError: If ``unit`` is a map in another precision than float64.
        ValueError: If a shape does not fit, ``count`` exceeds the size of the state, no time passes
            in a sequence, or no step is left after the warm-up.

    Examples:
        >>> from lipschitz_rnn.analysis.units import cell_of
        >>> eye = torch.eye(2, dtype=torch.float64)
        >>> decay = cell_of(-eye, 0 * eye, step_size=0.5)  # h+ = h / 2
        >>> spectrum = lyapunov_exponents(decay, torch.zeros(10, 1, 1))
        >>> spectrum.exponents.exp(), float(spectrum.drift.abs().max()) < 1e-14
        (tensor([0.5000, 0.5000], dtype=torch.float64), True)

    References:
        Benettin, Galgani, Giorgilli, Strelcyn (1980), Lyapunov characteristic exponents for smooth
        dynamical systems, Meccanica 15. Engelken, Wolf, Abbott (2023), Lyapunov spectra of chaotic
        recurrent neural networks, Physical Review Research 5.
    """
    unit = single_unit("lyapunov_exponents", unit)
    count = unit.state_size if count is None else count
    _check(unit, input, count, warmup)
    input = input.to(unit.device, unit.dtype)
    hx = None if hx is None else hx.to(unit.device, unit.dtype)
    times = step_times(dt, input)
    logs = _logs_of_growth(unit, input, hx, times, count)[warmup:]  # (T, B, K)
    per_sequence = logs.mean(0)
    # random directions align in order of growth, save those that grow almost alike
    order = per_sequence.mean(0).argsort(descending=True)
    logs, per_sequence = logs[..., order], per_sequence[:, order]
    mean, error = _mean_and_error(per_sequence)
    span = _time(unit, times[warmup:], input)
    in_time = (None, None) if span is None else _mean_and_error(logs.sum(0) / span)
    half = len(logs) // 2
    halves = (logs[:half].mean((0, 1)), logs[half:].mean((0, 1))) if half else (mean, mean)
    return LyapunovSpectrum(
        unit=unit.name,
        kind=unit.kind,
        exponents=mean,
        standard_error=error,
        per_sequence=per_sequence,
        exponents_per_time=in_time[0],
        standard_error_per_time=in_time[1],
        drift=halves[1] - halves[0],
        steps=len(logs),
        warmup=warmup,
        sequences=input.shape[1],
        state_size=unit.state_size,
    )


def _check(unit: StepMap, input: Tensor, count: int, warmup: int) -> None:
    where = "lyapunov_exponents"
    require_shape(where, "input", input, (None, None, unit.input_size), "(T, B, P)")
    require_positive_int(where, "count", count)
    require_in_range(where, "count", count, 1, unit.state_size)
    steps = input.shape[0]
    if not 0 <= warmup < steps:
        raise ValueError(
            f"{where}: expected 0 <= `warmup` < {steps}, the steps of `input`, got {warmup}."
        )


def _logs_of_growth(
    unit: StepMap,
    input: Tensor,
    hx: Tensor | None,
    times: list[float | Tensor | None],
    count: int,
) -> Tensor:
    """Logarithms of the diagonal of every R, (T, B, K)."""
    h = unit.start(input.shape[1]) if hx is None else hx
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(unit.state_size, count, generator=generator, dtype=torch.float64)
    start = start.to(dtype=unit.dtype, device=unit.device)
    q = positive_qr(start)[0].expand(len(h), -1, -1)
    logs = []
    for x, time in zip(input, times, strict=True):
        q, r = positive_qr(unit.push(x, h, q, time))
        logs.append(r.diagonal(dim1=-2, dim2=-1).log())
        h = unit.step(x, h, time)
    return torch.stack(logs)


def _mean_and_error(values: Tensor) -> tuple[Tensor, Tensor | None]:
    """Mean over the sequences of (B, K), and its standard error."""
    sequences = len(values)
    error = values.std(0) / sequences**0.5 if sequences > 1 else None
    return values.mean(0), error


def _time(unit: StepMap, times: list[float | Tensor | None], input: Tensor) -> Tensor | None:
    """Time that passes for each sequence, (B, 1); None for a unit that is no ODE."""
    if unit.step_size is None or unit.vector_field is None:
        return None
    ones = torch.ones(input.shape[1], 1, dtype=unit.dtype, device=unit.device)
    span = torch.zeros_like(ones)
    for time in times:
        held = 1.0 if time is None else time
        span += unit.step_size * (
            ones * (held.reshape(-1, 1) if isinstance(held, Tensor) else held)
        )
    if not bool((span > 0).all()):
        raise ValueError(
            "lyapunov_exponents: expected a `dt` above 0 somewhere in each sequence, got 0 "
            "throughout. Without time there is no rate."
        )
    return span
