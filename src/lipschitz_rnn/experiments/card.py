"""The card of a run: everything a reader needs to believe, compare and repeat a result."""

import json
from pathlib import Path
from typing import Any

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.training import RunFolder
from lipschitz_rnn.training.metrics import METRICS

CARD = "card.json"
_VERSIONS = ("lipschitz_rnn", "commit", "python", "torch", "numpy")
_MACHINE = (
    "processor",
    "cores",
    "threads",
    "instruction_set",
    "kernel",
    "backend",
    "system",
    "gpu",
)


def make_card(run_dir: Path, preset: str, run: str) -> dict[str, Any]:
    """Make the card of a finished run from its folder.

    Args:
        run_dir: Folder of the run.
        preset: Name of the preset it began from.
        run: Its name among the runs of the preset.

    Returns:
        A table that JSON can hold; the figures of the task are called ``test_<metric>_last``, of
        the weights after the last epoch; ``test_<metric>_best_validation``, of those that the
        validation samples chose; ``test_<metric>_best_test``, of the epoch that did best on the
        test samples, which is no fair figure but the one that many tables print.

    Raises:
        InputError: If the run is not finished or a file in it is damaged.
    """
    folder = RunFolder(run_dir)
    if not folder.is_finished:
        raise InputError(f"{run_dir}: expected a finished run, got one without summary.json.")
    summary = folder.read_summary()
    metric = METRICS[summary.data.get("kind", "classes")]
    curve = read_curve(folder.record, metric.name)
    tested = [point for point in curve if point.get("test") is not None]
    best = None
    for point in tested:
        if best is None or metric.is_better(point["test"], best["test"]):
            best = point
    name = metric.name
    return {
        "preset": preset,
        "run": run,
        "data": summary.data,
        "settings": summary.config,
        "seed": summary.config["seed"],
        "parameters": summary.parameters,
        "metric": name,
        f"test_{name}_last": summary.last.test[name],
        f"test_{name}_best_validation": summary.best.test[name],
        f"test_{name}_best_test": None if best is None else best["test"],
        "test_last": summary.last.test,
        "test_best_validation": summary.best.test,
        "epochs": {
            "last": summary.last.epoch,
            "best_validation": summary.best.epoch,
            "best_test": None if best is None else best["epoch"],
        },
        "curve": curve,
        "time": summary.time,
        "machine": {key: summary.environment.get(key) for key in _MACHINE},
        "versions": {key: summary.environment.get(key) for key in _VERSIONS},
        "command": f"lipschitz-rnn train results/{preset}/{run}/config.toml",
    }


def read_curve(record: Path, metric: str) -> list[dict[str, Any]]:
    """One point an epoch from the record of a run.

    Args:
        record: Its ``record.jsonl``.
        metric: Name of the figure.

    Returns:
        Epoch, learning rate, training loss, and the figure on training, validation and test
        samples; the last one is None where it was not looked at.

    Raises:
        InputError: If the file is damaged.
    """
    curve = []
    try:
        for line in record.read_text("utf-8").splitlines():
            entry = json.loads(line)
            if entry["event"] == "epoch":
                curve.append(
                    {
                        "epoch": entry["epoch"],
                        "lr": entry["lr"],
                        "train_loss": entry["train"]["loss"],
                        "train": entry["train"].get(metric),
                        "validation": entry["validation"][metric],
                        "test": entry["test"][metric] if "test" in entry else None,
                    }
                )
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{record}: expected the record of a run, got a damaged file.") from None
    return curve


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write a card into a folder, atomically.

    Args:
        folder: Of the run.
        card: What :func:`make_card` gave.
    """
    content = json.dumps(card, indent=1, allow_nan=False)
    write_atomically(folder / CARD, content.encode() + b"\n")


def read_card(path: Path) -> dict[str, Any]:
    """Read a card back.

    Args:
        path: The file.

    Returns:
        The table.

    Raises:
        InputError: If it is no card.
    """
    try:
        card = json.loads(path.read_bytes())
        for key in ("preset", "run", "metric", "parameters", "settings", "seed", "time", "machine"):
            card[key]
        for kind in ("last", "best_validation", "best_test"):
            card[f"test_{card['metric']}_{kind}"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{path}: expected a card, got a truncated or foreign file.") from None
    return dict(card)


def find_cards(results: Path) -> list[Path]:
    """All cards of a results folder, ``<preset>/<run>/card.json``.

    Args:
        results: The folder, or that of a preset, or that of a run.

    Returns:
        Their paths, sorted.

    Raises:
        InputError: If there is none.
    """
    found = sorted(path for depth in ("", "*/", "*/*/") for path in results.glob(depth + CARD))
    if not found:
        raise InputError(
            f"{results}: expected finished runs with their {CARD} in it or below, got none; "
            f"`lipschitz-rnn reproduce` makes them."
        )
    return found
