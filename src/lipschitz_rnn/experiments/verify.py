"""Committed models, evaluated again and compared with their cards."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import DataUnavailableError
from lipschitz_rnn.experiments.card import find_cards, read_card
from lipschitz_rnn.experiments.runs import evaluate_run
from lipschitz_rnn.ops import explain_kernel
from lipschitz_rnn.training import EvaluationResult, RunFolder
from lipschitz_rnn.training.device import use_threads
from lipschitz_rnn.training.state import OtherDataError

RELATIVE = 1e-5
"""Figures other than accuracies may differ by so much: rounding of long float32 sums."""


@dataclass(frozen=True)
class Verification:
    """One model, compared.

    Attributes:
        card: Path of its card.
        weights: ``"last"`` or ``"best"``.
        status: ``"same"``, ``"different"`` or ``"skipped"``.
        detail: What was found, or why nothing was.
    """

    card: Path
    weights: str
    status: str
    detail: str


def verify_cards(
    results: Path,
    *,
    data_dir: Path | None = None,
    report: Callable[[str], None] | None = None,
) -> Iterator[Verification]:
    """Evaluate every committed model again.

    Accuracies must be equal to the last sample on the same instruction set, and within one sample
    otherwise; other figures to 1e-5 relative.

    Args:
        results: The results folder, or one of a preset or a run in it.
        data_dir: A data folder to ask first.
        report: Takes a line for every data source that failed.

    Yields:
        Two entries a card, as they are found; a model that is not there, or whose data are not, is
        skipped with its reason.

    Raises:
        InputError: If there is no card in the folder or below.
    """
    for path in find_cards(results):
        card = read_card(path)
        for weights in ("last", "best"):
            yield verify_card(path, card, weights, data_dir=data_dir, report=report)


def verify_card(
    path: Path,
    card: dict[str, Any],
    weights: str,
    *,
    data_dir: Path | None = None,
    report: Callable[[str], None] | None = None,
) -> Verification:
    """Evaluate one model again; see :func:`verify_cards`.

    Args:
        path: Of its card.
        card: The card.
        weights: ``"last"`` or ``"best"``.
        data_dir: A data folder to ask first.
        report: Takes a line for every data source that failed.

    Returns:
        What was found.
    """
    folder = RunFolder(path.parent)
    file = folder.last if weights == "last" else folder.best
    if not file.exists():
        return Verification(path, weights, "skipped", "the model is not committed")
    try:
        with use_threads(card["machine"]["threads"]):
            result = evaluate_run(path.parent, weights, data_dir=data_dir, report=report)
    except (DataUnavailableError, OtherDataError) as error:
        return Verification(path, weights, "skipped", str(error))
    except InputError as error:
        return Verification(path, weights, "different", str(error))
    expected = card["test_last" if weights == "last" else "test_best_validation"]
    problem = compare(expected, result, metric=card["metric"], exact=_computes_alike(card))
    name = card["metric"]
    detail = problem or f"{name} {result.figures[name]:.6g}"
    return Verification(path, weights, "different" if problem else "same", detail)


def _computes_alike(card: dict[str, Any]) -> bool:
    """Whether sums are rounded here in the order of the card's: by the CPU, in the same code."""
    machine, here = card["machine"], torch.backends.cpu.get_cpu_capability()
    alike = machine["kernel"] == explain_kernel() and machine["instruction_set"] == here
    return bool(alike and card["settings"]["training"].get("device", "cpu") == "cpu")


def compare(
    expected: dict[str, Any], result: EvaluationResult, *, metric: str = "accuracy", exact: bool
) -> str:
    """What is wrong with a result, or nothing.

    Args:
        expected: Figures of the card.
        result: What was found.
        metric: Of the task. Where it is another, the accuracy of a text, say, is a figure like any
            other: one near tie among tens of thousands of symbols may fall the other way.
        exact: Whether accuracies must be equal, or may differ by one sample.

    Returns:
        A line; empty if all is well.
    """
    if expected["count"] != result.count:
        return f"expected {expected['count']} answers, got {result.count}"
    for name, got in {"loss": result.loss, **result.figures}.items():
        wanted = expected[name]
        if name == metric == "accuracy":
            apart = abs(round(wanted * result.count) - round(got * result.count))
            fine = apart <= (0 if exact else 1)
        else:
            few = 2.5 / result.count if name == "accuracy" else 0.0  # two near ties
            fine = wanted is not None and math.isclose(wanted, got, rel_tol=RELATIVE, abs_tol=few)
        if not fine:
            return f"expected {name} {wanted}, got {got}"
    return ""
