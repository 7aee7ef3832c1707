"""Jacobian products and gradients through time against autograd and closed forms."""

import math

import pytest
import torch
from torch.nn import functional

from lipschitz_rnn.analysis.sensitivity import QUANTILES, gradient_norms, jacobian_norms
from lipschitz_rnn.analysis.units import cell_of, layer_cells
from lipschitz_rnn.nn import (
    LEMCell,
    LipschitzRNN,
    LipschitzRNNCell,
    RecurrentLayer,
    SequenceClassifier,
    SequenceRegressor,
)

F64 = torch.float64
EPS = torch.finfo(F64).eps


def close(got, expected, steps=10):
    return (got - expected).norm() <= 64 * EPS * steps * expected.norm()


def test_a_linear_unit_multiplies_by_the_same_matrix():
    a = torch.randn(4, 4, dtype=F64)
    unit = cell_of(a, torch.zeros(4, 4, dtype=F64), step_size=0.3)
    found = jacobian_norms(unit, torch.zeros(5, 2, 1, dtype=F64))
    jacobian = torch.eye(4, dtype=F64) + 0.3 * a
    assert found.times == (0, 1, 2, 3, 4, 5)
    for t, logs in zip(found.times, found.log_singular_values, strict=True):
        expected = torch.linalg.svdvals(torch.linalg.matrix_power(jacobian, 5 - t))
        assert close(logs[0].exp(), expected)
        assert torch.equal(logs[0], logs[1])
    assert torch.equal(found.norms, found.log_singular_values[..., 0].exp())


def test_the_product_along_data_is_the_derivative_of_the_last_state():
    torch.manual_seed(1)
    cell = LipschitzRNNCell(2, 3, step_size=0.5, method="midpoint", init_std=3.0, dtype=F64)
    x, h = torch.randn(4, 1, 2, dtype=F64), torch.randn(1, 3, dtype=F64)
    dt = torch.tensor([1.0, 0.5, 2.0, 1.0], dtype=F64)
    found = jacobian_norms(cell, x, h, dt=dt)
    for t in range(5):

        def last(state, t=t):
            for one, time in zip(x[t:], dt[t:], strict=True):
                state = cell(one, state, time)
            return state[0]

        expected = torch.autograd.functional.jacobian(last, h)[:, 0]
        got = found.log_singular_values[t, 0].exp()
        assert close(got, torch.linalg.svdvals(expected))
        h_next = cell(x[t], h, dt[t]).detach() if t < 4 else h
        h = h_next


def test_a_layer_in_single_precision_is_looked_at_in_double():
    layer, x, h = LipschitzRNN(2, 4, init_std=3.0), torch.randn(6, 3, 2), torch.randn(3, 4)
    found = jacobian_norms(layer, x, h).log_singular_values
    (unit,) = layer_cells(layer, dtype=F64)
    product, state = torch.eye(4, dtype=F64).expand(3, -1, -1), h.double()
    for one in x.double():
        product = unit.jacobian(one, state) @ product
        state = unit.step(one, state)
    assert close(found[0].exp(), torch.linalg.svdvals(product))
    assert torch.equal(found, jacobian_norms(unit, x.double(), h.double()).log_singular_values)


@pytest.mark.parametrize("factor", [1 / 16, 16.0])
def test_a_long_product_neither_underflows_nor_overflows(factor):
    eye = torch.eye(2, dtype=F64)
    unit = cell_of((factor - 1) * eye, 0 * eye, step_size=1.0)
    found = jacobian_norms(unit, torch.zeros(300, 1, 1, dtype=F64), every=200)
    assert found.times == (0, 100, 300)
    expected = torch.tensor([300, 200, 0], dtype=F64) * math.log(factor)  # 16^300 is no double
    assert (found.log_singular_values[:, 0, 0] - expected).abs().max() < 300 * EPS * 300


def test_a_state_that_runs_off_gives_nan_for_its_sequence_alone():
    one = torch.eye(1, dtype=F64)
    unit = cell_of(None, one, one, step_size=1.0, nonlinearity="sine")
    x = torch.zeros(3, 2, 1)
    x[0, 1] = math.inf
    norms = jacobian_norms(unit, x).norms
    assert close(norms[:, 0], torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=F64))  # (1 + cos 0)^k
    assert norms[0, 1].isnan()


