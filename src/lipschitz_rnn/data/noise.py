"""Samples padded with noise: the answer has to be kept while nothing more is to be learned."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_choice
from lipschitz_rnn.data.counter import random_bits

NOISE_KINDS = ("fresh", "fixed")
"""Of padding: drawn for each sample, or one block that all samples share."""

_GOLDEN = 0x9E3779B9  # odd


@dataclass(frozen=True)
class NoisePadding:
    """Steps of independent standard normal noise after the sample.

    Fresh noise is a function of the seed and the sample: it is the same in every epoch and
    whatever the batch, and no two of the first 2**32 samples have the same.

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
        # torch's generator takes 32 bits of a seed. An odd multiple maps ids to them one to one,
        # which a hash would not: among 60,000 samples two would be expected to coincide.
        start = int(random_bits(self.seed, 0, torch.zeros(1, dtype=torch.int64))[0]) % 2**32
        seeds = [(start + _GOLDEN * (1 + sample)) % 2**32 for sample in ids.tolist()]
        generator = torch.Generator(device="cpu")
        if self.kind == "fixed":
            padded[:, steps:] = torch.empty(self.total - steps, size).normal_(
                generator=generator.manual_seed(start)
            )
        else:
            for row, seed in zip(padded, seeds, strict=True):
                row[steps:].normal_(generator=generator.manual_seed(seed))
        return padded
