"""What binds a certificate's file to its units, and to the model that it is of."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from lipschitz_rnn.analysis.certificate_json import StoredUnit
from lipschitz_rnn.analysis.certificates import UnitCertificate, recheck
from lipschitz_rnn.analysis.increments import System
from lipschitz_rnn.analysis.layers import UnitMatrices, find_units, system_of_unit
from lipschitz_rnn.nn.digest import weights_digest


@dataclass(frozen=True, eq=False)
class StoredCertificate:
    """What a file says; nothing of it is proved here.

    Attributes:
        units: The units' certificates.
        weights_sha256: The digest of the model's weights; None if it is bound to none.
        units_sha256: The digest of the units that were written.
    """

    units: tuple[StoredUnit, ...]
    weights_sha256: str | None
    units_sha256: str

    @property
    def is_complete(self) -> bool:
        """Whether no unit was added, removed, renamed or moved."""
        return self.units_sha256 == units_digest(
            [(unit.certificate.name, unit.sha256) for unit in self.units]
        )


def units_digest(units: Iterable[tuple[str, str]]) -> str:
    """SHA-256 of the units of a file, in their order.

    Args:
        units: The name and digest of each.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps([list(unit) for unit in units]).encode()).hexdigest()


SHARES = (1.0, 1 - 1e-6, 1 - 1e-4, 0.99)
"""Of the growth that a file claims, how much is asked of matrices that differ in the last bits."""


@dataclass(frozen=True)
class Comparison:
    """A file beside a model.

    Attributes:
        problem: What the model has that the file has not, in a few words; none if they agree.
        notes: Of the units whose A and W were made anew here and proved: what was proved.
    """

    problem: str
    notes: tuple[str, ...] = ()


def compare(where: str, stored: StoredCertificate, model: nn.Module) -> Comparison:
    """Whether a file is of a model.

    What a constraint makes anew of the same weights may differ in the last bits from machine to
    machine. There the file's metric and multipliers must prove the model's own A and W.

    Args:
        where: Who asks, in error messages.
        stored: The file.
        model: The model.

    Returns:
        The comparison.
    """
    units = find_units(model, where=where)
    names = [unit.name for unit in units]
    if names != [unit.certificate.name for unit in stored.units]:
        return Comparison(f"units {', '.join(names)}")
    same_weights = stored.weights_sha256 == weights_digest(model)
    notes = []
    for unit, one in zip(units, stored.units, strict=True):
        what = _unit_differs(unit, one.certificate)
        remade = what in ("A", "W") and unit.constrained and same_weights
        share = _proved_share(unit, one.certificate) if remade else None
        if what and share is None:
            return Comparison(f"another {what} of {unit.name}")
        if share is not None:
            notes.append(f"A and W of {unit.name} as made here have {share:g} of its growth")
    return Comparison("" if same_weights else "other weights (SHA-256)", tuple(notes))


def _proved_share(unit: UnitMatrices, certificate: UnitCertificate) -> float | None:
    """Of a certificate's growth, how much it proves of a unit's own A and W; None if nothing."""
    own = replace(certificate, system=_own_system(unit, certificate))
    growth = certificate.growth
    if own.system.size != certificate.system.size or _unit_differs(unit, own) or growth is None:
        return None  # something else differs too
    with np.errstate(all="ignore"):  # what overflows is not proved
        return next((x for x in SHARES if recheck(replace(own, growth=x * growth))), None)


def _own_system(unit: UnitMatrices, certificate: UnitCertificate) -> System:
    flow = certificate.system.step_size == 0
    return system_of_unit(unit, certificate.max_dt, continuous=flow)


def _unit_differs(unit: UnitMatrices, certificate: UnitCertificate) -> str:
    system, own = certificate.system, _own_system(unit, certificate)
    slopes = [(x.name, x.slope_min, x.slope_max) for x in (own.nonlinearity, system.nonlinearity)]
    agreements = {
        "A": np.array_equal(own.a, system.a, equal_nan=True),
        "W": np.array_equal(own.w, system.w, equal_nan=True),
        "step size": np.array_equal(own.step_size, system.step_size, equal_nan=True),
        "number of substeps": certificate.substeps == (unit.substeps if own.step_size else 1),
        "method": own.tableau == system.tableau,
        "nonlinearity": slopes[0] == slopes[1],
        "gate": not (unit.gated and certificate.holds),
    }
    return next((name for name, agrees in agreements.items() if not agrees), "")
