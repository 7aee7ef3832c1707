"""Maps of a state from layers, cells and plain matrices."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import (
    require_floating,
    require_in_range,
    require_shape,
    require_square,
)
from lipschitz_rnn.analysis.step_map import Field, StepMap
from lipschitz_rnn.nn import LipschitzRNN, LipschitzRNNCell, RecurrentLayer
from lipschitz_rnn.nn.state import State
from lipschitz_rnn.nn.unit import UnitOptions, scan_unit, unit_field, unit_weights
from lipschitz_rnn.nn.unroll import takes_dt
from lipschitz_rnn.ops import ButcherTableau, Nonlinearity
from lipschitz_rnn.ops.nonlinearity import as_nonlinearity
from lipschitz_rnn.ops.tableau import as_tableau

_WEIGHTS = ("weight_a", "weight_hh", "weight_ih", "bias", "weight_gate", "bias_gate")
_SCALARS = ("step_size", "alpha")


def layer_cells(layer: nn.Module, *, dtype: torch.dtype | None = None) -> list[StepMap]:
    """Each unit of a layer as a map of its state.

    Args:
        layer: A :class:`LipschitzRNN`, a :class:`RecurrentLayer` of any cells, or a single cell.
        dtype: What to compute in; that of the layer if None. Ask for ``torch.float64`` where
            derivatives matter: the weights that the layer uses are converted exactly.

    Returns:
        One map for each layer and direction, in torch's order. They keep the weights of now,
        whatever happens to the layer later.

    Raises:
        TypeError: If ``layer`` is nothing of the kind.

    Examples:
        >>> [unit.name for unit in layer_cells(LipschitzRNN(3, 8, 2, bidirectional=True))]
        ['l0', 'l0_reverse', 'l1', 'l1_reverse']
    """
    if not isinstance(layer, RecurrentLayer):
        return [_from_cell(layer, "l0", dtype)]
    ends = ("", "_reverse")[: layer.num_directions]
    names = [f"l{index}{end}" for index in range(layer.num_layers) for end in ends]
    if not isinstance(layer, LipschitzRNN):
        return [
            _from_cell(cell, name, dtype) for cell, name in zip(layer.cells, names, strict=True)
        ]
    return [_from_unit(layer, f"_{name}", layer.options, name, dtype) for name in names]


def cell_of(
    a: Tensor | None,
    w: Tensor,
    u: Tensor | None = None,
    b: Tensor | None = None,
    *,
    step_size: float,
    method: str | ButcherTableau = "euler",
    nonlinearity: str | Nonlinearity = "tanh",
) -> StepMap:
    r"""The unit of plain matrices as a map of its state.

    .. math:: \dot h = A h + \sigma(W h + U x + b)

    Args:
        a: A, (H, H), or None to leave the linear term out.
        w: W, (H, H).
        u: U, (H, P). If None, nothing is read of an input of one feature.
        b: b, (H,); zero if None.
        step_size: ε, above 0.
        method: Integrator, as in :func:`lipschitz_rnn.ops.lipschitz_scan`.
        nonlinearity: σ, likewise.

    Returns:
        The map, in the dtype of ``w``.

    Raises:
        TypeError: If ``w`` is not floating-point.
        ValueError: If a shape does not fit, or a value is out of range.

    Examples:
        >>> unit = cell_of(-torch.eye(2), torch.zeros(2, 2), step_size=0.5)
        >>> unit.step(torch.zeros(1, 1), torch.ones(1, 2))
        tensor([[0.5000, 0.5000]])
    """
    require_square("cell_of", "w", w)
    require_floating("cell_of", "w", w)
    require_in_range("cell_of", "step_size", step_size, 0, open_low=True)
    size = len(w)
    u = w.new_zeros(size, 1) if u is None else u
    shapes = {"a": (a, (size, size)), "u": (u, (size, None)), "b": (b, (size,))}
    for name, (tensor, shape) in shapes.items():
        if tensor is not None:
            letters = {"a": "(H, H)", "u": "(H, P)", "b": "(H,)"}[name]
            require_shape("cell_of", name, tensor, shape, letters)
    chosen = as_tableau("cell_of", method), as_nonlinearity("cell_of", nonlinearity)
    options = UnitOptions(step_size=float(step_size), method=chosen[0], nonlinearity=chosen[1])
    holder = nn.Module()
    for name, tensor in (("weight_a", a), ("weight_hh", w), ("weight_ih", u), ("bias", b)):
        holder.register_buffer(name, tensor)
    return replace(_from_unit(holder, "", options, "l0", w.dtype), kind="matrices")


@dataclass(frozen=True, eq=False)
class UnitRun:
    """One unit of a layer over a batch.

    Attributes:
        unit: The unit.
        input: What it read, (T, B, P), in the order in which it did: a reverse one from the end.
        states: (T + 1, B, N) in that order, the initial one first.
        dt: For how long it held each input: a number, (T,) or (T, B) in that order; None for 1.
    """

    unit: StepMap
    input: Tensor
    states: Tensor
    dt: float | Tensor | None = None

    @property
    def output(self) -> Tensor:
        """What it hands on, (T, B, H), in the order of the sequence."""
        output = self.states[1:, :, : self.unit.hidden_size]
        return output.flip(0) if self.unit.name.endswith("_reverse") else output


def run_layer(
    layer: nn.Module,
    input: Tensor,
    *,
    dt: float | Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> list[UnitRun]:
    """What each unit of a layer reads and goes through, from states of zero.

    Args:
        layer: As for :func:`layer_cells`.
        input: (T, B, P), time first whatever ``batch_first`` says.
        dt: For how long each input is held: a number, (T,) or (T, B), time first too.
        dtype: What to compute in.

    Returns:
        One run for each layer and direction. Dropout between layers is off.

    Examples:
        >>> runs = run_layer(LipschitzRNN(3, 8, num_layers=2), torch.randn(5, 4, 3))
        >>> [tuple(run.input.shape) for run in runs]
        [(5, 4, 3), (5, 4, 8)]
    """
    runs: list[UnitRun] = []
    units = layer_cells(layer, dtype=dtype)
    directions = int(getattr(layer, "num_directions", 1))
    input = input if dtype is None else input.to(dtype)
    times = (dt, dt.flip(0) if isinstance(dt, Tensor) and dt.dim() else dt)
    for first in range(0, len(units), directions):
        pair = units[first : first + directions]
        inputs = (input, input.flip(0))  # the second is for the reverse direction
        for one, x, time in zip(pair, inputs, times, strict=False):
            runs.append(UnitRun(one, x, one.run(x, dt=time), time))
        input = torch.cat([run.output for run in runs[-directions:]], -1)
    return runs


def single_unit(where: str, unit: StepMap | nn.Module) -> StepMap:
    """The one unit that is meant, in float64: a cell or a layer of one is looked at in a copy."""
    # products of many derivatives, and roots, are wanted to more digits than float32 has
    if isinstance(unit, StepMap):
        if unit.dtype != torch.float64:
            raise TypeError(
                f"{where}: expected a unit in float64, got {unit.dtype}. Build it with "
                "layer_cells(layer, dtype=torch.float64), or pass the layer itself."
            )
        return unit
    units = layer_cells(unit, dtype=torch.float64)
    if len(units) != 1:
        raise ValueError(
            f"{where}: expected one unit, got a layer of {len(units)}. Choose one of "
            "layer_cells(layer), and give it the input that it gets: see run_layer."
        )
    return units[0]


def _from_unit(
    module: nn.Module, suffix: str, options: UnitOptions, name: str, dtype: torch.dtype | None
) -> StepMap:
    """A Lipschitz unit, with every constrained weight read once."""
    tensors = {key: getattr(module, key + suffix, None) for key in (*_WEIGHTS, *_SCALARS)}
    if options.constraint is not None:  # A and W as they are run: constrained once, and exactly
        with torch.no_grad():
            tensors["weight_a"], tensors["weight_hh"] = unit_weights(module, suffix, options)[:2]
        trainable = tuple(name for name in options.trainable if name != "alpha")
        options = replace(options, constraint=None, alpha=1.0, trainable=trainable)
    weights = nn.Module()
    for key, value in tensors.items():
        value = value.detach().clone() if isinstance(value, Tensor) else None
        weights.register_buffer(key, value if dtype is None or value is None else value.to(dtype))
    u: Tensor = weights.weight_ih  # type: ignore[assignment]
    learned: Tensor | None = weights.step_size  # type: ignore[assignment]

    def advance(input: Tensor, h: Tensor, dt: Tensor | None) -> Tensor:
        times = None if dt is None else dt.unsqueeze(0)
        return scan_unit(weights, "", options, input.unsqueeze(0), h, times, output="last")[1]

    return StepMap(
        name=name,
        kind=type(module).__name__.removeprefix("Parametrized"),
        input_size=u.shape[1],
        hidden_size=u.shape[0],
        state_size=u.shape[0],
        step_size=options.step_size if learned is None else float(learned),
        dtype=u.dtype,
        device=u.device,
        takes_dt=True,
        advance=advance,
        vector_field=lambda input, h: unit_field(weights, "", options, input, h),
    )


def _from_cell(cell: nn.Module, name: str, dtype: torch.dtype | None) -> StepMap:
    """Any cell, by its own ``forward`` and ``vector_field``."""
    if isinstance(cell, LipschitzRNNCell):
        return _from_unit(cell, "", cell.options, name, dtype)
    weight = next(cell.parameters(), None)
    sized = hasattr(cell, "input_size") and hasattr(cell, "hidden_size")
    if weight is None or not sized or isinstance(cell, nn.RNNBase):
        raise TypeError(
            "layer_cells: expected a LipschitzRNN, a RecurrentLayer or a cell with `input_size`, "
            f"`hidden_size` and parameters, got {type(cell).__name__}. "
            "Of torch's units, the cells can be looked at, such as nn.GRUCell."
        )
    cell = copy.deepcopy(cell).eval().requires_grad_(False).to(dtype=dtype)
    parts, timed = _count_parts(cell), takes_dt(cell)
    step: Any = cell.bind() if hasattr(type(cell), "bind") else cell  # type: ignore[operator]

    def advance(input: Tensor, h: Tensor, dt: Tensor | None) -> Tensor:
        state = _split(h, parts)
        return _join(step(input, state) if dt is None else step(input, state, dt=dt))

    time = _time_of_step(cell)
    hidden_size = int(cell.hidden_size)  # type: ignore[arg-type]
    return StepMap(
        name=name,
        kind=type(cell).__name__.removeprefix("Parametrized"),
        input_size=int(cell.input_size),  # type: ignore[arg-type]
        hidden_size=hidden_size,
        state_size=hidden_size * parts,
        step_size=time,
        dtype=weight.dtype if dtype is None else dtype,
        device=weight.device,
        takes_dt=timed,
        advance=advance,
        # a step of another length for each feature discretises no ODE in one time
        vector_field=None if time is None else _field_of(cell, parts),
    )


def _field_of(cell: nn.Module, parts: int) -> Field:
    def vector_field(input: Tensor, h: Tensor) -> Tensor:
        return _join(cell.vector_field(input, _split(h, parts)))  # type: ignore[operator]

    return vector_field


def _time_of_step(cell: nn.Module) -> float | None:
    """Step size of a cell that is an ODE; None for others."""
    if not hasattr(cell, "vector_field"):
        return None
    options = getattr(cell, "options", {})
    value = getattr(cell, "step_size", options.get("step_size"))
    single = not isinstance(value, Tensor) or value.numel() == 1
    return float(value) if value is not None and single else None


def _count_parts(cell: nn.Module) -> int:
    """Tensors in a state of a cell."""
    known: tuple[str, ...] = getattr(cell, "state_parts", ("h",))
    return 2 if isinstance(cell, nn.LSTMCell) else len(known)


def _split(h: Tensor, parts: int) -> State:
    return h if parts == 1 else tuple(h.chunk(parts, -1))


def _join(state: State) -> Tensor:
    return state if isinstance(state, Tensor) else torch.cat(state, -1)
