"""Units that run on the native kernel give what the reference gives."""

import pytest
import torch
from matching import assert_matches
from nn.units.unit_loops import H, P, make_cell, randn
from torch.nn.utils.rnn import pack_sequence

from lipschitz_rnn.nn import LipschitzRNN, RecurrentLayer
from lipschitz_rnn.ops import explain_backend, use_backend, variants

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(not variants(), reason="no native library here"),
]
T, B = 9, 4


def gradients(cell, backend, input, dt=None):
    leaves = [p for p in cell.parameters() if p.requires_grad]
    with use_backend(backend):
        output, last = RecurrentLayer(cell)(input, **({} if dt is None else {"dt": dt}))
        data = output if isinstance(output, torch.Tensor) else output.data
        g = torch.Generator().manual_seed(7)
        weights = torch.randn(data.shape, generator=g, dtype=torch.float64)
        found = torch.autograd.grad((data * weights).sum() + last.square().sum(), leaves)
    return {
        "output": data,
        "h_n": last,
        **dict(zip(dict(cell.named_parameters()), found, strict=True)),
    }


@pytest.mark.parametrize("kind", ["plain", "dt", "packed"])
@pytest.mark.parametrize("name", ["residual", "antisymmetric"])
def test_native_is_the_reference(name, kind):
    cell = make_cell(name)
    input = randn(T, B, P)
    dt = torch.rand(T, B).double() if kind == "dt" else None
    if kind == "packed":
        input = pack_sequence([randn(n, P) for n in (3, 9, 1, 4)], enforce_sorted=False)
    expected = gradients(cell, "reference", input, dt)
    for key, value in gradients(cell, "native", input, dt).items():
        assert_matches(key, value, expected[key], steps=T)


@pytest.mark.parametrize("name", ["residual", "antisymmetric", "lipschitz"])
def test_the_kernel_takes_the_call(name):
    if name == "lipschitz":
        layer = LipschitzRNN(P, H, dtype=torch.float64)
        weights = layer.weight_a_l0, layer.weight_hh_l0, layer.weight_ih_l0, layer.bias_l0
    else:
        cell = make_cell(name)
        weights = None, cell.weight_hh, cell.weight_ih, cell.bias
    choice = explain_backend(randn(T, B, P), randn(B, H), *weights, step_size=0.1)
    assert choice.name == "native"


@pytest.mark.parametrize("name", ["residual", "antisymmetric"])
def test_the_layer_asks_for_it_once(name, monkeypatch):
    """One call of the kernel for a whole sequence, not one for each step."""
    from lipschitz_rnn.ops import backend

    native, calls = backend._registry["native"], []

    class Counting:
        name, priority = native.name, native.priority
        unsupported_reasons = staticmethod(native.unsupported_reasons)

        @staticmethod
        def scan(call):
            calls.append(call.input.shape)
            return native.scan(call)

    monkeypatch.setitem(backend._registry, "native", Counting())
    RecurrentLayer(make_cell(name))(randn(T, B, P))
    assert calls == [(T, B, P)]


@pytest.mark.parametrize("name", ["antisymmetric-gated", "gated"])
def test_gated_units_run_on_the_reference(name):
    cell = make_cell(name)
    input = randn(T, B, P)
    expected = gradients(cell, "reference", input)
    for key, value in gradients(cell, "native", input).items():
        assert torch.equal(value, expected[key]), key
