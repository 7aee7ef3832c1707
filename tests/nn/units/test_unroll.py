"""What a cell may bring along for whole sequences: ``scan`` and ``bind``."""

import pytest
import torch
from matching import assert_matches
from nn.units.unit_loops import P, make_cell, randn
from torch import nn
from torch.nn.utils.parametrizations import orthogonal
from torch.nn.utils.rnn import pack_sequence

from lipschitz_rnn.nn import RecurrentLayer

CONSTRAINED = ["antisymmetric", "antisymmetric-gated", "cayley", "exponential", "noisy", "gated"]


@pytest.mark.parametrize("packed", [False, True], ids=["full", "packed"])
@pytest.mark.parametrize("name", CONSTRAINED)
def test_constrained_matrices_are_computed_once_a_sequence(name, packed):
    cell, calls = make_cell(name), []
    for parametrizations in cell.parametrizations.values():
        parametrizations[0].register_forward_hook(lambda *_: calls.append(1))
    sequences = [randn(n, P) for n in (7, 3, 5)]
    input = pack_sequence(sequences, enforce_sorted=False) if packed else randn(7, 3, P)
    output, _ = RecurrentLayer(cell)(input)
    assert len(calls) == len(cell.parametrizations)
    data = output.data if packed else output
    data.sum().backward()  # and the one of them carries the gradients of all steps
    assert cell._free("weight_hh").grad.abs().sum() > 0


class Counter(nn.Module):
    """Adds its input to the state; notes which way it was run."""

    input_size = hidden_size = 2

    def __init__(self):
        super().__init__()
        self.ways = []

    def forward(self, input, state=None):
        self.ways.append("step")
        return input if state is None else input + state

    def scan(self, input, hx=None, dt=None, *, output="all"):
        self.ways.append(("scan", dt is None, output))
        states = input.cumsum(0) + (0 if hx is None else hx)
        return (states if output == "all" else None), states[-1]


class TimedCounter(Counter):
    def forward(self, input, state=None, dt=None):
        self.ways.append("step")
        raise AssertionError("its scan takes everything")

    def scan(self, input, hx=None, dt=None, *, output="all"):
        times = torch.ones_like(input) if dt is None else dt.view(len(dt), -1, 1)
        return super().scan(input * times, hx, dt, output=output)


def test_scan_is_used_where_it_can_be():
    cell, input = Counter(), randn(4, 3, 2)
    output, h_n = RecurrentLayer(cell)(input)
    assert cell.ways == [("scan", True, "all")]
    assert_matches("output", output, input.cumsum(0))
    assert_matches("h_n", h_n[0], input.sum(0))
    cell.ways.clear()
    output, h_n = RecurrentLayer(cell)(input, need_output=False)
    assert cell.ways == [("scan", True, "last")]
    assert output is None
    assert_matches("h_n", h_n[0], input.sum(0))


def test_padding_is_a_step_of_length_zero_for_a_cell_with_time():
    sequences = [randn(n, 2) for n in (2, 4, 1)]
    for cell, ways in ((TimedCounter(), [("scan", False, "all")]), (Counter(), ["step"] * 4)):
        packed = pack_sequence(sequences, enforce_sorted=False)
        _, h_n = RecurrentLayer(cell)(packed)
        assert cell.ways == ways
        for n, sequence in enumerate(sequences):
            assert_matches("h_n", h_n[0, n], sequence.sum(0))


def test_scan_of_a_cell_with_time_gets_the_times():
    cell, input, dt = TimedCounter(), randn(4, 3, 2), torch.rand(4, 3).double()
    output, _ = RecurrentLayer(cell)(input, dt=dt)
    assert_matches("output", output, (input * dt.unsqueeze(-1)).cumsum(0))


def test_scan_without_time_is_not_given_any():
    with pytest.raises(
        TypeError, match=r"whose forward takes `dt` for irregular time, got Counter"
    ):
        RecurrentLayer(Counter())(randn(4, 3, 2), dt=torch.ones(4, 3))


def test_a_compiled_cell_is_run_as_compiled():
    """Its wrapper hands on ``scan`` and ``bind`` of the cell inside, which are not compiled."""
    runs = []

    def backend(graph, inputs):
        runs.append(graph)
        return graph.forward

    for name in ("antisymmetric", "cornn"):  # one has `scan`, the other `bind`
        torch._dynamo.reset()
        runs.clear()
        cell, input = make_cell(name), randn(2, 2, P)
        compiled = RecurrentLayer(torch.compile(cell, backend=backend))
        with torch.no_grad():
            assert_matches("output", compiled(input)[0], RecurrentLayer(cell)(input)[0])
        assert runs


class Meddler(nn.Module):
    """A cell whose every step trains another module, as another thread might."""

    input_size = hidden_size = 2

    def __init__(self, other):
        super().__init__()
        self.other, self.seen = other, []

    def forward(self, input, state=None):
        optimizer = torch.optim.SGD(self.other.parameters(), lr=0.1)
        optimizer.zero_grad()
        self.other(torch.tensor([[1.0, 2.0]])).sum().backward()
        optimizer.step()
        self.seen.append(self.other.weight.detach().clone())
        return input


def test_no_weight_outlives_an_update_elsewhere():
    """torch's ``parametrize.cached`` around the loop would hand the old one to everybody."""
    cell = Meddler(orthogonal(nn.Linear(2, 2, bias=False)))
    RecurrentLayer(cell)(torch.randn(3, 1, 2))
    first, second, third = cell.seen
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)


@pytest.mark.parametrize("name", ["cayley", "exponential", "lem", "antisymmetric"])
def test_each_call_computes_anew(name):
    """Two forward passes, two backward passes, an update between them, nested or not."""
    layer, input = RecurrentLayer(make_cell(name)), randn(5, 2, P)
    first = layer(input)[0]
    first.sum().backward(retain_graph=True)
    once = [p.grad.clone() for p in layer.parameters()]
    first.sum().backward()  # the same graph again
    for parameter, gradient in zip(layer.parameters(), once, strict=True):
        assert_matches("gradient", parameter.grad, 2 * gradient)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1)
    assert not torch.allclose(layer(input)[0], first)
    layer(input)[0].sum().backward()


@pytest.mark.parametrize("name", ["antisymmetric", "exponential", "lem", "noisy"])
def test_compiles_without_a_graph_break(name):
    torch._dynamo.reset()  # it gives up on a function after some recompilations
    layer, input = RecurrentLayer(make_cell(name)), randn(3, 2, P)
    parameters = list(layer.parameters())
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    got = torch.autograd.grad(compiled(input)[0].square().sum(), parameters)
    expected = torch.autograd.grad(layer(input)[0].square().sum(), parameters)
    for g, e in zip(got, expected, strict=True):
        assert_matches("gradient", g, e, steps=3, factor=64)
