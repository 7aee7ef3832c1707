"""torch's own recurrent layers, which are units to compare with too."""

from typing import Any

from torch import nn

TORCH_LAYERS: dict[str, type[nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
"""Layers, not cells: torch runs whole sequences of these units faster than any loop."""

TORCH_OPTIONS: dict[str, dict[str, Any]] = {
    "rnn": {"nonlinearity": "tanh", "bias": True},
    "gru": {"bias": True},
    "lstm": {"bias": True},
}
"""Their options with defaults; their signatures do not tell."""
