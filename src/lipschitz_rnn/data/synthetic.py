"""The adding and the copying problem: synthetic tests of memory with known trivial losses."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.files import sha256
from lipschitz_rnn.data.sequence import SequenceDataset
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.split import Split

SYMBOLS = 8
RECALLED = 10


def adding_problem(count: int, steps: int, seed: int) -> tuple[Tensor, Tensor]:
    r"""Draw samples of the adding problem.

    Each step holds a number, uniform in [0, 1), and a marker; one marker is set in either half of
    the sequence. The answer is the sum of the two marked numbers. Always answering 1, its mean, has
    the mean squared error 2/12, the variance of the sum.

    Args:
        count: Samples, n.
        steps: T, at least 2.
        seed: Of numpy's PCG64 stream.

    Returns:
        Values (n, T, 2) and targets (n, 1), float32.

    References:
        Hochreiter, Schmidhuber (1997), Long short-term memory, sec. 5.4; in the form of Arjovsky,
        Shah, Bengio (2016), Unitary evolution recurrent neural networks, sec. 5.2.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    numbers = random.random((count, steps), dtype=np.float32)
    half = steps // 2
    first = random.integers(0, half, count)
    second = random.integers(half, steps, count)
    markers = np.zeros((count, steps), np.float32)
    rows = np.arange(count)
    markers[rows, first] = markers[rows, second] = 1
    total = numbers[rows, first] + numbers[rows, second]
    values = torch.from_numpy(np.stack((numbers, markers), -1))
    return values, torch.from_numpy(total[:, None])


def copying_problem(count: int, delay: int, seed: int) -> tuple[Tensor, Tensor]:
    r"""Draw samples of the copying problem.

    Ten symbols out of eight are shown, then ``delay - 1`` blanks, a delimiter and ten blanks; the
    answer is blank until the delimiter has passed and then repeats the ten symbols. Who answers
    blank first and then any symbol has the mean cross-entropy :math:`10 \ln 8 / (\mathtt{delay} +
    20)`.

    Args:
        count: Samples, n.
        delay: Steps between the end of the symbols and the start of the recall.
        seed: Of numpy's PCG64 stream.

    Returns:
        One-hot inputs (n, delay + 20, 10), uint8; targets (n, delay + 20), int64, in [0, 9) with
        8 for blank.

    References:
        Arjovsky, Shah, Bengio (2016), Unitary evolution recurrent neural networks, sec. 5.1.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    symbols = random.integers(0, SYMBOLS, (count, RECALLED))
    steps = delay + 2 * RECALLED
    blank, delimiter = SYMBOLS, SYMBOLS + 1
    shown = np.full((count, steps), blank)
    shown[:, :RECALLED] = symbols
    shown[:, RECALLED + delay - 1] = delimiter
    wanted = np.full((count, steps), blank)
    wanted[:, -RECALLED:] = symbols
    one_hot = (shown[..., None] == np.arange(SYMBOLS + 2)).astype(np.uint8)
    return torch.from_numpy(one_hot), torch.from_numpy(wanted)


def load_adding(
    *,
    steps: int = 100,
    sample_count: int = 20_000,
    validation_size: int = 1_000,
    split_seed: int = 1234,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> Split:
    """The adding problem, drawn anew from the seed.

    Args:
        steps: T, at least 2.
        sample_count: Training samples; the validation and test parts come on top of them.
        validation_size: Samples for validation, and as many for the test.
        split_seed: Seed of the samples; the three parts are drawn from unrelated streams.
        data_dir: Not looked at.
        report: Not called.

    Returns:
        The three parts.

    Raises:
        InputError: If a number is too small.
    """
    require_counts(
        "adding",
        low={"steps": 2},
        steps=steps,
        sample_count=sample_count,
        validation_size=validation_size,
    )
    parts = draw_parts(
        lambda count, seed: SequenceDataset(*adding_problem(count, steps, seed)),
        (sample_count, validation_size),
        split_seed,
    )
    return _split("adding", parts, 1, "values", {"mean": 1 / 6})


def load_copying(
    *,
    steps: int = 100,
    sample_count: int = 20_000,
    validation_size: int = 1_000,
    split_seed: int = 1234,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> Split:
    """The copying problem, drawn anew from the seed.

    Args:
        steps: The delay; sequences are 20 longer.
        sample_count: Training samples; the validation and test parts come on top of them.
        validation_size: Samples for validation, and as many for the test.
        split_seed: Seed of the samples; the three parts are drawn from unrelated streams.
        data_dir: Not looked at.
        report: Not called.

    Returns:
        The three parts.

    Raises:
        InputError: If a number is too small.
    """
    require_counts(
        "copying", steps=steps, sample_count=sample_count, validation_size=validation_size
    )
    parts = draw_parts(
        lambda count, seed: SequenceDataset(*copying_problem(count, steps, seed)),
        (sample_count, validation_size),
        split_seed,
    )
    loss = RECALLED * math.log(SYMBOLS) / (steps + 2 * RECALLED)
    return _split("copying", parts, SYMBOLS + 1, "symbols", {"memoryless": loss})


def require_counts(where: str, low: Mapping[str, int] | None = None, **counts: int) -> None:
    """Raise ``InputError`` unless each number is at least 1, or what ``low`` says of it."""
    for name, value in counts.items():
        least = (low or {}).get(name, 1)
        if value < least:
            raise InputError(f"{where}: expected `{name}` of at least {least}, got {value}.")


def draw_parts(
    draw: Callable[[int, int], SequenceDataset], counts: tuple[int, int], seed: int
) -> tuple[SequenceDataset, SequenceDataset, SequenceDataset]:
    """Training, validation and test samples from unrelated streams.

    Args:
        draw: Makes so many samples from a seed.
        counts: Training samples; and those for validation, and as many for the test.
        seed: Seed of the task; the parts have seeds of their own that no other task seed has.

    Returns:
        The three parts.
    """
    training, held_out = counts
    return (
        draw(training, 4 * seed),
        draw(held_out, 4 * seed + 1),
        draw(held_out, 4 * seed + 2),
    )


def _split(
    name: str,
    parts: tuple[SequenceDataset, SequenceDataset, SequenceDataset],
    output_size: int,
    kind: str,
    trivial: dict[str, float],
) -> Split:
    content = b"".join(part.values.numpy().tobytes() for part in parts)
    return Split(
        name=name,
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        output_size=output_size,
        source="drawn from the seed",
        digest=sha256(content),
        kind=kind,
        trivial=trivial,
    )
