"""A long text as rows that are read side by side, segment after segment."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_positive_int, require_shape
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.batch import Batch


@dataclass(frozen=True)
class Segment:
    """A stretch of time of all rows.

    Attributes:
        rows: How many rows the text is laid out in.
        first: Position of the first symbol within each row.
    """

    rows: int
    first: int


@dataclass(frozen=True)
class SymbolStream:
    r"""A text of which every symbol is predicted from all before it in its row.

    With B rows the text of n symbols is cut into B stretches of equal length,
    :math:`\lfloor (n - 1) / B \rfloor` predictions each; up to B - 1 symbols at the end are left
    out. Segments of T steps follow each other, so the state of one is where the next begins.

    Attributes:
        symbols: The text, shape ``(n,)``, integers in [0, V) of any type.
        vocabulary: V.
        steps: T, steps between two updates; the last segment may be shorter.

    Raises:
        ValueError: If a shape or value does not fit.

    Examples:
        >>> stream = SymbolStream(torch.tensor([0, 1, 2, 0, 1, 2, 0]), vocabulary=3, steps=2)
        >>> [stream.batch(segment).input.tolist() for segment in stream.plan(2)]
        [[[0, 1], [0, 1]], [[2], [2]]]
    """

    symbols: Tensor
    vocabulary: int
    steps: int

    carries_state = True

    def __post_init__(self) -> None:
        where = "SymbolStream"
        require_shape(where, "symbols", self.symbols, (None,), "(n,)")
        require_positive_int(where, "vocabulary", self.vocabulary)
        require_positive_int(where, "steps", self.steps)
        if not len(self.symbols):
            raise ValueError(f"{where}: expected at least one symbol, got none.")
        low, high = int(self.symbols.min()), int(self.symbols.max())
        if low < 0 or high >= self.vocabulary:
            raise ValueError(
                f"{where}: expected symbols from 0 to {self.vocabulary - 1}, got {low} to {high}."
            )

    def __len__(self) -> int:
        """Symbols that can be predicted: all but the first."""
        return len(self.symbols) - 1

    @property
    def input_size(self) -> int:
        """V, how many different symbols there are."""
        return self.vocabulary

    def plan(self, batch_size: int, order: Tensor | None = None) -> Sequence[Segment]:
        """Segments in the order of the text, whatever ``order`` says.

        Returns:
            One segment a batch.

        Raises:
            InputError: If there are more rows than predictions.
        """
        length = len(self) // batch_size
        if not length:
            raise InputError(
                f"text: expected at least {batch_size + 1} symbols for {batch_size} rows, "
                f"got {len(self.symbols)}. Lower the batch size."
            )
        return [Segment(batch_size, first) for first in range(0, length, self.steps)]

    def batch(self, index: Segment, epoch: int = 0) -> Batch:
        """The symbols of a segment and those that follow each.

        Args:
            index: An entry of the plan.
            epoch: Without effect.

        Returns:
            Input and target ``(B, T)``, int64.
        """
        length = len(self) // index.rows
        last = min(index.first + self.steps, length)
        columns = torch.arange(index.first, last)
        positions = torch.arange(index.rows).unsqueeze(1) * length + columns  # (B, T)
        return Batch(self.symbols[positions].long(), self.symbols[positions + 1].long())
