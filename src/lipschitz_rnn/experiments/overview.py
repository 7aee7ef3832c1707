"""The figure for who decides in a minute: its numbers from committed results, and its text."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments.card import CARD, read_card
from lipschitz_rnn.experiments.figures.overview import Overview, overview_figure
from lipschitz_rnn.experiments.page_blocks import Block
from lipschitz_rnn.training.schema import check_fields, from_table


@dataclass(frozen=True)
class Plan:
    """What the figure is made of.

    Attributes:
        figure: Where it goes, beside the page.
        speed: What ``lipschitz-rnn bench`` wrote, beside the page.
        shape: Name of one of its shapes.
        certified: What ``lipschitz-rnn certified-accuracy`` wrote, beside the page.
        proved: Name there of a run that is proved to contract.
        unproved: Name there of a run that is not.
        titles: Of the three panels.
        curves: Two runs on one task in the results folder: one to compare with, and ours.
        labels: Of the two.
    """

    figure: str
    speed: str
    shape: str
    certified: str
    proved: str
    unproved: str
    titles: tuple[str, ...]
    curves: tuple[str, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            InputError: If one does not fit.
        """
        check_fields("overview", self)
        got = tuple(len(names) for names in (self.titles, self.curves, self.labels))
        if got != (3, 2, 2):
            raise InputError(f"overview: expected 3 titles, 2 curves, 2 labels, got {got}.")


def read_plan(path: Path) -> Plan:
    """Read what the figure is to show.

    Args:
        path: A TOML file with the fields of :class:`Plan`.

    Returns:
        The plan.

    Raises:
        InputError: If the file is something else.
    """
    try:
        return from_table(Plan, tomllib.loads(path.read_text("utf-8")), str(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected what an overview shows, got {error}.") from None


def overview_block(plan: Plan, root: Path, results: Path, speed: Mapping[str, float]) -> Block:
    """The figure with its text.

    Args:
        plan: What to show.
        root: Folder of the page.
        results: The results folder.
        speed: How many times as long as the kernel others take for a training pass of
            ``plan.shape``, by name.

    Returns:
        A line of Markdown and the figure.

    Raises:
        InputError: If a card or a measurement is missing or damaged.
    """
    runs = zip(plan.labels, plan.curves, strict=True)
    cards = {label: read_card(results / run / CARD) for label, run in runs}
    path = root / plan.certified
    overview = Overview(
        titles=plan.titles,
        speed=dict(sorted(speed.items(), key=lambda item: item[1])),
        curves=cards,
        proved=_certified(path, plan.proved),
        unproved=_certified(path, plan.unproved),
    )
    line = f"![{overview_text(overview)}]({plan.figure})"
    return Block([line], {plan.figure: lambda: overview_figure(overview)})


def _certified(path: Path, run: str) -> dict[str, Any]:
    try:
        curves = {curve["run"]: curve for curve in json.loads(path.read_bytes())["curves"]}
        found: dict[str, Any] = curves[run]
        list(zip(found["radii"], found["empirical"], found["certified"] or (), strict=False))
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{path}: expected the certified accuracy of {run!r}, got something else."
        ) from None
    return found


def overview_text(overview: Overview) -> str:
    """The figure in words, for who cannot see it.

    Args:
        overview: Its numbers.

    Returns:
        Sentences in one line.
    """
    others = ", ".join(f"{name} {ratio:.1f}" for name, ratio in overview.speed.items())
    errors = " and ".join(
        f"{100 * (1 - card['test_accuracy_last']):.2f} ({label})"
        for label, card in overview.curves.items()
    )
    proved = overview.proved
    place = max(i for i, share in enumerate(proved["certified"]) if share >= _MOST * _clean(proved))
    fast, accurate, certified = overview.titles
    return (
        f"{fast}; time of a training pass, this kernel 1: {others}. {accurate}; test error in per "
        f"cent: {errors}. {certified}; of {100 * _clean(proved):.1f} per cent right answers "
        f"{100 * proved['certified'][place]:.1f} are proved to stay where inputs move by "
        f"{proved['radii'][place]:g}, {100 * proved['empirical'][place]:.1f} withstand an attack."
    )


_MOST = 0.8
"""The text names the largest radius at which this share of right answers is proved."""


def _clean(curve: Mapping[str, Any]) -> float:
    return float(curve["empirical"][0])
