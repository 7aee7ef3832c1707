"""What a run put on record after every epoch besides losses and spectra."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lipschitz_rnn._base.errors import InputError


@dataclass(frozen=True, eq=False)
class TrainingCurves:
    """Accuracies and certificates after every epoch; NaN where there is none.

    Attributes:
        train_accuracy: (E,).
        validation_accuracy: (E,).
        certified_rates: By name of a unit that contracts by construction, the rate per unit of time
            that is proved of it, (E,).
    """

    train_accuracy: np.ndarray
    validation_accuracy: np.ndarray
    certified_rates: dict[str, np.ndarray]


def read_curves(record: Path) -> TrainingCurves:
    """Read the record of a run, finished or not.

    Args:
        record: Its ``record.jsonl``.

    Returns:
        The curves.

    Raises:
        InputError: If the file is damaged.
    """
    try:
        lines = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
        epochs = [line for line in lines if line["event"] == "epoch"]
        proofs = [
            {name: unit.get("certificate") for name, unit in line.get("spectra", {}).items()}
            for line in epochs
        ]
        names = {name: None for line in proofs for name, proof in line.items() if proof}
        return TrainingCurves(
            _numbers([line["train"].get("accuracy") for line in epochs]),
            _numbers([line["validation"].get("accuracy") for line in epochs]),
            {name: _numbers([_proved(line.get(name)) for line in proofs]) for name in names},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{record}: expected the record of a run, got a damaged file.") from None


def _proved(certificate: dict[str, float] | None) -> float | None:
    return certificate["rate"] if certificate and certificate["holds"] else None


def _numbers(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
