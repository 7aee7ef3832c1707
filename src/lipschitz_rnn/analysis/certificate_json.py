"""Certificates as JSON: every number exact, and every field checked as it is read."""

import base64
import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.json_fields import (
    fail,
    read_digest,
    read_integer,
    read_list,
    read_number,
    read_object,
    read_optional_number,
    read_text,
)
from lipschitz_rnn.analysis.certificates import UnitCertificate
from lipschitz_rnn.analysis.increments import System
from lipschitz_rnn.ops import NONLINEARITIES, TABLEAUX, ButcherTableau, Nonlinearity

MAX_SIZE = 4096
"""Largest N."""

_DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float64": np.dtype("<f8")}
_STRENGTHS = ("none", "construction", "norm", "diagonal", "full")


@dataclass(frozen=True, eq=False)
class StoredUnit:
    """A unit's certificate as a file has it.

    Attributes:
        certificate: What it says; nothing of it is proved here.
        sha256: The digest that the file names.
    """

    certificate: UnitCertificate
    sha256: str

    @property
    def is_intact(self) -> bool:
        """Whether matrices, step, method and nonlinearity are those of the digest."""
        return self.sha256 == digest_of(self.certificate)


def digest_of(certificate: UnitCertificate) -> str:
    """SHA-256 of what a certificate is about, however the file spells the numbers.

    Args:
        certificate: Of a unit.

    Returns:
        64 hexadecimal digits.
    """
    system = certificate.system
    tableau, sigma = system.tableau, system.nonlinearity
    header = [
        system.size,
        system.step_size.hex(),
        certificate.substeps,
        float(certificate.max_dt).hex(),
        [*([x.hex() for x in row] for row in tableau.a_lower)],
        [x.hex() for x in tableau.b],
        sigma.name,
        float(sigma.slope_min).hex(),
        float(sigma.slope_max).hex(),
    ]
    found = hashlib.sha256(json.dumps(header).encode() + b"\0")
    for matrix in (system.a, system.w):
        found.update(np.ascontiguousarray(matrix, "<f8").tobytes())
    return found.hexdigest()


def encode_unit(certificate: UnitCertificate) -> dict[str, Any]:
    """A unit's certificate as an object of JSON.

    Args:
        certificate: The certificate.

    Returns:
        What :func:`decode_unit` reads.
    """
    system, sigma = certificate.system, certificate.system.nonlinearity
    metric, max_dt = certificate.metric, float(certificate.max_dt)
    return {
        "name": certificate.name,
        "holds": certificate.holds,
        "reason": certificate.reason,
        "strength": certificate.strength,
        "seconds": certificate.seconds,
        "growth": certificate.growth,
        "rate": certificate.rate,
        "contraction": certificate.contraction,
        # of a run that diverged a step is no number, and its refusal is kept all the same
        "step_size": system.step_size if math.isfinite(system.step_size) else None,
        "substeps": certificate.substeps,
        "max_dt": max_dt if math.isfinite(max_dt) else None,
        "method": dataclasses.asdict(system.tableau),
        "nonlinearity": {
            "name": sigma.name,
            "slope_min": float(sigma.slope_min),
            "slope_max": float(sigma.slope_max),
        },
        "a": _encode(system.a, _narrowest(system.a)),
        "w": _encode(system.w, _narrowest(system.w)),
        "metric": None if metric is None else _encode(metric, "float64"),
        "multipliers": [_encode(one, "float64") for one in certificate.multipliers],
        "sha256": digest_of(certificate),
    }


def _narrowest(matrix: np.ndarray) -> str:
    with np.errstate(over="ignore", invalid="ignore"):
        exact = np.isfinite(matrix).all() and bool((matrix == matrix.astype(np.float32)).all())
    return "float32" if exact else "float64"


def _encode(array: np.ndarray, dtype: str) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array, _DTYPES[dtype]).tobytes())
    return {"dtype": dtype, "shape": list(array.shape), "data": data.decode()}


def decode_unit(where: str, value: object) -> StoredUnit:
    """Read a unit's certificate; see :func:`encode_unit`.

    Args:
        where: What error messages call it.
        value: What JSON made of it.

    Returns:
        The certificate, its sizes and types known to fit together.

    Raises:
        InputError: If anything does not fit.
    """
    keys = """name holds reason strength seconds growth rate contraction step_size substeps max_dt
        method nonlinearity a w metric multipliers sha256"""
    table = read_object(where, value, keys.split())
    holds = table["holds"]
    if not isinstance(holds, bool):
        fail(f"{where}.holds", "true or false", holds)
    strength = read_text(f"{where}.strength", table["strength"])
    if strength not in _STRENGTHS:
        fail(f"{where}.strength", f"one of {', '.join(_STRENGTHS)}", strength)
    system = _decode_system(where, table)
    dt = read_optional_number(f"{where}.max_dt", table["max_dt"])
    if dt is not None and not dt > 0:
        fail(f"{where}.max_dt", "a number above 0", dt)
    certificate = UnitCertificate(
        read_text(f"{where}.name", table["name"]),
        holds,
        read_text(f"{where}.reason", table["reason"]),
        read_optional_number(f"{where}.growth", table["growth"]),
        strength,
        system,
        read_integer(f"{where}.substeps", table["substeps"], 10**6),
        *_decode_proof(where, table, system),
        read_number(f"{where}.seconds", table["seconds"], 0),
        math.inf if dt is None else dt,
    )
    _require_complete(where, table, certificate)
    return StoredUnit(certificate, read_digest(f"{where}.sha256", table["sha256"]))


