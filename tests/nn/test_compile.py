"""A whole training step as one compiled graph, with the native kernel inside."""

import shutil

import pytest
import torch
from matching import assert_matches
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters
from torch.nn import functional

from lipschitz_rnn import LipschitzRNN, SequenceClassifier
from lipschitz_rnn.ops import variants

LEARNING_RATE, MOMENTUM = 0.1, 0.9
STEPS, BATCHES = 6, (5, 7, 4)
pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(not variants(), reason="no native library here"),
]


def classes(**options):
    return SequenceClassifier(LipschitzRNN(3, 6, **options), 4)


def layer(**options):
    return LipschitzRNN(3, 6, **options)


CASES = {
    "classifier": (classes, {}, {}),
    "layer": (layer, {}, {}),
    "last state alone": (layer, {}, {"need_output": False}),
    "stacked, midpoint": (classes, {"num_layers": 2, "method": "midpoint"}, {}),
    "both directions": (layer, {"bidirectional": True, "batch_first": True}, {}),
    "times": (classes, {}, {"dt": True}),
    "learned step size": (classes, {"trainable": ("step_size",)}, {"dt": True}),
}


def train(model, velocities, input, target, options):
    """Forward, loss, backward and an update with momentum."""
    found = model(input, **options)
    if isinstance(found, tuple):
        output, h_n = found
        found = h_n.sum(0)[:, :4]
        if output is not None:
            found = found + output.square().mean() * torch.arange(4, dtype=output.dtype)
    loss = functional.cross_entropy(found, target)
    loss.backward()
    parameters = list(model.parameters())
    with torch.no_grad():
        # as torch's optimisers do it; torch 2.13 loses updates of scalars by `add_` and the like
        # in a graph of forward and backward
        torch._foreach_mul_(velocities, MOMENTUM)
        torch._foreach_add_(velocities, [parameter.grad for parameter in parameters])
        torch._foreach_add_(parameters, velocities, alpha=-LEARNING_RATE)
    return loss.detach()


def run_beside(compiled, case, dtype=torch.float64):
    """Compiled and plain updates of equal models on batches of several sizes."""
    build, unit, call = CASES[case]
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        models.append(build(**unit).to(dtype))
    velocities = [[torch.zeros_like(p) for p in model.parameters()] for model in models]
    before = [p.detach().clone() for p in models[0].parameters()]
    for batch in BATCHES:
        shape = (batch, STEPS) if unit.get("batch_first") else (STEPS, batch)
        input, target = torch.randn(*shape, 3, dtype=dtype), torch.randint(4, (batch,))
        options = call | ({"dt": torch.rand(shape, dtype=dtype)} if "dt" in call else {})
        losses = []
        for step, model, state in zip((compiled, train), models, velocities, strict=True):
            model.zero_grad()
            losses.append(step(model, state, input, target, options))
        assert_matches("loss", *losses, steps=STEPS)
    for (name, p), q, old in zip(
        models[0].named_parameters(), models[1].parameters(), before, strict=True
    ):
        # what rounds differently: sums over steps and samples, in each of the updates
        assert_matches(name, p, q, steps=STEPS * sum(BATCHES))
        assert not torch.equal(p, old), name


@pytest.fixture
def compiled_step():
    """Compile the training step into one graph or fail; ``loss.backward()`` is traced too."""
    torch._dynamo.reset()
    counters.clear()
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        yield lambda backend: torch.compile(train, fullgraph=True, dynamic=True, backend=backend)
    torch._dynamo.reset()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if case in {"classifier", "times"} else pytest.mark.slow)
        for case in CASES
    ],
)
def test_a_training_step_is_one_graph(compiled_step, case):
    graphs = []

    def spy(module, examples):
        graphs.append(module.code)
        return module.forward

    run_beside(compiled_step(aot_autograd(fw_compiler=spy)), case)
    assert counters["stats"]["unique_graphs"] == 1  # for all sizes of batch
    assert not counters["graph_break"]
    (code,) = graphs
    assert "lipschitz_rnn.scan." in code
    assert "lipschitz_rnn.scan_backward" in code


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_training_step_by_inductor(compiled_step, dtype):
    run_beside(compiled_step("inductor"), "classifier", dtype)
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
