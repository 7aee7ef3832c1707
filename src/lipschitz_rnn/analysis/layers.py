"""The units inside a model, as the plain matrices that a stability analysis is about."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lipschitz_rnn.analysis.as_written import require_as_written
from lipschitz_rnn.analysis.increments import System, make_system
from lipschitz_rnn.nn import (
    LipschitzRNN,
    LipschitzRNNCell,
    NoisyLipschitzRNNCell,
    RecurrentLayer,
)
from lipschitz_rnn.nn.parametrizations import SymmetricSkew
from lipschitz_rnn.nn.unit import UnitOptions, unit_proof, unit_weights
from lipschitz_rnn.nn.units.scanned import ScanCell
from lipschitz_rnn.ops import ButcherTableau, Nonlinearity
from lipschitz_rnn.ops.nonlinearity import as_nonlinearity
from lipschitz_rnn.ops.tableau import as_tableau


@dataclass(frozen=True, eq=False)
class UnitMatrices:
    """One layer and direction: α A, W, U, b as they are run, and how.

    Attributes:
        name: ``"l0"``, ``"l0_reverse"``, ``"l1"``, ...
        layer: Its place from the input, from 0.
        a: α A, (H, H), in the dtype it is run in; None without a linear term.
        w: W, (H, H).
        u: U, (H, P).
        b: b, (H,), or None.
        step_size: ε of one input, in units of time.
        substeps: Integrator steps an input.
        tableau: The method.
        nonlinearity: σ.
        gated: Whether a gate multiplies the right-hand side.
        proof: Metric, (H,), and multipliers, (S, H), of a unit that contracts by construction.
        constrained: Whether a constraint makes A and W anew from the weights.
        alpha: α, which A is already multiplied by.
        gamma_a: γ_A that damps A, if raising it by x takes α x from every eigenvalue of α A; or
            None.
    """

    name: str
    layer: int
    a: np.ndarray | None
    w: np.ndarray
    u: np.ndarray
    b: np.ndarray | None
    step_size: float
    substeps: int
    tableau: ButcherTableau
    nonlinearity: Nonlinearity
    gated: bool
    proof: tuple[np.ndarray, np.ndarray] | None = None
    constrained: bool = False
    alpha: float = 1.0
    gamma_a: float | None = None


def system_of_unit(unit: UnitMatrices, max_dt: float = 1.0, *, continuous: bool = False) -> System:
    """What a certificate of a unit is about.

    Args:
        unit: The unit.
        max_dt: Longest time ``dt`` of an input; taken as 1 if it is infinite.
        continuous: The differential equation, not the step that is run.

    Returns:
        The system of the longest integrator step, or of the flow. A step that is not a finite
        number above 0, as of a run that diverged, is NaN: it proves nothing, and is not the flow.
    """
    if continuous:
        return make_system(unit.a, unit.w, None, nonlinearity=unit.nonlinearity)
    step = unit.step_size * (max_dt if math.isfinite(max_dt) else 1.0) / unit.substeps
    step = step if 0 < step < math.inf else math.nan
    return make_system(unit.a, unit.w, step, unit.tableau, nonlinearity=unit.nonlinearity)


def find_units(
    model: nn.Module, *, where: str = "find_units", steps: bool = True
) -> list[UnitMatrices]:
    """The units of a model, from the input on.

    Of a noisy unit they are those of the step without noise.

    Args:
        model: A :class:`LipschitzRNN`, a cell that is an ODE of one state, a
            :class:`RecurrentLayer` of such cells, or a model with one of them as ``rnn``.
        where: Who asks, in error messages.
        steps: Whether the steps are asked about, not A and W alone. Without, a noisy unit may be
            in training mode, and where each of its features has a step size of its own,
            ``step_size`` is NaN.

    Returns:
        One entry for each layer and direction.

    Raises:
        TypeError: If the recurrent part is none of these, the step sizes of a noisy unit differ, or
            a subclass or a hook changes what the layer computes and steps are asked about.
        ValueError: If a noisy unit is in training mode.
    """
    layer = getattr(model, "rnn", model)
    if steps and isinstance(layer, LipschitzRNN | RecurrentLayer | LipschitzRNNCell | ScanCell):
        require_as_written(where, layer, TypeError)
    if isinstance(layer, LipschitzRNN):
        return [
            _of_module(where, layer, f"l{i}{end}", i, f"_l{i}{end}", layer.options)
            for i in range(layer.num_layers)
            for end in ("", "_reverse")[: layer.num_directions]
        ]
    return list(_of_cells(where, layer, steps))


def cell_options(cell: nn.Module) -> UnitOptions | None:
    """What a cell says of itself as a Lipschitz unit; None of one that is none."""
    if isinstance(cell, LipschitzRNNCell):
        return cell.options
    return cell._unit if isinstance(cell, ScanCell | NoisyLipschitzRNNCell) else None


def _of_cells(where: str, layer: nn.Module, steps: bool) -> Iterator[UnitMatrices]:
    directions = layer.num_directions if isinstance(layer, RecurrentLayer) else 1
    cells = layer.cells if isinstance(layer, RecurrentLayer) else [layer]
    for index, cell in enumerate(cells):
        number, reverse = divmod(index, directions)
        name = f"l{number}{'_reverse' if reverse else ''}"
        options = cell_options(cell)
        if options is None:
            raise TypeError(
                f"{where}: expected Lipschitz, residual or antisymmetric units, got "
                f"{type(cell).__name__}. If it holds a recurrent layer of such units, pass the "
                "recurrent layer itself; other units have no matrices A and W to speak of."
            )
        unit = _of_module(where, cell, name, number, "", options)
        if isinstance(cell, NoisyLipschitzRNNCell):
            unit = dataclasses.replace(unit, step_size=_noise_free_step(where, cell, steps))
        yield unit


def _noise_free_step(where: str, cell: NoisyLipschitzRNNCell, required: bool) -> float:
    """The step size of a noisy unit in evaluation mode; NaN if it has several."""
    noise = cell.options["additive_noise"] or cell.options["multiplicative_noise"]
    if required and cell.training and noise:
        raise ValueError(
            f"{where}: expected a noisy unit in evaluation mode, got training mode, where no step "
            "is like another. Call model.eval(): what is said is about the step without noise."
        )
    d = cell.step_size.detach()
    least, most = float(d.min()), float(d.max())
    if required and least != most:
        raise TypeError(  # as for every unit that is no Lipschitz unit
            f"{where}: expected one step size for all features of a noisy unit, got d from "
            f"{least:.4g} to {most:.4g}. In the coordinates e h/d it is the unit of step size e "
            "with A diag(d/e) and W diag(d/e), for any e: ask about those matrices."
        )
    return most if least == most else math.nan


def _of_module(
    where: str, module: nn.Module, name: str, layer: int, suffix: str, options: UnitOptions
) -> UnitMatrices:
    with torch.no_grad():
        a, w, u, b = unit_weights(module, suffix, options)[:4]
        step, alpha = options.step_size, options.alpha
        if "step_size" in options.trainable:
            step = float(getattr(module, "step_size" + suffix))
        if "alpha" in options.trainable:
            alpha = float(getattr(module, "alpha" + suffix))
        proof = None
        if options.constraint == "contractive":
            metric, multipliers = unit_proof(module, suffix, options)
            proof = _array(metric), _array(multipliers)
    return UnitMatrices(
        name,
        layer,
        None if a is None else _array(a),
        _array(w),
        _array(u),
        None if b is None else _array(b),
        step,
        options.substeps,
        as_tableau(where, options.method),
        as_nonlinearity(where, options.nonlinearity),
        options.gated,
        proof,
        options.constraint is not None,
        alpha,
        None if options.constraint is not None else _damping(module, "weight_a" + suffix),
    )


def _damping(module: nn.Module, name: str) -> float | None:
    """γ of a matrix that is made from a free one by :class:`SymmetricSkew` and nothing else."""
    if not parametrize.is_parametrized(module, name):
        return None
    parametrizations: nn.ModuleDict = module.parametrizations  # type: ignore[assignment]
    chain: nn.ModuleList = parametrizations[name]  # type: ignore[assignment]
    scheme = chain[0]
    return float(scheme.gamma) if len(chain) == 1 and isinstance(scheme, SymmetricSkew) else None


def _array(tensor: Tensor) -> np.ndarray:
    # half precision widens exactly, and numpy has no bfloat16
    wide = torch.promote_types(tensor.dtype, torch.float32)
    return np.asarray(tensor.detach().cpu().to(wide).numpy())
