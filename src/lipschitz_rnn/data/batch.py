"""A batch, and what training asks of anything that batches come from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Samples that go through the model together.

    Attributes:
        input: Model input, shape ``(B, T, P)``, float32; or symbols, ``(B, T)``, int64.
        target: A class ``(B,)`` or values ``(B, Q)`` for each sample; or, at every step, symbols
            ``(B, T)`` or values ``(B, T, Q)``. Classes and symbols are int64.
        lengths: Valid steps of each sample, ``(B,)``, int64; None if all are whole.
        dt: For how long each input is held, ``(B, T)``, in multiples of the step size; None for 1.
    """

    input: Tensor
    target: Tensor
    lengths: Tensor | None = None
    dt: Tensor | None = None

    def __len__(self) -> int:
        """Number of samples, B."""
        return self.target.shape[0]

    @property
    def every_step(self) -> bool:
        """Whether every step has an answer, and not the last one alone."""
        return self.target.dim() == (3 if self.target.is_floating_point() else 2)

    def to(self, device: torch.device) -> "Batch":
        """The same samples on a device; lengths stay on the CPU, where torch wants them."""
        moved = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("input", "target", "dt"):
            if moved[name] is not None:
                moved[name] = moved[name].to(device)
        return Batch(**moved)


class LongBatch(Protocol):
    """A batch of which stretches of time are read one by one, because all of it is too much."""

    @property
    def lengths(self) -> Tensor:
        """Steps of each row, ``(B,)``, int64, on the CPU."""

    @property
    def every_step(self) -> bool:
        """Whether every step has an answer, and not the last one alone."""

    def whole(self) -> Batch:
        """All of it."""

    def read(self, first: Tensor, steps: int) -> Batch:
        """So many steps of each row; what stands behind its end means nothing.

        Args:
            first: The first one of each row, ``(B,)``, int64.
            steps: How many.

        Returns:
            The steps, without lengths; the target is that of the steps, or that of the rows.
        """


class Dataset(Protocol):
    """One part of a split, as training sees it: an epoch is a plan, each entry of it a batch.

    One with an attribute ``lengths``, the steps of each sequence, ``(n,)``, can be grouped by them:
    its method ``batch`` is then called with integers of shape ``(B,)``, which no plan of its own
    gave.
    """

    @property
    def input_size(self) -> int:
        """P, numbers per time step; for symbols, how many different ones there are."""

    @property
    def carries_state(self) -> bool:
        """Whether each batch goes on where the one before ended, row by row."""

    def __len__(self) -> int:
        """Samples; for a stream the symbols that are predicted."""

    def plan(self, batch_size: int, order: Tensor | None = None) -> Sequence[Any]:
        """What to call :meth:`batch` with, one after the other.

        Args:
            batch_size: Samples a batch.
            order: A permutation of the samples, shape ``(n,)``; a stream has only its own order.

        Returns:
            One entry a batch.
        """

    def batch(self, index: Any, epoch: int = 0) -> Batch:
        """The batch of an entry of the plan.

        Args:
            index: The entry.
            epoch: Counted from 1 in training, 0 in evaluation; random changes depend on it.

        Returns:
            The batch.
        """