def test_a_singular_product_has_a_logarithm_of_minus_infinity():
    eye = torch.eye(2, dtype=F64)
    unit = cell_of(-eye, 0 * eye, step_size=1.0)
    logs = jacobian_norms(unit, torch.zeros(2, 1, 1)).log_singular_values
    assert torch.equal(logs[:2], torch.full((2, 1, 2), -math.inf))
    assert torch.equal(logs[2], torch.zeros(1, 2))


def test_gradients_of_a_linear_unit():
    """A = W = -I: h+ = h/2 + ε U x, so 2 Dᵀ(y - target)/Q at the end halves per step back."""
    rnn = LipschitzRNN(1, 3, step_size=0.25, nonlinearity="identity", bias=False, dtype=F64)
    rnn.weight_a_l0 = rnn.weight_hh_l0 = -torch.eye(3, dtype=F64)
    model = SequenceRegressor(rnn, 2)
    x, target = torch.randn(4, 5, 1, dtype=F64), torch.randn(5, 2, dtype=F64)
    found = gradient_norms(model, x, target)["l0"]
    difference = (model(x) - target).detach()
    expected = (difference @ model.head.weight.detach()).norm(dim=-1)  # 2/Q = 1
    assert close(found.norms, 0.5 ** torch.arange(4, -1, -1)[:, None] * expected)
    assert abs(found.loss - difference.square().mean().item()) < 8 * EPS * found.loss


def lipschitz_loop(rnn, x):
    """States of every layer and direction by plain torch, with their gradients retained."""
    kept = {}
    for layer in range(rnn.num_layers):
        outputs = []
        for end in ("", "_reverse")[: rnn.num_directions]:
            name = f"_l{layer}{end}"
            weights = ("weight_a", "weight_hh", "weight_ih", "bias")
            a, w, u, b = (getattr(rnn, weight + name) for weight in weights)
            h = torch.zeros(x.shape[1], rnn.hidden_size, dtype=F64, requires_grad=True)
            states = [h]
            for one in x.flip(0) if end else x:
                z = functional.linear(h, w) + functional.linear(one, u, b)
                h = h + rnn.options.step_size * (functional.linear(h, a) + torch.tanh(z))
                h.retain_grad()
                states.append(h)
            kept[name[1:]] = states
            ordered = torch.stack(states[1:])
            outputs.append(ordered.flip(0) if end else ordered)
        x = torch.cat(outputs, -1)
    return kept, x


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("every_step", [False, True])
def test_gradients_of_a_classifier_are_autograd_s(bidirectional, every_step):
    torch.manual_seed(2)
    rnn = LipschitzRNN(
        2, 3, 2, bidirectional=bidirectional, batch_first=True, step_size=0.5, init_std=2.0,
        dropout=0.5, dtype=F64,
    )  # fmt: skip
    model = SequenceClassifier(rnn, 4, every_step=every_step, dropout=0.3)
    x = torch.randn(5, 6, 2, dtype=F64)  # (B, T, P)
    target = torch.randint(4, (5, 6) if every_step else (5,))
    found = gradient_norms(model, x, target)
    kept, output = lipschitz_loop(rnn, x.transpose(0, 1))
    ends = [states[-1] for name, states in kept.items() if name.startswith("l1")]
    logits = model.head(output if every_step else torch.cat(ends, -1))
    if every_step:
        losses = functional.cross_entropy(logits.permute(1, 2, 0), target, reduction="none").mean(1)
    else:
        losses = functional.cross_entropy(logits, target, reduction="none")
    losses.sum().backward()
    assert list(found) == list(kept)
    for name, states in kept.items():
        expected = torch.stack([h.grad.norm(dim=-1) for h in states])
        got = found[name]
        assert close(got.norms, expected)
        assert close(got.mean, expected.mean(-1))
        levels = torch.tensor(QUANTILES, dtype=F64)
        assert close(got.quantiles, expected.quantile(levels, dim=-1))
        assert abs(got.loss - losses.mean().item()) < 100 * EPS


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("every_step", [False, True])
def test_gradients_along_irregular_times(batch_first, every_step):
    """Of a linear unit in both directions: each step multiplies by 1 - ε dt, each way on its own.

    h+ = (1 - ε dt) h + ε dt x, hence dℓ/dh_t from dℓ/dy by the factors of the steps after t.
    """
    rnn = LipschitzRNN(
        1, 1, step_size=0.5, nonlinearity="identity", bias=False, bidirectional=True,
        batch_first=batch_first, dtype=F64,
    )  # fmt: skip
    for end in ("", "_reverse"):
        setattr(rnn, f"weight_a_l0{end}", -torch.eye(1, dtype=F64))
        setattr(rnn, f"weight_hh_l0{end}", torch.zeros(1, 1, dtype=F64))
    model = SequenceRegressor(rnn, 1, every_step=every_step)
    x, dt = torch.randn(4, 3, 1, dtype=F64), torch.rand(4, 3, dtype=F64)
    target = torch.randn(4, 3, 1, dtype=F64) if every_step else torch.randn(3, 1, dtype=F64)
    layout = (lambda y: y.transpose(0, 1)) if batch_first else (lambda y: y)
    given = layout(target) if every_step else target
    found = gradient_norms(model, layout(x), given, dt=layout(dt))
    answers = model(layout(x), dt=layout(dt)).detach()
    difference = layout(answers) - target if every_step else answers - target
    for index, (name, one) in enumerate(found.items()):
        held = dt.flip(0) if index else dt  # in the order in which the unit reads
        by_output = 2 * model.head.weight.detach()[0, index] * difference[..., 0]
        if every_step:
            direct = (by_output.flip(0) if index else by_output) / 4
        else:
            direct = torch.cat([torch.zeros(3, 3, dtype=F64), by_output[None]])
        gradient, expected = torch.zeros(3, dtype=F64), []
        for t in range(3, -1, -1):
            gradient = gradient + direct[t]
            expected.append(gradient)
            gradient = (1 - 0.5 * held[t]) * gradient
        expected.append(gradient)
        assert name == ("l0_reverse" if index else "l0")
        assert close(one.norms, torch.stack(expected[::-1]).abs())


