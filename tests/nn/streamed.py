"""Models that streams are tested on, in float64, and what they say to whole sequences."""

import torch
from torch import nn

from lipschitz_rnn.nn import (
    LanguageModel,
    LEMCell,
    LipschitzRNN,
    NoisyLipschitzRNNCell,
    RecurrentLayer,
    SequenceClassifier,
    SequenceRegressor,
    make_layer,
)

P, H, V = 3, 5, 7
DOUBLE = {"dtype": torch.float64}


def layer(batch_first=False, **options):
    options = {"step_size": 0.3, "gamma": 0.1, "init_std": 2.0} | options
    return LipschitzRNN(P, H, batch_first=batch_first, **options, **DOUBLE).eval()


def cells(*kinds):
    def build(batch_first=False):
        sizes = (P, *(H for _ in kinds[1:]))
        layers = [kind(size, H, **DOUBLE) for kind, size in zip(kinds, sizes, strict=True)]
        return RecurrentLayer(layers, batch_first=batch_first)

    return build


def with_head(kind=SequenceClassifier, *, encoded=False, **options):
    def build(batch_first=False):
        encoder = nn.Sequential(nn.Linear(P, P, **DOUBLE), nn.Tanh()) if encoded else None
        return kind(layer(batch_first, num_layers=2), 4, encoder=encoder, **options)

    return build


def language(make):
    return lambda batch_first=False: LanguageModel(make(batch_first), V)


TIMED = {
    "LipschitzRNN": layer,
    "two layers, midpoint": lambda first=False: layer(first, num_layers=2, method="midpoint"),
    "gated, Heun": lambda first=False: layer(first, gated=True, method="heun"),
    "substeps, learned": lambda first=False: layer(first, substeps=2, trainable=("step_size",)),
    "LEM cells": cells(LEMCell, LEMCell),
    "noisy cells": cells(NoisyLipschitzRNNCell),
    "classifier": with_head(),
    "classifier at every step": with_head(every_step=True, dropout=0.5),
    "regressor with an encoder": with_head(SequenceRegressor, encoded=True, every_step=True),
}
UNTIMED = {
    "LSTM cells": cells(nn.LSTMCell, nn.LSTMCell),
    "torch's LSTM": lambda first=False: nn.LSTM(P, H, 2, batch_first=first, **DOUBLE),
    "torch's LSTM, projected": lambda first=False: nn.LSTM(
        P, H, batch_first=first, proj_size=2, **DOUBLE
    ),
    "classifier on a GRU": lambda first=False: SequenceClassifier(
        nn.GRU(P, H, batch_first=first, **DOUBLE), 4
    ),
}
UNITS = {
    f"unit {name}": lambda first=False, name=name: make_layer(
        name, P, H + 1, batch_first=first, **DOUBLE
    )
    for name in (
        *("residual", "antisymmetric", "antisymmetric-gated"),
        *("cayley", "exponential", "cornn", "rnn"),
    )
}
TEXT = {
    "language model": language(layer),
    "language model on LSTM cells": language(cells(nn.LSTMCell)),
}
MODELS = TIMED | UNTIMED | UNITS | TEXT


def build(name, batch_first=False):
    """A model in evaluation mode, in which a push may take the shortest way."""
    return MODELS[name](batch_first).eval()


def is_text(model):
    return isinstance(model, LanguageModel)


def observations(model, *shape):
    """Inputs for a model, time first: (*shape, P), or symbols (*shape,)."""
    if is_text(model):
        return torch.randint(V, shape)
    dtype = next(model.parameters()).dtype
    return torch.randn(*shape, P, dtype=dtype)


def swap(model, value):
    """From time first to the model's own layout, or back; None stays None."""
    rnn = getattr(model, "rnn", model)
    both = value is not None and value.dim() >= 2 and rnn.batch_first
    return value.transpose(0, 1) if both else value


def offline(model, input, **options):
    """Answers after each step of a whole batch (T, B, ...), time first, in evaluation mode."""
    was_training = model.training
    model.eval()
    options = {name: swap(model, value) for name, value in options.items()}
    with torch.no_grad():
        if isinstance(model, SequenceRegressor) and not model.every_step:
            answers = torch.stack(
                [
                    model(swap(model, input[:t]), **_until(model, t, options))
                    for t in range(1, len(input) + 1)
                ]
            )
        else:
            found = model(swap(model, input), **options)
            answers = swap(model, found[0] if isinstance(found, tuple) else found)
    model.train(was_training)
    return answers


def _until(model, t, options):
    return {name: swap(model, swap(model, value)[:t]) for name, value in options.items()}


def pushed(streamer, input, **options):
    """Answers to observations pushed one by one; ``options`` have T in front."""
    answers = []
    for t, x in enumerate(input):
        own = {name: value[t] for name, value in options.items() if value is not None}
        answers.append(streamer.push(x, **own))
    return torch.stack(answers)
