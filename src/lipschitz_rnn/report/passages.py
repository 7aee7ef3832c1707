"""Texts and other rows of symbols: the stretches that the model finds most surprising."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from markupsafe import Markup
from torch import Tensor

from lipschitz_rnn.data import Dataset
from lipschitz_rnn.data.ptb import PTB_FILES, read_characters, read_words
from lipschitz_rnn.data.shakespeare import TRAIN_PERCENT, read_shakespeare
from lipschitz_rnn.data.supplied import obtain_supplied
from lipschitz_rnn.data.text import Vocabulary, decode_text
from lipschitz_rnn.report.answers import answer_all, examined_part
from lipschitz_rnn.report.pictures import shaded_text
from lipschitz_rnn.report.source import Source

WORST = 6
"""Passages that are shown."""

_STEPS = {"characters": 240, "words": 60, "symbols": 60}
"""Symbols of a passage, by kind of task."""


_MARK = 6.0
"""Nats that an answer is shaded by which is wrong."""


@dataclass(frozen=True)
class Passage:
    """A stretch of symbols.

    Attributes:
        name: Where it is.
        loss: Mean of its symbols, in nats.
        text: Each symbol shaded by its loss.
        answered: What was answered, shaded where that is wrong; None of texts.
    """

    name: str
    loss: float
    text: Markup
    answered: Markup | None


@dataclass(frozen=True)
class Passages:
    """The most surprising ones.

    Attributes:
        part: ``"test"`` or ``"validation"``.
        total: Symbols that are predicted.
        mean: Of all losses, in nats.
        median: Of them.
        shown: The most surprising first.
    """

    part: str
    total: int
    mean: float
    median: float
    shown: tuple[Passage, ...]


def examine_symbols(source: Source, data_dir: Path | None = None) -> Passages | None:
    """Read all symbols once more.

    Args:
        source: A run whose task is to tell a symbol at every step.
        data_dir: A data folder to ask first.

    Returns:
        What came of it; None without samples or weights.
    """
    found = examined_part(source)
    if found is None or source.subject is None or source.kind not in _STEPS:
        return None
    part, dataset = found
    rows = _rows(source, dataset)
    losses = torch.cat([row.losses for row in rows])
    names = _names(source, data_dir)
    is_text = source.kind != "symbols"
    shown = tuple(
        _passage(rows, where, names, is_text) for where in _choose(rows, _STEPS[source.kind])
    )
    return Passages(part, len(losses), float(losses.mean()), float(losses.median()), shown)


@dataclass(frozen=True)
class _Row:
    """Of a text or a sample: its symbols, the likeliest ones, and the losses, (T,) each."""

    name: str
    target: Tensor
    predicted: Tensor
    losses: Tensor


def _rows(source: Source, dataset: Dataset) -> list[_Row]:
    assert source.subject is not None
    training = source.config.training
    steps = None if dataset.carries_state else training.truncate_steps
    parts: dict[int, list[tuple[Tensor, Tensor, Tensor]]] = {}
    plan = dataset.plan(training.eval_batch_size)
    for one in answer_all(source.subject.trained.model, dataset, plan, steps):
        count = one.batch.input.shape[0]
        # rows of a stream go on from batch to batch, those of other data sets are samples
        names = range(count) if dataset.carries_state else one.index.tolist()
        predicted, losses, valid = one.answers.argmax(-1), one.losses, one.valid
        for place, name in enumerate(names):
            kept = (one.batch.target[place], predicted[place], losses[place])
            parts.setdefault(name, []).append(tuple(x[valid[place]] for x in kept))  # type: ignore[arg-type]
    word = "row" if dataset.carries_state else "sample"
    return [
        _Row(f"{word} {name}", *(torch.cat(column) for column in zip(*own, strict=True)))
        for name, own in parts.items()
    ]


def _choose(rows: Sequence[_Row], steps: int) -> list[tuple[int, int, int]]:
    """Row, first symbol and end of the stretches of the largest mean losses; none overlap."""
    found = []
    for place, row in enumerate(rows):
        for first in range(0, len(row.losses), steps):
            end = min(first + steps, len(row.losses))
            # a rest at the end of a row is short, and its mean an accident
            if end - first == steps or first == 0:
                found.append((float(row.losses[first:end].mean()), place, first, end))
    found.sort(key=lambda one: (-one[0], one[1:]))
    return [one[1:] for one in found[:WORST]]


def _passage(
    rows: Sequence[_Row], where: tuple[int, int, int], names: Sequence[str] | None, is_text: bool
) -> Passage:
    row, (_, first, end) = rows[where[0]], where
    space = "" if names is not None and all(len(name) == 1 for name in names) else " "

    def shaded(numbers: Tensor, losses: Tensor) -> Markup:
        symbols = [str(n) if names is None else names[n] for n in numbers.tolist()]
        return shaded_text([(s + space, x) for s, x in zip(symbols, losses.tolist(), strict=True)])

    losses, target, predicted = (x[first:end] for x in (row.losses, row.target, row.predicted))
    wrong = (predicted != target) * _MARK
    answered = None if is_text else shaded(predicted, wrong)
    text = shaded(target, losses)
    name = f"{row.name}, symbols {first + 1} to {end}"
    return Passage(name, float(losses.mean()), text, answered)


def _names(source: Source, data_dir: Path | None) -> Sequence[str] | None:
    """What the numbers of symbols stand for; None where they stand for themselves."""
    name = source.config.data.name
    if name == "shakespeare":
        text = read_shakespeare()
        return Vocabulary.of(text[: len(text) * TRAIN_PERCENT // 100]).symbols
    if name in {"ptb-char", "ptb-word"}:
        train = obtain_supplied(PTB_FILES, data_dir, None)[0]
        text = decode_text(train.content, where=str(train.path))
        return Vocabulary.of((read_characters if name == "ptb-char" else read_words)(text)).symbols
    return None
