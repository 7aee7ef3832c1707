"""What the theory asks of A and W, measured for every layer of a recurrent network."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from lipschitz_rnn.analysis.certify import certify_construction
from lipschitz_rnn.analysis.layers import UnitMatrices, find_units
from lipschitz_rnn.linalg import log_norm

EIGENVALUES = 384
"""How many eigenvalues an epoch of the record may hold on average, about 10 kB."""


def measure_spectra(model: nn.Module) -> dict[str, dict[str, float | None]]:
    """How far A and W reach into the right half plane.

    For each unit: largest real parts of the eigenvalues of A and of W, and the largest eigenvalue
    of the symmetric part of A; without the factor alpha, which scales A in the unit. Under a
    constraint they are of the damped matrices, as they are run.

    Args:
        model: As :func:`lipschitz_rnn.analysis.find_units` takes it, a noisy unit in any mode.

    Returns:
        ``{"l0": {"spectral_abscissa_a": .., "spectral_abscissa_w": .., "log_norm_a": ..}, ..}``;
        nothing for units without A and W. Entries are None that cannot be had: those of A where the
        unit has no linear term, and those of matrices with numbers that are not finite.
    """
    return {unit.name: _Spectrum.of(_without_alpha(unit), unit.w).figures for unit in _units(model)}


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
        model: As for :func:`measure_spectra`.
        epoch: Which epoch has ended, from 1.
        epochs: How many there are.

    Returns:
        A table for each unit by its name; nothing for units without A and W. Entries are None as in
        :func:`measure_spectra`.
    """
    units = _units(model)
    count = sum(len(unit.w) * (1 if unit.a is None else 2) for unit in units)
    is_due = epoch % max(1, math.ceil(count / EIGENVALUES)) == 0 or epoch == epochs
    return {unit.name: _record_unit(unit, is_due) for unit in units}


def _units(model: nn.Module) -> list[UnitMatrices]:
    try:
        return find_units(model, steps=False)
    except TypeError:  # no unit with these matrices
        return []


def _without_alpha(unit: UnitMatrices) -> np.ndarray | None:
    """A by itself; under a constraint α A, which is what was damped."""
    if unit.a is None or unit.constrained:
        return unit.a
    with np.errstate(all="ignore"):  # a learned α may come to be 0: then A cannot be had
        return np.asarray(unit.a / np.asarray(unit.alpha, dtype=unit.a.dtype))


def _record_unit(unit: UnitMatrices, with_eigenvalues: bool) -> dict[str, Any]:
    spectrum = _Spectrum.of(unit.a, unit.w)
    entry: dict[str, Any] = {**spectrum.figures}
    if unit.proof is not None:
        proved = certify_construction(unit)
        entry["certificate"] = {"holds": proved.holds, "rate": proved.rate}
    if with_eigenvalues:
        entry |= {"eigenvalues_a": _pairs(spectrum.of_a), "eigenvalues_w": _pairs(spectrum.of_w)}
    return entry


@dataclass(frozen=True, eq=False)
class _Spectrum:
    """Eigenvalues of A and W, and what is said of them in three numbers."""

    of_a: np.ndarray | None
    of_w: np.ndarray | None
    figures: dict[str, float | None]

    @classmethod
    def of(cls, a: np.ndarray | None, w: np.ndarray) -> Self:
        of_a, of_w = _sorted_eigenvalues(a), _sorted_eigenvalues(w)
        figures = {
            "spectral_abscissa_a": None if of_a is None else float(of_a[0].real),
            "spectral_abscissa_w": None if of_w is None else float(of_w[0].real),
            "log_norm_a": None if of_a is None else float(log_norm(torch.tensor(a).double())),
        }
        return cls(of_a, of_w, figures)


def _sorted_eigenvalues(matrix: np.ndarray | None) -> np.ndarray | None:
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
