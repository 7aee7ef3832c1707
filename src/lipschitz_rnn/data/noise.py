"""Samples padded with noise: the answer has to be kept while nothing more is to be learned."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_choice

NOISE_KINDS = ("fresh", "fixed")
"""Of padding: drawn for each sample, or one block that all samples share."""


@dataclass(frozen=True)
class NoisePadding:
    """Steps of independent standard normal noise after the sample.

    Fresh noise is a function of the seed and the sample, numpy's stream of both: it is the same in
    every epoch and whatever the batch.

    Attributes:
        total: T after the padding.
        seed: At least 0.
        kind: ``"fresh"`` for noise of each sample's own; ``"fixed"`` for one block shared by all.

    Raises:
        ValueError: If ``kind`` is neither.

    Examples:
        >>> padding = NoisePadding(total=1000, seed=0)
        >>> padding(torch.zeros(2, 32, 96), torch.tensor([0, 1]), epoch=1).shape
        torch.Size([2, 1000, 96])
    """

    total: int
    seed: int
    kind: str = "fresh"

    def __post_init__(self) -> None:
        require_choice("NoisePadding", "kind", self.kind, NOISE_KINDS)

    def shape(self, steps: int, input_size: int) -> tuple[int, int]:
        """T and P after the padding.

        Args:
            steps: T before.
            input_size: P.

        Returns:
            ``(total, input_size)``.

        Raises:
            ValueError: If the sample is longer than ``total``.
        """
        if steps > self.total:
            raise ValueError(
                f"NoisePadding: expected at most total = {self.total} steps, got {steps}."
            )
        return self.total, input_size

    def __call__(self, values: Tensor, ids: Tensor, epoch: int) -> Tensor:
        """Pad a batch, see :class:`lipschitz_rnn.data.sequence.Transform`.

        Returns:
            Shape ``(B, total, P)``; the first T steps are the sample.
        """
        count, steps, size = values.shape
        padded = values.new_empty(count, *self.shape(steps, size))
        padded[:, :steps] = values
        shape = (self.total - steps, size)
        if self.kind == "fixed":
            padded[:, steps:] = self._draw(shape)
        else:
            for row, sample in zip(padded, ids.tolist(), strict=True):
                row[steps:] = self._draw(shape, sample)
        return padded

    def _draw(self, shape: tuple[int, int], *sample: int) -> Tensor:
        stream = np.random.default_rng((self.seed, *sample))
        return torch.from_numpy(stream.standard_normal(shape, dtype=np.float32))
