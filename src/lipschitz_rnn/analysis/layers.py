"""The units inside a model, as the plain matrices that a stability analysis is about."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lipschitz_rnn.nn import LipschitzRNN, LipschitzRNNCell, RecurrentLayer
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


def find_units(model: nn.Module) -> list[UnitMatrices]:
    """The units of a model, from the input on.

    Args:
        model: A :class:`LipschitzRNN`, a cell that is an ODE of one state, a
            :class:`RecurrentLayer` of such cells, or a model with one of them as ``rnn``.

    Returns:
        One entry for each layer and direction.

    Raises:
        TypeError: If the recurrent part is none of these.
    """
    layer = getattr(model, "rnn", model)
    if isinstance(layer, LipschitzRNN):
        return [
            _of_module(layer, f"l{i}{end}", i, f"_l{i}{end}", layer.options)
            for i in range(layer.num_layers)
            for end in ("", "_reverse")[: layer.num_directions]
        ]
    return list(_of_cells(layer))


def _of_cells(layer: nn.Module) -> Iterator[UnitMatrices]:
    directions = layer.num_directions if isinstance(layer, RecurrentLayer) else 1
    cells = layer.cells if isinstance(layer, RecurrentLayer) else [layer]
    for index, cell in enumerate(cells):
        number, reverse = divmod(index, directions)
        name = f"l{number}{'_reverse' if reverse else ''}"
        if isinstance(cell, LipschitzRNNCell):
            yield _of_module(cell, name, number, "", cell.options)
        elif isinstance(cell, ScanCell):
            yield _of_module(cell, name, number, "", cell._unit)
        else:
            raise TypeError(
                "certify: expected Lipschitz, residual or antisymmetric units, got "
                f"{type(cell).__name__}. Other units have no matrices A and W to speak of."
            )


def _of_module(
    module: nn.Module, name: str, layer: int, suffix: str, options: UnitOptions
) -> UnitMatrices:
    with torch.no_grad():
        a, w, u, b = unit_weights(module, suffix, options)[:4]
        step = options.step_size
        if "step_size" in options.trainable:
            step = float(getattr(module, "step_size" + suffix))
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
        as_tableau("certify", options.method),
        as_nonlinearity("certify", options.nonlinearity),
        options.gated,
        proof,
    )


def _array(tensor: Tensor) -> np.ndarray:
    # half precision widens exactly, and numpy has no bfloat16
    wide = torch.promote_types(tensor.dtype, torch.float32)
    return np.asarray(tensor.detach().cpu().to(wide).numpy())
