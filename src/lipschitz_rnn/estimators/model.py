"""The model of an estimator: patches, a recurrent layer, what is read of its states, a head."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lipschitz_rnn.estimators.forecast_model import ForecastModel
from lipschitz_rnn.nn import SequenceRegressor, make_layer
from lipschitz_rnn.nn.patches import Patches, PatchModel
from lipschitz_rnn.nn.pooled import PooledRegressor

POOLINGS = ("statistics", "last")


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
