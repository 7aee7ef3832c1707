"""Sequences of unequal length, one behind the other in memory, padded when a batch is taken."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lipschitz_rnn._base.checks import require_shape
from lipschitz_rnn.data.batch import Batch


@dataclass(frozen=True)
class FrameDataset:
    """Sequences of frames; the model reads each frame and predicts the next one.

    Attributes:
        frames: All frames of all sequences, shape ``(F, P)``, float32.
        starts: First frame of each sequence, shape ``(n,)``, int64.
        counts: Frames of each sequence, at least 2, shape ``(n,)``, int64.

    Raises:
        ValueError: If a shape does not fit, or a sequence is too short or ends beyond the frames.

    Examples:
        >>> data = FrameDataset(torch.arange(5.0).view(5, 1), torch.tensor([0, 2]),
        ...     torch.tensor([2, 3]))
        >>> batch = data.batch(torch.tensor([1, 0]))
        >>> batch.input[:, :, 0], batch.target[:, :, 0], batch.lengths
        (tensor([[2., 3.],
                [0., 0.]]), tensor([[3., 4.],
                [1., 0.]]), tensor([2, 1]))
    """

    frames: Tensor
    starts: Tensor
    counts: Tensor

    carries_state = False

    def __post_init__(self) -> None:
        where = "FrameDataset"
        require_shape(where, "frames", self.frames, (None, None), "(F, P)")
        require_shape(where, "starts", self.starts, (None,), "(n,)")
        require_shape(where, "counts", self.counts, (len(self.starts),), "(n,)")
        if len(self.counts) and int(self.counts.min()) < 2:
            raise ValueError(
                f"{where}: expected sequences of at least 2 frames, got {int(self.counts.min())}."
            )
        ends = self.starts + self.counts
        if len(ends) and (int(self.starts.min()) < 0 or int(ends.max()) > len(self.frames)):
            raise ValueError(
                f"{where}: expected sequences within {len(self.frames)} frames, got one from "
                f"{int(self.starts.min())} to {int(ends.max())}."
            )

    def __len__(self) -> int:
        """Number of sequences, n."""
        return len(self.starts)

    @property
    def input_size(self) -> int:
        """Numbers per frame, P."""
        return self.frames.shape[1]

    @property
    def lengths(self) -> Tensor:
        """Frames of each sequence that the model reads, shape ``(n,)``: all but the last."""
        return self.counts - 1

    def plan(self, batch_size: int, order: Tensor | None = None) -> Sequence[Tensor]:
        """Indices of each batch; see :class:`lipschitz_rnn.data.Dataset`.

        Returns:
            One tensor a batch.
        """
        return torch.split(torch.arange(len(self)) if order is None else order, batch_size)

    def batch(self, index: Tensor | slice, epoch: int = 0) -> Batch:
        """The sequences at ``index``, padded with zeros to the longest.

        Args:
            index: A slice, or integers of shape ``(B,)``.
            epoch: Without effect.

        Returns:
            Input and target ``(B, T, P)``, the target one frame later, and lengths ``(B,)``.
        """
        starts, counts = self.starts[index].tolist(), self.counts[index].tolist()
        whole = [self.frames[a : a + n] for a, n in zip(starts, counts, strict=True)]
        padded = pad_sequence(whole, batch_first=True)
        input = pad_sequence([frames[:-1] for frames in whole], batch_first=True)
        return Batch(input, padded[:, 1:], lengths=self.lengths[index])

    def subset(self, index: Tensor) -> "FrameDataset":
        """A data set of the sequences at ``index``, shape ``(m,)``; the frames are shared."""
        return FrameDataset(self.frames, self.starts[index], self.counts[index])