def test_gradients_of_a_state_of_two_parts():
    torch.manual_seed(3)
    cell = LEMCell(2, 3, dtype=F64)
    model = SequenceRegressor(RecurrentLayer(cell), 2)
    x, target = torch.randn(4, 5, 2, dtype=F64), torch.randn(5, 2, dtype=F64)
    found = gradient_norms(
        model, x, target, loss=lambda answers, target: (answers - target).abs().sum(-1)
    )["l0"]
    states = [tuple(torch.zeros(5, 3, dtype=F64, requires_grad=True) for _ in range(2))]
    for one in x:
        # copies: within a step y+ is made from z+, which is no gradient by the state
        states.append(tuple(part.clone() for part in cell(one, states[-1])))
        for part in states[-1]:
            part.retain_grad()
    (model.head(states[-1][0]) - target).abs().sum().backward()
    for t, (y, z) in enumerate(states):
        by_z = torch.zeros(5, 3, dtype=F64) if z.grad is None else z.grad
        assert close(found.norms[t], torch.cat((y.grad, by_z), -1).norm(dim=-1))


def test_gradients_in_another_precision_and_of_an_encoder():
    encoder = torch.nn.Linear(3, 2)
    model = SequenceClassifier(LipschitzRNN(2, 4), 3, encoder=encoder)
    x, target = torch.randn(6, 5, 3), torch.tensor([0, 1, 2, 1, 0])
    single = gradient_norms(model, x, target)["l0"].norms
    double = gradient_norms(model, x, target, dtype=F64)["l0"].norms
    assert double.dtype == F64
    assert torch.allclose(single.double(), double, rtol=1e-5)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_is_refused():
    with pytest.raises(TypeError, match=r"jacobian_norms: expected a unit in float64, got"):
        jacobian_norms(cell_of(None, torch.eye(2), step_size=1.0), torch.zeros(3, 1, 1))
    unit = cell_of(None, torch.eye(2, dtype=F64), step_size=1.0)
    with pytest.raises(ValueError, match=r"jacobian_norms: expected `input` of shape \(T, B, P\)"):
        jacobian_norms(unit, torch.zeros(3, 1))
    with pytest.raises(ValueError, match=r"jacobian_norms: expected `every` >= 1"):
        jacobian_norms(unit, torch.zeros(3, 1, 1), every=0)
    model = SequenceClassifier(LipschitzRNN(2, 4), 3)
    with pytest.raises(ValueError, match="gradient_norms: expected `input` to be a batch"):
        gradient_norms(model, torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
