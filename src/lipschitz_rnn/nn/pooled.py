"""A model that answers from statistics of all its states."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipschitz_rnn.nn.heads import SequenceRegressor

LEAST_SQUARE = 1e-6
"""Added under the root of a deviation, whose slope would be infinite at zero."""


class PooledRegressor(SequenceRegressor):
    r"""Read a series, answer from its last state and three statistics of all states.

    .. math:: y = D\,[h_T, \operatorname{mean}_t h_t, \max_t h_t, \operatorname{std}_t h_t] + d

    Args:
        rnn: A recurrent layer with ``batch_first``, as :class:`SequenceRegressor` takes it.
        output_size: Q, numbers per answer.
        dropout: Probability of dropping one of those numbers before the head, in training mode.
    """

    def __init__(self, rnn: nn.Module, output_size: int, *, dropout: float = 0.0) -> None:
        super().__init__(rnn, output_size, every_step=True, dropout=dropout)
        self.head = nn.Linear(4 * self.head.in_features, output_size)

    def _answer(self, state: Tensor) -> Tensor:
        return state  # the head sees them all together

    def forward(  # type: ignore[override]
        self,
        input: Tensor,
        *,
        dt: Tensor | None = None,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Answer a batch (B, T, P); see :meth:`SequenceRegressor.forward`.

        Returns:
            The answers, (B, Q).
        """
        # (B, T, D*H), padding zero
        states = super().forward(input, dt=dt, mask=mask, lengths=lengths)
        assert isinstance(states, Tensor)  # for the type checker: the input is not packed
        pooled = torch.cat((self._final(states, lengths), *_statistics(states, lengths)), 1)
        answer: Tensor = self.head(functional.dropout(pooled, self.dropout, self.training))
        return answer

    def _final(self, states: Tensor, lengths: Tensor | None) -> Tensor:
        """The state at which each direction ends, (B, D*H)."""
        if lengths is None:
            last = states[:, -1]
        else:
            rows = torch.arange(len(states), device=states.device)
            last = states[rows, lengths.to(states.device) - 1]
        if not self.rnn.bidirectional:
            return last
        width = states.shape[-1] // 2  # the way back ends at the first step
        return torch.cat((last[:, :width], states[:, 0, width:]), 1)


def _statistics(states: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, maximum and deviation over the valid steps of states (B, T, F), zero elsewhere."""
    if lengths is None:
        mean, highest = states.mean(1), states.max(1).values
        square = (states - mean.unsqueeze(1)).square().mean(1)
    else:
        counts = lengths.to(states.device).unsqueeze(1)
        padding = (torch.arange(states.shape[1], device=states.device) >= counts).unsqueeze(-1)
        mean = states.sum(1) / counts
        highest = states.masked_fill(padding, -torch.inf).max(1).values
        centred = (states - mean.unsqueeze(1)).masked_fill(padding, 0)
        square = centred.square().sum(1) / counts
    return mean, highest, (square + LEAST_SQUARE).sqrt()
