"""Every function of torch that has nodes, run in onnxruntime and compared with torch's own."""

import onnxruntime
import pytest
import torch
from matching import assert_matches
from onnx import checker, helper
from torch.nn import functional

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.export.onnx_graph import Graph, Value, declare, initializers
from lipschitz_rnn.export.onnx_operators import OPERATORS

WEIGHT, BIAS = torch.randn(6, 4), torch.randn(6)

CALLS = {
    "abs": lambda x, y: x.abs(),
    "add": lambda x, y: torch.add(x, y, alpha=0.5) + 2 * y + (1 + x),
    "cat": lambda x, y: torch.cat((x, y), -1),
    "chunk": lambda x, y: x.chunk(2, -1)[1],
    "cos": lambda x, y: torch.cos(x),
    "div": lambda x, y: x / 3 + torch.ones(4) / y.exp(),
    "dropout": lambda x, y: functional.dropout(x, 0.5, training=False) + 1,
    "erf": lambda x, y: torch.erf(x),
    "exp": lambda x, y: torch.exp(x),
    "gelu": lambda x, y: functional.gelu(x),
    "layer_norm": lambda x, y: (
        functional.layer_norm(x, (4,)) + functional.layer_norm(y, (4,), BIAS[:4], WEIGHT[0], 1e-3)
    ),
    "linear": lambda x, y: functional.linear(x, WEIGHT, BIAS) + functional.linear(y, WEIGHT),
    "log": lambda x, y: torch.log(x.exp() + 1),
    "logaddexp": lambda x, y: torch.logaddexp(x, torch.zeros_like(x)),
    "matmul": lambda x, y: x @ WEIGHT.mT,
    "maximum": lambda x, y: torch.maximum(x, y),
    "minimum": lambda x, y: torch.minimum(x, y),
    "mul": lambda x, y: x * y * 0.5 * BIAS[:4],
    "neg": lambda x, y: -x,
    "relu": lambda x, y: functional.relu(x),
    "reshape": lambda x, y: (x @ WEIGHT[0]).reshape(-1, 1) * y,
    "sigmoid": lambda x, y: torch.sigmoid(x),
    "sign": lambda x, y: torch.sign(x),
    "silu": lambda x, y: functional.silu(x),
    "sin": lambda x, y: torch.sin(x),
    "softplus": lambda x, y: functional.softplus(x) + functional.softplus(y, beta=2.0),
    "sqrt": lambda x, y: torch.sqrt(x * x + 1),
    "sub": lambda x, y: torch.sub(x, y, alpha=2) - y - (1 - x),
    "tanh": lambda x, y: x.tanh(),
    "to": lambda x, y: x.to(torch.float32) + 1,
    "unsqueeze": lambda x, y: torch.unsqueeze(x, -1),
    "where": lambda x, y: torch.where(torch.tensor([True, False, True, False]), x, y),
    "zeros_like": lambda x, y: x + torch.zeros_like(x),
}


def test_every_one_is_called_here():
    assert set(CALLS) | {"embedding"} == set(OPERATORS)  # language models have that one


@pytest.mark.parametrize("name", CALLS)
def test_a_function(name):
    tensors = torch.randn(5, 4), torch.randn(5, 4)
    graph = Graph(torch.float32)
    values = [Value(graph, graph.fresh(one), torch.float32) for one in "xy"]
    result, expected = CALLS[name](*values), CALLS[name](*tensors)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [declare(one, torch.float32, ("B", 4)) for one in "xy"],
            [declare(result.name, torch.float32, ("B", *expected.shape[1:]))],
            initializers(graph.constants),
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    wanted = {one.name for one in session.get_inputs()}
    feeds = {one: x.numpy() for one, x in zip("xy", tensors, strict=True) if one in wanted}
    (got,) = session.run(None, feeds)
    # elementwise functions of onnxruntime's own, a few units in the last place off
    assert_matches(name, torch.from_numpy(got), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.chunk(2, 0), "axis -1, got axis 0"),
        (lambda x: torch.cat((x, x)), "axis -1, got axis 0"),
        (lambda x: torch.unsqueeze(x, 0), "axis -1, got axis 0"),
        (lambda x: x.reshape(4, 5), r"reshape to \(-1, 1\)"),
        (lambda x: x.to(torch.float64), "one dtype"),
        (lambda x: torch.logaddexp(x, torch.ones(4)), "logaddexp"),
        (lambda x: functional.gelu(x, approximate="tanh"), "exact gelu"),
        (lambda x: functional.layer_norm(x, (5, 4)), "last axis"),
        (lambda x: functional.dropout(x, 0.5), r"model\.eval"),
        (lambda x: torch.fft.fft(x), "fft"),
        (lambda x: x.shape, "'shape'"),
    ],
)
def test_what_is_not_known_is_refused(call, message):
    graph = Graph(torch.float32)
    with pytest.raises(InputError, match=message):
        call(Value(graph, "x", torch.float32))


def test_what_needs_no_state_is_computed_outside_the_loop():
    graph = Graph(torch.float32)
    x = Value(graph, "x", torch.float32)
    body = Graph(torch.float32, graph)
    h = Value(body, "h", torch.float32)
    (functional.linear(x, WEIGHT) + h @ torch.eye(6)).tanh()
    assert [node.op_type for node in graph.nodes] == ["MatMul"]
    assert [node.op_type for node in body.nodes] == ["MatMul", "Add", "Tanh"]
    assert list(body.slices) == [graph.nodes[0].output[0]]
