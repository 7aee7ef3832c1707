"""The model of an estimator: patches, a recurrent layer, what is read of its states, a head."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipschitz_rnn.estimators.forecast_model import ForecastModel
from lipschitz_rnn.estimators.patches import Patches, hold_last
from lipschitz_rnn.nn import SequenceRegressor, make_layer

POOLINGS = ("statistics", "last")

_SQUARE = 1e-6
"""Added under the root of a deviation, whose slope would be infinite at zero."""


@dataclass(frozen=True)
class Architecture:
    """What a model is built from.

    Attributes:
        unit: A key of :data:`lipschitz_rnn.nn.UNITS`.
        options: Of the unit.
        input_size: P.
        output_size: Numbers per answer.
        hidden_size: H.
        num_layers: Layers on top of each other.
        bidirectional: Whether a second set of units reads the series backwards.
        dropout: Probability between layers and before the head.
        pooling: One of ``POOLINGS``, or ``"forecast"`` for forecasts at every step.
        patch: Observations from a step to the next.
        window: Observations that a step reads.
        input_gain: How many times as large U of the first layer starts as in ``nn.Linear``.
    """

    unit: str
    options: Mapping[str, Any]
    input_size: int
    output_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    dropout: float
    pooling: str
    patch: int
    window: int
    input_gain: float = 1.0

    def layer(self) -> nn.Module:
        """The recurrent layer, its weights drawn from torch's generator."""
        layer = make_layer(
            self.unit,
            self.input_size * self.window,
            self.hidden_size,
            self.num_layers,
            batch_first=True,
            bidirectional=self.bidirectional,
            dropout=self.dropout if self.num_layers > 1 else 0.0,
            **self.options,
        )
        with torch.no_grad():
            for name, weight in layer.named_parameters():
                if name.startswith("weight_ih_l0"):  # in both directions
                    weight.mul_(self.input_gain)
        return layer

    def build(self) -> nn.Module:
        """The model: from (B, T, P), and ``mask``, ``dt``, ``lengths``, to answers."""
        patches = Patches(self.patch, self.window)
        if self.pooling == "forecast":
            horizon = self.output_size // self.input_size
            return ForecastModel(self.layer(), patches, horizon, dropout=self.dropout)
        kind = SequenceRegressor if self.pooling == "last" else PooledRegressor
        reader = kind(self.layer(), self.output_size, dropout=self.dropout)
        if self.window == 1:
            return reader
        return PatchModel(patches, reader)


class PatchModel(nn.Module):
    """A model that reads patches.

    Args:
        patches: Cuts a series.
        reader: Answers it.
    """

    def __init__(self, patches: Patches, reader: nn.Module) -> None:
        super().__init__()
        self.patches = patches
        self.reader = reader

    def forward(
        self,
        input: Tensor,
        *,
        dt: Tensor | None = None,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Answer a batch of series.

        Args:
            input: (B, T, P).
            dt: For how long each input is held, (B, T).
            mask: Which values were observed, (B, T, P); the last one stands in for the others.
            lengths: Valid steps of each series, (B,).

        Returns:
            The answers, (B, Q).
        """
        if mask is not None:
            input = hold_last(input, mask)
        patches, dt, lengths = self.patches(input, dt, lengths)
        answers: Tensor = self.reader(patches, dt=dt, lengths=lengths)
        return answers


class PooledRegressor(SequenceRegressor):
    r"""Read a series, answer from its last state and three statistics of all states.

    .. math:: y = D\,[h_T, \operatorname{mean}_t h_t, \max_t h_t, \operatorname{std}_t h_t] + d

    Args:
        rnn: A recurrent layer with ``batch_first``, as
            :class:`lipschitz_rnn.nn.SequenceRegressor` takes it.
        output_size: Q, numbers per answer.
        dropout: Probability of dropping one of those numbers before the head, in training mode.
    """

    def __init__(self, rnn: nn.Module, output_size: int, *, dropout: float = 0.0) -> None:
        super().__init__(rnn, output_size, every_step=True, dropout=dropout)
        self.head = nn.Linear(4 * self.head.in_features, output_size)

    def _answer(self, state: Tensor) -> Tensor:
        return state  # the head sees them all together

    def forward(  # type: ignore[override]
        self, input: Tensor, *, lengths: Tensor | None = None, **extras: Any
    ) -> Tensor:
        """Answer a batch (B, T, P); see :meth:`lipschitz_rnn.nn.SequenceRegressor.forward`.

        Returns:
            The answers, (B, Q).
        """
        states = super().forward(input, lengths=lengths, **extras)  # (B, T, D*H), padding zero
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
    return mean, highest, (square + _SQUARE).sqrt()
