"""What the theory asks of A and W, measured for every layer of a recurrent network."""

from typing import Any

import torch
from torch import nn

from lipschitz_rnn.linalg import log_norm, spectral_abscissa
from lipschitz_rnn.nn import LipschitzRNN


def measure_spectra(model: nn.Module) -> dict[str, Any]:
    """How far A and W reach into the right half plane.

    For each layer: largest real parts of the eigenvalues of A and of W, and the largest eigenvalue
    of the symmetric part of A; without the factor alpha, which scales A in the unit. Entries are
    None that cannot be had: those of A where the unit has no linear term, and those of matrices
    with numbers that are not finite.

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
                a = getattr(unit, f"weight_a_l{layer}{end}")
                w = getattr(unit, f"weight_hh_l{layer}{end}")
                spectra[f"{prefix}l{layer}{end}"] = _measure(a, w)
    cells = [module for module in model.modules() if _is_ode_cell(module)]
    for number, cell in enumerate(cells):
        key = f"cell{number}" if len(cells) > 1 or units else "l0"
        spectra[key] = _measure(getattr(cell, "weight_a", None), cell.weight_hh)  # type: ignore[arg-type]
    return spectra


def _is_ode_cell(module: nn.Module) -> bool:
    """A cell of one state with a vector field, whose matrices mean what A and W do."""
    parts = getattr(module, "state_parts", ("h",))
    has_field = hasattr(module, "vector_field") and hasattr(module, "weight_hh")
    return has_field and len(parts) == 1


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
