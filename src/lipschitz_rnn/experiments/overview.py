"""The numbers of the overview, from committed results."""

import json
from collections.abc import Mapping
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments.card import CARD, read_card
from lipschitz_rnn.experiments.figures.overview import Overview

_CURVES = {
    "published recipe": "smnist/euler-128-seed1",
    "our recipe": "smnist-best/best-128-seed1",
}
_MODELS = {
    "Lipschitz": "free-same-training",
    "residual": "residual-same-training",
    "antisymmetric": "antisymmetric-same-training",
}
_KIND = "white-noise"


def gather_overview(results: Path, speed: Mapping[str, float], shape: str) -> Overview:
    """Read what the overview shows.

    Args:
        results: The results folder.
        speed: As :class:`Overview` has it.
        shape: Likewise.

    Returns:
        The numbers.

    Raises:
        InputError: If a card or a measurement is missing or damaged.
    """
    cards = {label: read_card(results / run / CARD) for label, run in _CURVES.items()}
    robustness = {
        label: [
            _curve(path)
            for path in sorted((results / "robustness").glob(f"robustness-mnist-8px-{name}-*.json"))
        ]
        for label, name in _MODELS.items()
    }
    return Overview(speed, shape, cards, robustness)


def _curve(path: Path) -> tuple[list[float], list[float]]:
    try:
        curve = json.loads(path.read_bytes())["result"]["report"]["curves"][_KIND]
        return list(curve["strengths"]), list(curve["accuracy"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path}: expected a measurement of robustness with {_KIND!r}, got something else."
        ) from None