def _require_complete(where: str, table: dict[str, Any], certificate: UnitCertificate) -> None:
    """What a claim needs is there, and what follows from it says the same."""
    system = certificate.system
    if certificate.holds:
        if certificate.metric is None:
            fail(f"{where}.metric", "one where it holds", None)
        if certificate.growth is None or not certificate.growth < 0:
            fail(f"{where}.growth", "a number below 0 where it holds", certificate.growth)
        finite = [np.isfinite(x).all() for x in (system.a, system.w, system.step_size)]
        if not all(finite):
            fail(where, "finite matrices and a step size where it holds", math.nan)
    for name in ("rate", "contraction"):
        given = read_optional_number(f"{where}.{name}", table[name])
        wanted: float | None = getattr(certificate, name)
        # powers and logarithms differ in the last digits between machines
        same = given is wanted or (
            given is not None and wanted is not None and math.isclose(given, wanted, rel_tol=1e-12)
        )
        if not same:
            fail(f"{where}.{name}", f"{wanted}, which follows from the growth", given)


def _decode_system(where: str, table: dict[str, Any]) -> System:
    step = table["step_size"]
    w = _array(f"{where}.w", table["w"], None, tuple(_DTYPES))
    return System(
        _array(f"{where}.a", table["a"], (w.shape,), tuple(_DTYPES)),
        w,
        math.nan if step is None else read_number(f"{where}.step_size", step, 0),
        _decode_tableau(f"{where}.method", table["method"]),
        _decode_nonlinearity(f"{where}.nonlinearity", table["nonlinearity"]),
    )


def _decode_proof(
    where: str, table: dict[str, Any], system: System
) -> tuple[np.ndarray | None, tuple[np.ndarray, ...]]:
    """Metric and multipliers: all of the system's, or none where it does not hold."""
    size, metric = system.size, None
    if table["metric"] is not None:
        metric = _array(f"{where}.metric", table["metric"], ((size,), (size, size)), ("float64",))
    count = 0 if metric is None else system.stages
    items = read_list(f"{where}.multipliers", table["multipliers"], count)
    multipliers = [
        _array(f"{where}.multipliers[{i}]", item, ((size,),), ("float64",))
        for i, item in enumerate(items)
    ]
    return metric, tuple(multipliers)


def _decode_tableau(where: str, value: object) -> ButcherTableau:
    table = read_object(where, value, ["name", "order", "a_lower", "b", "c"])
    rows = [
        read_list(f"{where}.a_lower", row)
        for row in read_list(f"{where}.a_lower", table["a_lower"])
    ]
    try:
        tableau = ButcherTableau(
            read_text(f"{where}.name", table["name"]),
            read_integer(f"{where}.order", table["order"], 100),
            tuple(tuple(read_number(f"{where}.a_lower", x) for x in row) for row in rows),
            tuple(read_number(f"{where}.b", x) for x in read_list(f"{where}.b", table["b"])),
            tuple(read_number(f"{where}.c", x) for x in read_list(f"{where}.c", table["c"])),
        )
    except InputError:
        raise
    except ValueError:
        fail(where, "coefficients that fit together", "others")
    if tableau != TABLEAUX.get(tableau.name, tableau):
        fail(where, f"the coefficients of {tableau.name}", "others")
    if not any(tableau.b):
        fail(f"{where}.b", "a weight that is not 0", 0)
    return tableau


def _decode_nonlinearity(where: str, value: object) -> Nonlinearity:
    table = read_object(where, value, ["name", "slope_min", "slope_max"])
    name = read_text(f"{where}.name", table["name"])
    low = read_number(f"{where}.slope_min", table["slope_min"])
    high = read_number(f"{where}.slope_max", table["slope_max"], low)
    known = NONLINEARITIES.get(name)
    if known is None:
        return Nonlinearity(name, _unknown, low, high)
    if (known.slope_min, known.slope_max) != (low, high):
        fail(where, f"the slopes of {name}, {known.slope_min} to {known.slope_max}", low)
    return known


def _unknown(x: Tensor) -> Tensor:
    raise NotImplementedError("a certificate's file knows the slopes of a function, not itself")


def _array(
    where: str, value: object, shapes: tuple[tuple[int, ...], ...] | None, dtypes: tuple[str, ...]
) -> np.ndarray:
    """An array of one of the shapes; of any that is square if None."""
    table = read_object(where, value, ["dtype", "shape", "data"])
    dtype, text = table["dtype"], table["data"]
    if not (isinstance(dtype, str) and dtype in dtypes):
        fail(f"{where}.dtype", " or ".join(dtypes), dtype)
    sizes = read_list(f"{where}.shape", table["shape"])
    shape = tuple(read_integer(f"{where}.shape", size, MAX_SIZE) for size in sizes)
    if not (shape in shapes if shapes else len(shape) == 2 and shape[0] == shape[1]):
        wanted = " or ".join(map(str, shapes)) if shapes else "(N, N)"
        fail(f"{where}.shape", wanted, str(shape))
    length = math.prod(shape) * _DTYPES[dtype].itemsize
    if not isinstance(text, str) or len(text) != 4 * -(-length // 3):
        fail(f"{where}.data", f"{length} bytes in base64", "another length")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if len(data) != length:
        fail(f"{where}.data", f"{length} bytes in base64", "something else")
    return np.asarray(np.frombuffer(data, _DTYPES[dtype]).astype(np.float64).reshape(shape))
