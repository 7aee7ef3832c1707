"""Certificates as files: saved with what they are about, and checked without the solver."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from torch import nn

from lipschitz_rnn import __version__
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import read_at_most, write_atomically
from lipschitz_rnn._base.json_fields import fail, read_digest, read_list, read_object, read_text
from lipschitz_rnn.analysis.certificate_json import StoredUnit, decode_unit, encode_unit
from lipschitz_rnn.analysis.certificate_model import (
    Comparison,
    StoredCertificate,
    compare,
    units_digest,
)
from lipschitz_rnn.analysis.certificates import StabilityCertificate, recheck
from lipschitz_rnn.nn.digest import weights_digest as weights_digest
from lipschitz_rnn.ops import EULER

FORMAT, VERSION = "lipschitz-rnn certificate", 1
"""What a file says it is."""

MAX_BYTES = 2**26
"""Largest file that is written or read: N = 2,000 with a diagonal metric in float32."""

MAX_ORDER = 4096
"""Largest order (1 + stages) N of an inequality that is proved again; memory is its square."""


@dataclass(frozen=True)
class CertificateCheck:
    """What became of a certificate when it was checked.

    Attributes:
        holds: Whether the contraction of every unit was proved anew, for the model if one is given.
        reason: Why, or why not, in a line.
        lines: The same for every unit.
        seconds: What it took.
    """

    holds: bool
    reason: str
    lines: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        return ("certified: " if self.holds else "not certified: ") + self.reason


def save_certificate(
    certificate: StabilityCertificate,
    path: str | Path,
    *,
    model: nn.Module | None = None,
) -> None:
    """Write a certificate to a file, whether it holds or not; the file is whole or absent.

    The file has everything that the check needs: every number of A, W, ε, method, metric and
    multipliers, exactly. A SHA-256 binds it to A, W, ε, method and nonlinearity of each unit,
    another to the list of units, and another to all weights of the model. Metric, multipliers and
    growth are in none: if they are changed, what counts is whether they still prove the claim.

    Args:
        certificate: As :func:`lipschitz_rnn.analysis.certify` gives it.
        path: The file, ``.json``.
        model: What was certified; None for plain matrices.

    Raises:
        ValueError: If the certificate is not the model's, or too large for a file.
    """
    path = Path(path)
    units = [encode_unit(unit) for unit in certificate.units]
    content = {
        "format": FORMAT,
        "version": VERSION,
        "library": __version__,
        "weights_sha256": None if model is None else weights_digest(model),
        "units_sha256": units_digest((unit["name"], unit["sha256"]) for unit in units),
        "units": units,
    }
    data = (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
    if len(data) > MAX_BYTES:
        raise ValueError(
            f"save_certificate: expected a certificate that fits {MAX_BYTES:,} bytes, "
            f"got {len(data):,}."
        )
    stored = _parse(str(path), data)  # what cannot be read is not written
    if model is not None and (problem := compare("save_certificate", stored, model).problem):
        raise ValueError(f"save_certificate: expected the model that was certified, got {problem}.")
    write_atomically(path, data)


def load_certificate(path: str | Path) -> StabilityCertificate:
    """Read a certificate. Nothing is proved: ``holds`` is what the file says.

    Args:
        path: The file.

    Returns:
        The certificate.

    Raises:
        InputError: If the file is not one of :func:`save_certificate`, or A, W, ε, method,
            nonlinearity or the list of units are not those of its digests.
    """
    stored = _parse(str(path), read_at_most(Path(path), MAX_BYTES))
    for unit in stored.units:
        if not unit.is_intact:
            raise InputError(f"{path}: {unit.certificate.name}: expected {_CHANGED}.")
    if not stored.is_complete:
        raise InputError(f"{path}: expected {_INCOMPLETE}.")
    return StabilityCertificate(tuple(unit.certificate for unit in stored.units))


def verify_certificate(path: str | Path, model: nn.Module | None = None) -> CertificateCheck:
    """Prove a certificate again, from its file alone; the search that found it is not used.

    See :func:`lipschitz_rnn.analysis.certificates.proves` for the arithmetic. The answer is no
    whenever something cannot be proved.

    Args:
        path: The file.
        model: What it should be about: the units' A, W, ε, method and nonlinearity, and all weights
            must be those of the file, to the last bit; where a constraint makes A and W of the
            weights, the file must prove the ones made here.

    Returns:
        The answer; ``holds=False`` with the reason if A, W or ε of the file were changed, if they
        are not the model's, if a unit was removed or moved, or if the inequality is not proved.

    Raises:
        InputError: If the file is not one of :func:`save_certificate`.
        TypeError: If the model has no matrices A and W.
    """
    began = time.monotonic()
    stored = _parse(str(path), read_at_most(Path(path), MAX_BYTES))
    beside = Comparison("") if model is None else compare("verify_certificate", stored, model)
    found = [(unit.certificate.name, _failure(unit)) for unit in stored.units]
    lines = [
        f"{name}: not certified: {failure}" if failure else f"{name}: {_claim(unit)}"
        for (name, failure), unit in zip(found, stored.units, strict=True)
    ]
    failures = [f"{name}: {failure}" for name, failure in found if failure]
    if not stored.is_complete:
        failures.insert(0, f"expected {_INCOMPLETE}")
    if beside.problem:
        failures.insert(0, f"it is of another model: {beside.problem}")
    units = "1 unit" if len(lines) == 1 else f"{len(lines)} units"
    reason = "; ".join(failures) or "; ".join([f"proved again for {units}", *beside.notes])
    return CertificateCheck(not failures, reason, tuple(lines), time.monotonic() - began)


_CHANGED = "the A, W, step, method and nonlinearity that were certified, got others (SHA-256)"
_INCOMPLETE = "all units that were certified, in their order, got others (SHA-256)"


def _failure(stored: StoredUnit) -> str:
    """Why a unit is not certified; empty if it is."""
    certificate, system = stored.certificate, stored.certificate.system
    order = (1 + system.stages) * system.size
    if not stored.is_intact:
        return f"expected {_CHANGED}"
    if not certificate.holds:
        return certificate.reason
    if math.isinf(certificate.max_dt):
        return "its times dt have no bound"
    if certificate.max_dt != 1 and system.tableau != EULER:
        return f"its times dt vary, and {system.tableau.name} is certified for one step size alone"
    if order > MAX_ORDER:
        return f"its inequality is of order {order}, and up to {MAX_ORDER} is checked"
    with np.errstate(all="ignore"):  # what overflows is not proved
        proved = recheck(certificate)
    return "" if proved else "its growth, metric and multipliers do not prove it"


def _claim(stored: StoredUnit) -> str:
    certificate, system = stored.certificate, stored.certificate.system
    sigma = system.nonlinearity
    known = f"{system.size} units, {sigma.name}, {certificate.strength}"
    if system.step_size == 0:
        return f"certified: rate {certificate.rate:.4g} (flow, {known})"
    times = "" if certificate.max_dt == 1 else f" times dt up to {certificate.max_dt:g}"
    return (
        f"certified: rate {certificate.rate:.4g}, factor {certificate.contraction:.6g} an input "
        f"({system.tableau.name} step {system.step_size:g}{times}, {known})"
    )


def _parse(where: str, data: bytes) -> StoredCertificate:
    """Read a file's content, every field checked."""
    try:
        content = json.loads(data, parse_constant=_no_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        reason = "too deep a nesting" if isinstance(error, RecursionError) else str(error)
        raise InputError(
            f"{where}: expected a certificate in JSON, got {' '.join(reason.split())[:200]}."
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        fail(where, "a certificate of lipschitz-rnn", content)
    if content.get("version") != VERSION:
        fail(f"{where}: version", f"{VERSION}", content.get("version"))
    keys = ["format", "version", "library", "weights_sha256", "units_sha256", "units"]
    table = read_object(where, content, keys)
    read_text(f"{where}: library", table["library"])
    weights = table["weights_sha256"]
    items = read_list(f"{where}: units", table["units"])
    if not items:
        fail(f"{where}: units", "at least one", "none")
    return StoredCertificate(
        tuple(decode_unit(f"{where}: units[{i}]", item) for i, item in enumerate(items)),
        None if weights is None else read_digest(f"{where}: weights_sha256", weights),
        read_digest(f"{where}: units_sha256", table["units_sha256"]),
    )


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"the number {name}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key that appears twice")
    return table
