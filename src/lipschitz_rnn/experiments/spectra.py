"""What the theory asks of A and W, measured for every layer of a recurrent network."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from lipschitz_rnn.analysis.certify import certify_construction
from lipschitz_rnn.analysis.layers import UnitMatrices, find_units
from lipschitz_rnn.linalg import log_norm, spectral_abscissa
from lipschitz_rnn.nn import LipschitzRNN
from lipschitz_rnn.nn.unit import unit_weights

EIGENVALUES = 384
"""How many eigenvalues an epoch of the record may hold on average, about 10 kB."""


def measure_spectra(model: nn.Module) -> dict[str, Any]:
    """How far A and W reach into the right half plane.

    For each layer: largest real parts of the eigenvalues of A and of W, and the largest eigenvalue
    of the symmetric part of A; without the factor alpha, which scales A in the unit. Under a
    constraint they are of the damped matrices, as they are run. Entries are None that cannot be
    had: those of A where the unit has no linear term, and those of matrices with numbers that are
    not finite.

    Args:
        model: Holds any number of :class:`LipschitzRNN`, or of cells with ``weight_hh`` (H, H) and
            perhaps ``weight_a``: those of the units that are ODEs.

    Returns:
        ``{"l0": {"spectral_abscissa_a": .., "spectral_abscissa_w": .., "log_norm_a": ..}, ..}``.
    """
    units = [module for module in model.modules() if isinstance(module, LipschitzRNN)]
    spectra = {}
    for number, unit in enumerate(units):
        prefix = f"rnn{number}." if len(units) > 1 else ""
        for layer in range(unit.num_layers):
            for end in ("", "_reverse")[: unit.num_directions]:
                spectra[f"{prefix}l{layer}{end}"] = _measure(*_matrices(unit, f"_l{layer}{end}"))
    cells = [module for module in model.modules() if _is_ode_cell(module)]
    for number, cell in enumerate(cells):
        key = f"cell{number}" if len(cells) > 1 or units else "l0"
        spectra[key] = _measure(getattr(cell, "weight_a", None), cell.weight_hh)  # type: ignore[arg-type]
    return spectra


def record_spectra(model: nn.Module, epoch: int, epochs: int) -> dict[str, Any]:
    """What the record keeps of A and W after an epoch.

    For each unit, of α A and W as they are run: ``spectral_abscissa_a``, ``spectral_abscissa_w``
    and ``log_norm_a``; and ``eigenvalues_a`` and ``eigenvalues_w``, pairs of real and imaginary
    part rounded to float32, the largest real part first. All eigenvalues are kept every k-th epoch
    and after the last one, where k is their number divided by 384, rounded up: so that an epoch
    takes 10 kB at most on average. At N = 128 that is every epoch. Of a unit that contracts by
    construction also ``certificate``: whether that ``holds``, proved of the stored numbers, and the
    ``rate`` that is proved.

    Args:
        model: The model.
        epoch: Which epoch has ended, from 1.
        epochs: How many there are.

    Returns:
        A table for each unit by its name; nothing for units without A and W. Entries are None as in
        :func:`measure_spectra`.
    """
    try:
        units = find_units(model)
    except TypeError:  # no unit with these matrices
        return {}
    count = sum(len(unit.w) * (1 if unit.a is None else 2) for unit in units)
    is_due = epoch % math.ceil(count / EIGENVALUES) == 0 or epoch == epochs
    return {unit.name: _record_unit(unit, is_due) for unit in units}


def _record_unit(unit: UnitMatrices, with_eigenvalues: bool) -> dict[str, Any]:
    of_a, of_w = sorted_eigenvalues(unit.a), sorted_eigenvalues(unit.w)
    entry: dict[str, Any] = {
        "spectral_abscissa_a": None if of_a is None else float(of_a[0].real),
        "spectral_abscissa_w": None if of_w is None else float(of_w[0].real),
        "log_norm_a": None if of_a is None else float(log_norm(torch.tensor(unit.a).double())),
    }
    if unit.proof is not None:
        proved = certify_construction(unit)
        entry["certificate"] = {"holds": proved.holds, "rate": proved.rate}
    if with_eigenvalues:
        entry |= {"eigenvalues_a": _pairs(of_a), "eigenvalues_w": _pairs(of_w)}
    return entry


def sorted_eigenvalues(matrix: np.ndarray | None) -> np.ndarray | None:
    """Eigenvalues of a matrix, the largest real part first; None if it is absent or not finite."""
    if matrix is None or not np.isfinite(matrix).all():
        return None
    values = np.linalg.eigvals(matrix.astype(np.float64))
    ordered: np.ndarray = values[np.lexsort((-values.imag, -values.real))]
    return ordered


def _pairs(values: np.ndarray | None) -> list[list[float]] | None:
    """Real and imaginary parts in the fewest digits that name a float32."""
    if values is None:
        return None
    parts = np.stack((values.real, values.imag), axis=-1).astype(np.float32)
    return [[float(str(part)) for part in pair] for pair in parts]


def _is_ode_cell(module: nn.Module) -> bool:
    """A cell of one state with a vector field, whose matrices mean what A and W do."""
    parts = getattr(module, "state_parts", ("h",))
    has_field = hasattr(module, "vector_field") and hasattr(module, "weight_hh")
    return has_field and len(parts) == 1


def _matrices(layer: LipschitzRNN, suffix: str) -> tuple[torch.Tensor | None, torch.Tensor]:
    if layer.options.constraint is None:
        return getattr(layer, f"weight_a{suffix}"), getattr(layer, f"weight_hh{suffix}")
    a, w = unit_weights(layer, suffix, layer.options)[:2]
    return a, w


def _measure(a: torch.Tensor | None, w: torch.Tensor) -> dict[str, float | None]:
    a = None if a is None or not a.isfinite().all() else a.detach().double()
    w_is_finite = bool(w.isfinite().all())
    return {
        "spectral_abscissa_a": None if a is None else float(spectral_abscissa(a)),
        "spectral_abscissa_w": float(spectral_abscissa(w.detach().double()))
        if w_is_finite
        else None,
        "log_norm_a": None if a is None else float(log_norm(a)),
    }
