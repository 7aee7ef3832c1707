"""The model of the forecaster: what comes next, after every step."""

import torch
from torch import Tensor, nn

from lipschitz_rnn.nn import SequenceRegressor
from lipschitz_rnn.nn.patches import Patches, hold_last


class ForecastModel(nn.Module):
    r"""Read a series, tell after every step how it goes on.

    .. math:: \hat x_{t+k} = x_t + s_k \odot (D_k h_t + d_k), \qquad k = 1, \dots, K

    The unit reads how far the series has moved since its first step, not where it is, so that a
    series beyond all levels of training is read as one within; and without the unit's word the
    forecast is the last observation.

    Args:
        rnn: A recurrent layer with ``batch_first``, which reads what ``patches`` gives.
        patches: One for each step.
        horizon: K.
        dropout: Probability of dropping a state before the head, in training mode.

    Shape:
        - input: (B, T, P)
        - Output: (B, T, K, P)

    Attributes:
        spread: s, what the series usually move in k steps, (K, P).
    """

    def __init__(
        self, rnn: nn.Module, patches: Patches, horizon: int, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        features = int(rnn.input_size) // patches.window  # type: ignore[arg-type]
        self.patches = patches
        output_size = horizon * features
        self.reader = SequenceRegressor(rnn, output_size, every_step=True, dropout=dropout)
        self.spread: Tensor
        self.register_buffer("spread", torch.ones(horizon, features))

    def forward(
        self,
        input: Tensor,
        *,
        dt: Tensor | None = None,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Forecast after every step.

        Args:
            input: The series.
            dt: For how long each input is held, (B, T).
            mask: Which values were observed, (B, T, P); the last one stands in for the others.
            lengths: Valid steps of each series, (B,); what is said after others means nothing.

        Returns:
            The next K values after each step; with ``dt`` at the time of the next observation, as
            ``dt`` tells it, and one usual step apart from there on.
        """
        if mask is not None:
            input = hold_last(input, mask)
        moved, dt, lengths = self.patches(input - input[:, :1], dt, lengths)
        answers = self.reader(moved, dt=dt, lengths=lengths)  # (B, T, K*P)
        changes = answers.unflatten(-1, self.spread.shape)
        forecasts: Tensor = input.unsqueeze(-2) + self.spread * changes
        return forecasts


def between(nodes: Tensor, offsets: Tensor) -> Tensor:
    """Read off a line through values one step apart.

    Args:
        nodes: The values, (..., K, P).
        offsets: Where to read, in steps after the first node, (..., M); outside: the nearest node.

    Returns:
        The values there, (..., M, P).
    """
    last = nodes.shape[-2] - 1
    offsets = offsets.clamp(0, last)
    below = offsets.floor().clamp(max=max(0, last - 1))
    share = (offsets - below).unsqueeze(-1).to(nodes)
    index = below.long().unsqueeze(-1).expand(*below.shape, nodes.shape[-1])
    low = nodes.gather(-2, index)
    high = nodes.gather(-2, (index + 1).clamp(max=last))
    return low + share * (high - low)
