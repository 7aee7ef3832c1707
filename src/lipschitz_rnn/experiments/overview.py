"""The figure for who decides in a minute: its numbers from committed results, and its text."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments.card import CARD, read_card
from lipschitz_rnn.experiments.figures.overview import Overview, overview_figure
from lipschitz_rnn.experiments.page_blocks import Block
from lipschitz_rnn.experiments.tables import load_table
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
        labels: Of the two, which differ.
        printed: A row with the number in print for the same task, ``TABLE/ROW``.
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
    printed: str

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            InputError: If one does not fit.
        """
        check_fields("overview", self)
        got = tuple(len(names) for names in (self.titles, self.curves, set(self.labels)))
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
    path = root / plan.certified
    overview = Overview(
        titles=plan.titles,
        speed=dict(sorted(speed.items(), key=lambda item: item[1])),
        curves={label: _accuracies(results / run / CARD) for label, run in runs},
        printed=_printed(plan.printed),
        proved=_certified(path, plan.proved, ("certified", "certified_as_run", "empirical")),
        unproved=_certified(path, plan.unproved, ("empirical",)),
    )
    lines = [f"![{overview_text(overview)}]({plan.figure})", "", overview_caption(overview)]
    return Block(lines, {plan.figure: lambda: overview_figure(overview)})


def _accuracies(path: Path) -> dict[str, Any]:
    card = read_card(path)
    if card["metric"] != "accuracy":
        raise InputError(f"{path}: expected a run that classifies, got one of {card['metric']}.")
    return card


def _printed(name: str) -> float:
    of, _, row = name.partition("/")
    (found,) = load_table(of).choose([row])
    if found.printed is None:
        raise InputError(f"overview: expected a row with a number in print, got {name!r}.")
    return found.printed


def _certified(path: Path, run: str, shares: Sequence[str]) -> dict[str, Any]:
    """A run's curves, radii from 0, each of the shares asked for at every radius."""
    try:
        curves = {curve["run"]: curve for curve in json.loads(path.read_bytes())["curves"]}
        found: dict[str, Any] = curves[run]
        lengths = {len(found[key]) for key in ("radii", *shares)}
        fits = len(lengths) == 1 and found["radii"][0] == 0 and found["samples"] > 0
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        fits = False
    if not fits:
        raise InputError(f"{path}: expected the certified accuracy of {run!r}, got something else.")
    return found


def overview_text(overview: Overview) -> str:
    """The figure in words, for who cannot see it.

    Args:
        overview: Its numbers.

    Returns:
        Sentences in one line.
    """
    fast, accurate, certified = overview.titles
    others = ", ".join(f"{name} {ratio:.1f}" for name, ratio in overview.speed.items())
    errors = ", ".join(
        f"{100 * (1 - card['test_accuracy_last']):.2f} ({label})"
        for label, card in overview.curves.items()
    )
    proved, attacked = (overview.proved[key] for key in ("certified", "empirical"))
    # the farthest at which most of what is right is proved to stay so; at 0 all of it is
    place = max(i for i, share in enumerate(proved) if share >= _MOST * attacked[0] or i == 0)
    return (
        f"{fast}; time of a training pass, this kernel 1: {others}. {accurate}; test error in per "
        f"cent: {errors}, {100 - overview.printed:.1f} (in print). {certified}; certified: "
        f"{100 * attacked[0]:.1f} % of images are right, {100 * proved[place]:.1f} % provably stay "
        f"right where inputs move by {overview.proved['radii'][place]:g}, "
        f"{100 * attacked[place]:.1f} % withstand an attack; free: "
        f"{100 * overview.unproved['empirical'][0]:.1f} % are right, none provably."
    )


def overview_caption(overview: Overview) -> str:
    """What has to be known to read the figure.

    Args:
        overview: Its numbers.

    Returns:
        Sentences in one line.
    """
    proved = overview.proved
    shares = zip(proved["radii"], proved["certified_as_run"], strict=True)
    nearest, share = min((radius, share) for radius, share in shares if radius > 0)
    return (
        f"*One run each. On the right, the first {proved['samples']:,} test images, pixels from 0 "
        "to 1, and a unit trained for its certificate; what is proved is of the model computed in "
        "float64. With every rounding of float32 allowed for, "
        f"{100 * share:.1f} % are proved to stay right at a distance of {nearest:g}, and fewer "
        "farther away.*"
    )


_MOST = 0.8
"""The text names the largest radius at which this share of right answers is proved."""
