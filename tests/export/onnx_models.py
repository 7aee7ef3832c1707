"""Models to export, and their files run in onnxruntime beside themselves."""

import numpy as np
import onnxruntime
import torch
from matching import assert_matches
from torch import nn

from lipschitz_rnn import LanguageModel, LipschitzRNN, SequenceRegressor
from lipschitz_rnn.ops import NONLINEARITIES, RK4, ButcherTableau, Nonlinearity

SIZES = (7, 3), (1, 1), (40, 2)
RALSTON = ButcherTableau("ralston", 2, ((2 / 3,),), (0.25, 0.75), (0.0, 2 / 3))
STEEP = Nonlinearity("steep", lambda x: x.tanh() * 2, 0.0, 2.0)


def lipschitz(**options):
    return LipschitzRNN(3, 5, **({"step_size": 0.2} | options))


UNITS = {
    "euler": {},
    "midpoint": {"method": "midpoint"},
    "heun": {"method": "heun"},
    "rk4": {"method": RK4},
    "a method of a user's own": {"method": RALSTON},
    "substeps": {"substeps": 3},
    "without bias": {"bias": False},
    "without A": {"alpha": 0.0},
    "alpha": {"alpha": 0.5},
    "learned scalars": {"num_layers": 2, "trainable": ("step_size", "alpha", "beta_a", "gamma_w")},
    "gated": {"gated": True, "method": "midpoint", "bias": False},
    "contractive": {"constraint": "contractive"},
    "contractive-flow": {"constraint": "contractive-flow", "nonlinearity": "relu"},
    "stacked": {"num_layers": 3, "dropout": 0.5},
    "both directions": {"num_layers": 2, "bidirectional": True},
    "batch first": {"num_layers": 2, "bidirectional": True, "batch_first": True},
    "a nonlinearity of a user's own": {"nonlinearity": STEEP},
    **{name: {"nonlinearity": name} for name in NONLINEARITIES},
}


def randomised(model, dtype=torch.float64):
    """Weights large enough that every part of the step shows."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.to(dtype).eval()


def layer_of(model):
    return model.rnn if isinstance(model, SequenceRegressor | LanguageModel) else model


def draw(model, steps, batch, *, dt=False, parts=1, symbols=None, features=3):
    """Random arguments of a model: input, state, and times from 0 to 1."""
    layer, dtype = layer_of(model), next(model.parameters()).dtype
    shape = (batch, steps) if layer.batch_first else (steps, batch)
    input = torch.randn(*shape, features, dtype=dtype)
    if symbols is not None:
        input = torch.randint(symbols, shape)
    directions = 2 if layer.bidirectional else 1
    sizes = layer.num_layers * directions, batch, layer.hidden_size
    states = tuple(torch.randn(sizes, dtype=dtype) for _ in range(parts))
    times = torch.rand(shape, dtype=dtype).round(decimals=1) if dt else None
    return input, states if parts > 1 else states[0], times


def run_model(model, input, hx, dt=None):
    """Answers and state, flat, by the model itself."""
    options = {} if dt is None else {"dt": dt}
    if isinstance(model, SequenceRegressor):
        options["need_state"] = True
    with torch.no_grad():
        answers, h_n = model(input, hx, **options)
    return [answers, *(h_n if isinstance(h_n, tuple) else (h_n,))]


def run_file(path, *inputs):
    """Outputs of a file for tensors in the order of its inputs; a None is left out."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    flat = [y for x in inputs if x is not None for y in (x if isinstance(x, tuple) else (x,))]
    names = [one.name for one in session.get_inputs()]
    feeds = {name: x.numpy() for name, x in zip(names, flat, strict=True)}
    return [torch.from_numpy(np.asarray(x)) for x in session.run(None, feeds)]


def assert_same(path, model, *, steps=None, **what):
    """One file, batches and lengths of several sizes."""
    for length, batch in SIZES:
        given = draw(model, length, batch, **what)
        known, found = run_model(model, *given), run_file(path, *given)
        for place, (got, expected) in enumerate(zip(found, known, strict=True)):
            # sums of some ten numbers in another order, over steps that amplify little
            assert_matches(f"output {place}", got, expected, steps=length)


class Slow(nn.Module):
    """A cell of a user's own: a leaky integrator."""

    input_size, hidden_size = 3, 5

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 5)
        self.rate = nn.Parameter(torch.full((5,), 0.3))
        self.mix = nn.Parameter(torch.randn(5, 5))

    def forward(self, input, state=None):
        state = input.new_zeros(len(input), 5) if state is None else state
        return state + self.rate * (torch.tanh(self.inner(input) + state @ self.mix) - state)
