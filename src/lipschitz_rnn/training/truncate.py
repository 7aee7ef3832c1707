r"""Back-propagation through time cut after so many steps: batches are read in pieces.

Note [Truncated back-propagation through time]
Let :math:`h_t = F_\theta(h_{t-1}, x_t)`, and let a batch be cut after every K steps. Where every
step has an answer, each piece has a loss of its own, the mean over its answers, and leads to an
update of its own,

.. math:: g_s = \frac{\partial}{\partial\theta}\, L_s(\theta, \bar h_{sK}), \qquad
    L_s = \operatorname{mean}_{\,sK < t \le (s+1)K}\; \ell(y_t, D h_t + d),

where :math:`\bar h_{sK}`, the state that the piece before ended with, is held: it is carried on,
but not differentiated. Where a sequence has one answer, after its last step T, there is one update,

.. math:: g = \frac{\partial}{\partial\theta}\, L(\theta, \bar h_{T-K}),

with the gradient of the last K steps alone; the steps before are run without a graph. A batch of no
more than K steps is one piece, and all is as without a cut. What is held in memory at any time are
the inputs, states and gradients of K steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lipschitz_rnn.data import Batch, Dataset, LongBatch


@dataclass(frozen=True)
class Piece:
    """A stretch of time of a batch; see Note [Truncated back-propagation through time].

    Attributes:
        batch: Its inputs, and what they are to be answered with. A row that ended before has the
            length 0.
        has_answers: Whether anything is answered here; if not, ``batch.target`` means nothing.
        goes_on: Whether the next piece begins with the state that this one ends with.
        before: Steps of the batch before this piece.
        is_stream: Whether it is a piece of one long sequence, which ends where the data end.
    """

    batch: Batch
    has_answers: bool = True
    goes_on: bool = False
    before: int = 0
    is_stream: bool = False

    @property
    def steps(self) -> int:
        """Steps of the batch up to the end of this piece."""
        return self.before + self.batch.input.shape[1]

    def samples(self, answers: int, rows: int) -> int:
        """What a pace is measured in: sequences, counted with their last piece; steps of a stream.

        Args:
            answers: That were counted.
            rows: That were run.

        Returns:
            How many of them this piece adds.
        """
        return answers if self.is_stream else 0 if self.goes_on else rows


class _Loaded:
    """A batch in memory as a :class:`lipschitz_rnn.data.LongBatch`."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        count, steps = batch.input.shape[:2]
        self.lengths = torch.full((count,), steps) if batch.lengths is None else batch.lengths
        self.every_step = batch.every_step

    def whole(self) -> Batch:
        return self._batch

    def read(self, first: Tensor, steps: int) -> Batch:
        batch = self._batch
        target = _stretch(batch.target, first, steps) if self.every_step else batch.target
        dt = None if batch.dt is None else _stretch(batch.dt, first, steps)
        return Batch(_stretch(batch.input, first, steps), target, dt=dt)


def read_pieces(dataset: Dataset, index: Any, epoch: int, steps: int | None) -> Iterator[Piece]:
    """The pieces of a batch, in the order of time.

    Args:
        dataset: What the batch is of. With a method ``open_batch(index, epoch)`` that returns a
            :class:`lipschitz_rnn.data.LongBatch`, no more than a piece is read at a time.
        index: An entry of its plan.
        epoch: As ``dataset.batch`` takes it.
        steps: K, steps of a piece; None for the batch as it is. A stream is in pieces already.

    Yields:
        One piece after the other, on the CPU; the last one has answers.
    """
    if steps is None or dataset.carries_state:
        is_stream = dataset.carries_state
        yield Piece(dataset.batch(index, epoch), goes_on=is_stream, is_stream=is_stream)
        return
    opened = getattr(dataset, "open_batch", None)
    batch: LongBatch = opened(index, epoch) if opened else _Loaded(dataset.batch(index, epoch))
    if int(batch.lengths.max()) <= steps:
        yield Piece(batch.whole())
        return
    yield from _cut(batch, steps)


def _cut(batch: LongBatch, steps: int) -> Iterator[Piece]:
    lengths, answered = batch.lengths, batch.every_step
    # Up to here the rows are read side by side: to the end of each, or K steps before it.
    ends = lengths if answered else (lengths - steps).clamp(min=0)
    longest = int(ends.max())
    for first in range(0, longest, steps):
        count = min(steps, longest - first)
        goes_on = not answered or first + count < longest
        part = batch.read(torch.full_like(ends, first), count)
        yield Piece(_keep(part, (ends - first).clamp(0, count)), answered, goes_on, first)
    if not answered:
        yield Piece(_keep(batch.read(ends, steps), lengths - ends), before=longest)


def _keep(part: Batch, lengths: Tensor) -> Batch:
    """With lengths, if they say anything."""
    is_full = bool((lengths == part.input.shape[1]).all())
    return part if is_full else replace(part, lengths=lengths)


def _stretch(values: Tensor, first: Tensor, steps: int) -> Tensor:
    """Of each row of (B, T, ...) its own steps, (B, steps, ...); behind T the last one again."""
    start = int(first[0])
    if bool((first == start).all()):
        return values[:, start : start + steps]
    times = (first.unsqueeze(1) + torch.arange(steps)).clamp(max=values.shape[1] - 1)
    return values[torch.arange(len(first)).unsqueeze(1), times]
