"""Whether a unit is proved to forget how it began: by the file beside the run, or cheaply."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis import StabilityCertificate
from lipschitz_rnn.analysis.certificate_file import (
    load_certificate,
    verify_certificate,
    weights_digest,
)
from lipschitz_rnn.analysis.refutation import refute
from lipschitz_rnn.report.source import Source
from lipschitz_rnn.report.stability import Stability
from lipschitz_rnn.report.wording import Rows

_QUICK = 1024
"""Order of an inequality that is proved again in a second or so."""


@dataclass(frozen=True)
class Certificate:
    """What is proved.

    Attributes:
        holds: Whether the contraction of every unit is proved.
        reason: Why, or why not.
        rows: Rate and factor of every unit, where they are proved.
        origin: Where it comes from.
        command: What to run for a stronger one, or to prove this one again; empty if nothing helps.
        why: What that command is for.
    """

    holds: bool
    reason: str
    rows: Rows
    origin: str
    command: str
    why: str


def describe_certificate(source: Source, stability: Stability) -> Certificate:
    """The certificate of a run.

    Args:
        source: The run, with a model.
        stability: Of the same weights.

    Returns:
        That of the file in its folder, proved again here if that is quick; without one, or where it
        is of other weights, the cheap one of the stability report.
    """
    assert source.subject is not None  # for the type checker
    name = "certificate.json" if source.weights == "best" else "certificate-last.json"
    path, model = source.path / name, source.subject.trained.model
    option = "" if source.weights == "best" else " --weights last"
    run = shlex.quote(str(source.path))
    search = f"lipschitz-rnn certify {run}{option}"
    cheap = stability.report.certificate
    origin = "From norms alone, the cheapest of all."
    if path.exists():
        if (found := _stored(path)) is not None and found == weights_digest(model):
            again = f"lipschitz-rnn verify {shlex.quote(str(path))} --model {run}"
            return _of_file(path, source, again, f"{search} --strength full")
        origin += f" {name} is of other weights, and is left out."
    return Certificate(cheap.holds, cheap.reason, _rows(cheap), origin, *further(cheap, search))


def further(found: StabilityCertificate, search: str) -> tuple[str, str]:
    """What to run for more than was found.

    Args:
        found: What was found.
        search: The command that searches for more.

    Returns:
        The command and what it does; both empty where there is no more.
    """
    failed = [unit for unit in found.units if not unit.holds]
    if any(unit.strength == "none" or refute(unit.system) for unit in failed):
        return "", ""
    return search, "looks for a stronger one, which may take minutes"


def _stored(path: Path) -> str | None:
    """The digest of the weights that a file is of."""
    try:
        return str(json.loads(path.read_bytes())["weights_sha256"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{path}: expected a certificate, got something else.") from None


def _of_file(path: Path, source: Source, again: str, search: str) -> Certificate:
    assert source.subject is not None
    stored = load_certificate(path)
    order = max((1 + unit.system.stages) * unit.system.size for unit in stored.units)
    strength = f"Of {path.name}, strength {stored.strength}"
    if not stored.holds:
        more = ("", "") if stored.strength == "full" else further(stored, search)
        return Certificate(False, stored.reason, (), f"{strength}.", *more)
    if order > _QUICK:
        told = f"{strength}; what the file says, not proved again for this report."
        return Certificate(True, stored.reason, _rows(stored), told, again, "proves it again")
    check = verify_certificate(path, source.subject.trained.model)
    told = f"{strength}; proved again for this report, without the solver that found it."
    return Certificate(
        check.holds, check.reason, _rows(stored) if check.holds else (), told, again,
        "proves it once more",
    )  # fmt: skip


def _rows(certificate: StabilityCertificate) -> Rows:
    rows = []
    for unit in certificate.units:
        if unit.holds:
            rows.append((f"rate of {unit.name}, per unit of time", f"{unit.rate:.4g}"))
            if unit.contraction is not None:
                text = f"{unit.contraction:.6g}"
                rows.append((f"factor of {unit.name}, an input", text))
    return tuple(rows)
