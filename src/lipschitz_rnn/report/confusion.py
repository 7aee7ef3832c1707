"""Which classes are taken for which, and the samples that the model is most wrong about."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from lipschitz_rnn.data import Dataset
from lipschitz_rnn.report.answers import ClassAnswers, answer_classes, examined_part
from lipschitz_rnn.report.pictures import Picture, sample_picture
from lipschitz_rnn.report.source import Source

LARGEST = 40
"""Classes at most whose matrix is shown; of more, the pairs that are confused most often."""

WORST = 24
"""Samples with the largest losses that are shown first."""

_OF_A_CELL, _SHOWN, _PAIRS = 2, 120, 20

_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
CLASS_NAMES = dict.fromkeys(("cifar10", "cifar10-jpeg"), tuple(_CIFAR10.split()))
"""Of data sets whose classes are no numbers."""


@dataclass(frozen=True)
class Row:
    """A true class.

    Attributes:
        name: Of the class.
        counts: How often it was taken for each class.
        shades: Of each of them: its share of the row if right, else of the most frequent error.
        recall: Share of its samples that are right, as text.
        precision: Share of the answers with this class that are right, as text.
    """

    name: str
    counts: tuple[int, ...]
    shades: tuple[float, ...]
    recall: str
    precision: str


@dataclass(frozen=True)
class Example:
    """A sample that the model is wrong about, or not sure of.

    Attributes:
        place: Its place among the samples, from 0.
        true: Its class.
        predicted: The class that it is taken for.
        sureness: Probability of the latter, as text.
        of_true: Probability of the true class, as text.
        loss: Cross-entropy in nats.
        picture: Of it.
        is_first: Whether it is among the worst of all, and not only of its cell of the matrix.
    """

    place: int
    true: str
    predicted: str
    sureness: str
    of_true: str
    loss: float
    picture: Picture
    is_first: bool


@dataclass(frozen=True)
class Confusion:
    """What becomes of the samples of each class.

    Attributes:
        part: ``"test"`` or ``"validation"``.
        total: How many samples.
        right: How many of them are right.
        names: Of the classes.
        rows: The matrix; empty if there are too many classes.
        pairs: True class, predicted class and count of the most frequent errors.
        most_frequent: Share of the most frequent class.
        examples: The largest losses first.
    """

    part: str
    total: int
    right: int
    names: tuple[str, ...]
    rows: tuple[Row, ...]
    pairs: tuple[tuple[str, str, int], ...]
    most_frequent: float
    examples: tuple[Example, ...]


def examine_classes(source: Source) -> Confusion | None:
    """Classify all samples once more.

    Args:
        source: A run whose task is to tell one class of each sequence.

    Returns:
        What came of it; None without samples or weights.
    """
    found = examined_part(source)
    if found is None or source.subject is None or source.kind != "classes":
        return None
    part, dataset = found
    training = source.config.training
    answers = answer_classes(
        source.subject.trained.model, dataset, training.eval_batch_size, training.truncate_steps
    )
    known = CLASS_NAMES.get(source.config.data.name, ())
    names = tuple(known or (str(place) for place in range(answers.classes)))
    total = len(answers.target)
    return Confusion(
        part,
        total,
        int((answers.target == answers.predicted).sum()),
        names,
        _rows(answers.counts, names) if answers.classes <= LARGEST else (),
        _pairs(answers, names),
        int(answers.target.bincount().max()) / total,
        _examples(source, dataset, answers, names),
    )


def _share(part: Tensor, whole: Tensor) -> str:
    return f"{float(part / whole):.1%}" if whole else "none"


def _rows(counts: Tensor, names: tuple[str, ...]) -> tuple[Row, ...]:
    wrong = counts - torch.diag(counts.diag())
    largest = max(int(wrong.max()), 1)
    rows = []
    for place, name in enumerate(names):
        own, right = counts[place], counts[place, place]
        shades = [float(count) / largest for count in own]
        shades[place] = float(right / own.sum()) if own.sum() else 0.0
        rows.append(
            Row(
                name,
                tuple(own.tolist()),
                tuple(round(shade, 3) for shade in shades),
                _share(right, own.sum()),
                _share(right, counts[:, place].sum()),
            )
        )
    return tuple(rows)


def _pairs(answers: ClassAnswers, names: tuple[str, ...]) -> tuple[tuple[str, str, int], ...]:
    """The most frequent errors; of many classes most pairs never occur, so no matrix is made."""
    errors = zip(answers.target.tolist(), answers.predicted.tolist(), strict=True)
    counted = Counter((true, said) for true, said in errors if true != said)
    frequent = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:_PAIRS]
    return tuple((names[true], names[said], count) for (true, said), count in frequent)


def choose_examples(answers: ClassAnswers) -> list[int]:
    """The samples to show.

    Args:
        answers: To all samples.

    Returns:
        Their places: the largest losses first, and behind them, by loss, up to two of each cell of
        the matrix off its diagonal, so that every frequent error can be seen.
    """
    order = answers.losses.argsort(descending=True, stable=True).tolist()
    chosen = order[:WORST]
    cells: dict[tuple[int, int], list[int]] = {}
    for place in order:
        pair = int(answers.target[place]), int(answers.predicted[place])
        if pair[0] != pair[1]:
            cells.setdefault(pair, []).append(place)
    more = {place for own in cells.values() for place in own[:_OF_A_CELL]} - set(chosen)
    return chosen + [place for place in order[WORST:] if place in more][: _SHOWN - len(chosen)]


def _examples(
    source: Source, dataset: Dataset, answers: ClassAnswers, names: tuple[str, ...]
) -> tuple[Example, ...]:
    examples = []
    for rank, place in enumerate(choose_examples(answers)):
        true, predicted = names[answers.target[place]], names[answers.predicted[place]]
        said = "rightly taken for it" if true == predicted else f"taken for {predicted}"
        alt = f"sample {place}, of class {true}, {said}"
        examples.append(
            Example(
                place,
                true,
                predicted,
                _probability(float(answers.sureness[place])),
                _probability(float(answers.of_target[place])),
                float(answers.losses[place]),
                sample_picture(source.config.data, dataset, place, alt),
                rank < WORST,
            )
        )
    return tuple(examples)


def _probability(share: float) -> str:
    return "<0.1%" if share < 1e-3 else f"{share:.1%}"
