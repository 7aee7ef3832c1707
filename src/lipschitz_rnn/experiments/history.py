"""Loss, accuracy, spectra and proofs over the epochs of a run, read from its record."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lipschitz_rnn._base.errors import InputError


@dataclass(frozen=True, eq=False)
class UnitHistory:
    """Spectra of α A and W of one unit after every epoch; NaN where there is no number.

    Attributes:
        spectral_abscissa_a: Largest real part of the eigenvalues of α A, (E,).
        spectral_abscissa_w: Likewise of W, (E,).
        log_norm_a: Largest eigenvalue of the symmetric part of α A, (E,).
        eigenvalues_a: By epoch, of the epochs that kept them: complex, (N,).
        eigenvalues_w: Likewise of W.
        certified_rates: Of a unit that contracts by construction, the rate per unit of time that
            was proved, (E,), NaN where none was; None of other units.
    """

    spectral_abscissa_a: np.ndarray
    spectral_abscissa_w: np.ndarray
    log_norm_a: np.ndarray
    eigenvalues_a: dict[int, np.ndarray]
    eigenvalues_w: dict[int, np.ndarray]
    certified_rates: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class History:
    """What a run put on record after every epoch.

    Attributes:
        epochs: (E,), from 1.
        train_loss: (E,).
        validation_loss: (E,).
        train_accuracy: (E,), NaN where a task has none.
        validation_accuracy: Likewise.
        units: By name; empty for units without A and W, and for records of before these were kept.
    """

    epochs: np.ndarray
    train_loss: np.ndarray
    validation_loss: np.ndarray
    train_accuracy: np.ndarray
    validation_accuracy: np.ndarray
    units: dict[str, UnitHistory]


def read_history(record: Path) -> History:
    """Read the record of a run, finished or not.

    Args:
        record: Its ``record.jsonl``.

    Returns:
        The figures of every epoch.

    Raises:
        InputError: If the file is damaged.
    """
    try:
        lines = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
        epochs = [line for line in lines if line["event"] == "epoch"]
        names = {name: None for line in epochs for name in line.get("spectra", {})}
        return History(
            np.array([line["epoch"] for line in epochs], dtype=int),
            _numbers([line["train"]["loss"] for line in epochs]),
            _numbers([line["validation"]["loss"] for line in epochs]),
            _numbers([line["train"].get("accuracy") for line in epochs]),
            _numbers([line["validation"].get("accuracy") for line in epochs]),
            {name: _unit_history(epochs, name) for name in names},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{record}: expected the record of a run, got a damaged file.") from None


def _numbers(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _unit_history(epochs: list[dict[str, Any]], name: str) -> UnitHistory:
    entries = {line["epoch"]: line.get("spectra", {}).get(name, {}) for line in epochs}

    def curve(key: str) -> np.ndarray:
        return _numbers([entry.get(key) for entry in entries.values()])

    def eigenvalues(key: str) -> dict[int, np.ndarray]:
        kept = {epoch: entry.get(key) for epoch, entry in entries.items()}
        return {e: np.array(pairs) @ (1, 1j) for e, pairs in kept.items() if pairs is not None}

    return UnitHistory(
        curve("spectral_abscissa_a"),
        curve("spectral_abscissa_w"),
        curve("log_norm_a"),
        eigenvalues("eigenvalues_a"),
        eigenvalues("eigenvalues_w"),
        _certified_rates([entry.get("certificate") for entry in entries.values()]),
    )


def _certified_rates(certificates: list[dict[str, Any] | None]) -> np.ndarray | None:
    if not any(certificates):
        return None
    return _numbers([c["rate"] if c and c["holds"] else None for c in certificates])
