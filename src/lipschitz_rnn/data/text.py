"""Texts: bytes to symbols, symbols to numbers, and the loss of predictors that know little."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.split import Split
from lipschitz_rnn.data.stream import SymbolStream


def decode_text(content: bytes, *, where: str) -> str:
    """Decode UTF-8, of which ASCII is a part.

    Args:
        content: The whole file.
        where: What to call it in errors.

    Returns:
        The text, line ends as they are.

    Raises:
        InputError: If it is not UTF-8; the message gives the byte's position.

    Examples:
        >>> decode_text(b"To be", where="hamlet.txt")
        'To be'
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: expected UTF-8 text, got byte 0x{content[error.start]:02x} "
            f"at position {error.start} ({error.reason})."
        ) from None


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of a text in a fixed order; a symbol's number is its place.

    Attributes:
        symbols: Characters or words, each once.

    Raises:
        ValueError: If there is none, or one occurs twice.

    Examples:
        >>> letters = Vocabulary.of("hello")
        >>> letters.symbols, letters.encode("hole", where="text").tolist()
        (('e', 'h', 'l', 'o'), [1, 3, 2, 0])
    """

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise ValueError(
                f"Vocabulary: expected at least one symbol and each once, "
                f"got {len(self.symbols)}, {len(set(self.symbols))} of them different."
            )

    @classmethod
    def of(cls, text: Iterable[str]) -> "Vocabulary":
        """The symbols of a text, in the order of their code points.

        Args:
            text: Usually the training text alone.

        Returns:
            Its vocabulary.
        """
        return cls(tuple(sorted(set(text))))

    def __len__(self) -> int:
        """How many symbols there are, V."""
        return len(self.symbols)

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols)}

    def encode(self, text: Sequence[str], *, where: str) -> Tensor:
        """Numbers of the symbols of a text.

        Args:
            text: A string of characters, or a list of words.
            where: What to call it in errors.

        Returns:
            Shape ``(n,)``, of the smallest of uint8, int16 and int32 that holds V.

        Raises:
            InputError: If the text has a symbol that the vocabulary lacks.
        """
        size = len(self)
        smallest = np.uint8 if size <= 2**8 else np.int16 if size <= 2**15 else np.int32
        try:
            numbers = np.fromiter(map(self._numbers.__getitem__, text), smallest, len(text))
        except KeyError as error:
            symbol = error.args[0]
            raise InputError(
                f"{where}: expected only symbols of the training text, {size} of them, "
                f"got {symbol!r} at position {text.index(symbol)}."
            ) from None
        return torch.from_numpy(numbers)

    def decode(self, numbers: Tensor) -> list[str]:
        """Symbols of numbers.

        Args:
            numbers: Shape ``(n,)``, integers in [0, V).

        Returns:
            The symbols, one each.
        """
        return [self.symbols[number] for number in numbers.tolist()]


def unigram_loss(train: Tensor, test: Tensor, vocabulary: int) -> float:
    r"""Cross-entropy of a predictor that only knows how frequent symbols are.

    .. math:: -\frac1m \sum_{i=1}^{m} \ln \frac{n_{s_i} + 1}{n + V}

    where symbol :math:`s` occurs :math:`n_s` times among the n of the training text, and the sum is
    over the m symbols of the test text that can be predicted: all but the first.

    Args:
        train: Numbers of the training text, shape ``(n,)``.
        test: Numbers of the test text, shape ``(m + 1,)``.
        vocabulary: V.

    Returns:
        Nats a symbol; not a number for a test text without predictions.

    Examples:
        >>> loss = unigram_loss(torch.tensor([0, 0, 1]), torch.tensor([1, 0, 1]), vocabulary=2)
        >>> round(loss, 4) == round(-(math.log(3 / 5) + math.log(2 / 5)) / 2, 4)
        True
    """
    counts = torch.bincount(train.long(), minlength=vocabulary)
    seen = torch.bincount(test[1:].long(), minlength=vocabulary)
    logs = torch.log((counts + 1).double() / (len(train) + vocabulary))
    return float(-(seen * logs).sum() / seen.sum())


def require_steps(where: str, steps: object) -> None:
    """Raise ``InputError`` unless ``steps`` is an integer of at least one."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise InputError(f"{where}: expected `steps` to be an integer >= 1, got {steps!r}.")


def text_split(
    name: str,
    texts: tuple[Sequence[str], Sequence[str], Sequence[str]],
    *,
    steps: int,
    kind: str,
    source: str,
    digest: str,
    notes: Mapping[str, str],
) -> Split:
    """Streams of a text in three parts, numbered by the training part's symbols.

    Args:
        name: The data set.
        texts: For training, validation and test; strings of characters or lists of words.
        steps: T, steps between two updates.
        kind: ``"characters"`` or ``"words"``.
        source: Where the bytes came from.
        digest: SHA-256 that names the raw data.
        notes: What else a figure must be read with.

    Returns:
        The split; the losses to be below are those of frequencies alone and of no knowledge at all.
    """
    train, validation, test = texts
    vocabulary = Vocabulary.of(train)
    size = len(vocabulary)
    numbers = [
        vocabulary.encode(text, where=f"{name}, {part} text")
        for part, text in (("training", train), ("validation", validation), ("test", test))
    ]
    streams = [SymbolStream(part, vocabulary=size, steps=steps) for part in numbers]
    return Split(
        name=name,
        train=streams[0],
        validation=streams[1],
        test=streams[2],
        output_size=size,
        source=source,
        digest=digest,
        kind=kind,
        trivial={
            "unigram": unigram_loss(numbers[0], numbers[2], size),
            "uniform": math.log(size),
        },
        notes=notes,
    )
