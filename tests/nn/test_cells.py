"""One step of the unit."""

import pytest
import torch
from matching import assert_matches

from lipschitz_rnn.nn import LipschitzRNN, LipschitzRNNCell
from lipschitz_rnn.ops import TABLEAUX, lipschitz_scan

VARIANTS = [
    {},
    {"method": "midpoint", "substeps": 2},
    {"gated": True, "method": "heun"},
    {"alpha": 0.0},
    {"alpha": 0.5, "nonlinearity": "sine"},
    {"bias": False, "trainable": ("step_size", "alpha", "beta_a", "gamma_w")},
]


def make(**options):
    cell = LipschitzRNNCell(3, 4, step_size=0.2, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in cell.parameters():
            if parameter.dim():
                parameter.normal_(std=0.5)
    return cell


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_cell_in_a_loop_is_the_layer(options):
    cell, layer = make(**options), LipschitzRNN(3, 4, step_size=0.2, dtype=torch.float64, **options)
    layer.load_state_dict({layer_name(k): v for k, v in cell.state_dict().items()})
    input, dt, h = randn(6, 2, 3), torch.rand(6, 2, dtype=torch.float64), None
    for x, time in zip(input, dt, strict=True):
        h = cell(x, h, time)
    assert_matches("h_n", layer(input, dt=dt)[1][0], h, steps=6)


def layer_name(name):
    """``weight_ih`` -> ``weight_ih_l0``, ``parametrizations.weight_a.0...`` -> ``..._l0.0...``."""
    parts = name.split(".")
    place = 1 if parts[0] == "parametrizations" else 0
    parts[place] += "_l0"
    return ".".join(parts)


def test_one_euler_step_by_hand():
    cell = make()
    x, h = randn(2, 3), randn(2, 4)
    a, w, u, b = cell.weight_a, cell.weight_hh, cell.weight_ih, cell.bias
    expected = h + 0.2 * (h @ a.T + torch.tanh(h @ w.T + x @ u.T + b))
    assert_matches("h", cell(x, h), expected)
    moved = (expected - h) / 0.2
    cancelled = (h.norm() / (expected - h).norm()).item()  # rounding of h in the difference
    assert_matches("field", cell.vector_field(x, h), moved, factor=8 * (1 + cancelled))


def test_step_multiplies_dt():
    cell, x, h = make(), randn(2, 3), randn(2, 4)
    expected = h + 0.2 * torch.tensor([[0.5], [3.0]]).double() * cell.vector_field(x, h)
    assert_matches("h", cell(x, h, torch.tensor([0.5, 3.0])), expected)
    assert_matches("h", cell(x, h, 2), h + 0.4 * cell.vector_field(x, h))


def test_gated_field_is_the_product():
    cell, x, h = make(gated=True), randn(2, 3), randn(2, 4)
    recurrent = h @ cell.weight_hh.T
    body = h @ cell.weight_a.T + torch.tanh(recurrent + x @ cell.weight_ih.T + cell.bias)
    gate = torch.sigmoid(recurrent + x @ cell.weight_gate.T + cell.bias_gate)
    assert_matches("field", cell.vector_field(x, h), body * gate)


def test_unbatched_is_a_batch_of_one():
    cell, x, h = make(), randn(3), randn(4)
    assert_matches("h", cell(x, h), cell(x[None], h[None])[0])
    assert_matches("h from zero", cell(x), cell(x[None])[0])
    assert_matches("field", cell.vector_field(x, h), cell.vector_field(x[None], h[None])[0])
    assert_matches("jacobian", cell.jacobian(x, h), cell.jacobian(x[None], h[None])[0])


def test_euler_jacobian_is_its_formula():
    cell, x, h = make(), randn(2, 3), randn(2, 4)
    slope = 1 - torch.tanh(h @ cell.weight_hh.T + x @ cell.weight_ih.T + cell.bias) ** 2
    expected = torch.eye(4, dtype=torch.float64) + 0.2 * (
        cell.weight_a + slope.unsqueeze(-1) * cell.weight_hh
    )
    assert_matches("jacobian", cell.jacobian(x, h), expected)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_jacobian_is_that_of_autograd(options):
    cell, x, h = make(**options), randn(2, 3), randn(2, 4)
    dt = torch.tensor([0.5, 2.0], dtype=torch.float64)
    full = torch.autograd.functional.jacobian(lambda h: cell(x, h, dt), h)  # (2, 4, 2, 4)
    expected = torch.stack([full[0, :, 0], full[1, :, 1]])
    assert_matches("jacobian", cell.jacobian(x, h, dt), expected)
    assert not full[0, :, 1].any()


def test_jacobian_is_differentiable():
    cell, x, h = make(), randn(3), randn(4).requires_grad_()
    assert torch.autograd.gradcheck(lambda h: cell.jacobian(x, h), h)


@pytest.mark.parametrize("method", TABLEAUX)
def test_cell_takes_the_ops_step(method):
    cell, x, h = make(method=method), randn(2, 3), randn(2, 4)
    weights = cell.weight_a, cell.weight_hh, cell.weight_ih, cell.bias
    expected = lipschitz_scan(x[None], h, *weights, step_size=0.2, method=method)[0]
    assert torch.equal(cell(x, h), expected)


def test_alpha_scales_the_linear_term():
    cell, x, h = make(alpha=0.5), randn(2, 3), randn(2, 4)
    body = torch.tanh(h @ cell.weight_hh.T + x @ cell.weight_ih.T + cell.bias)
    assert_matches("field", cell.vector_field(x, h), 0.5 * h @ cell.weight_a.T + body)


def test_gradient_of_the_jacobian_reaches_the_weights():
    cell, x, h = make(), randn(3), randn(4)
    names, values = zip(*cell.named_parameters(), strict=True)

    def run(*values):
        parameters = dict(zip(names, values, strict=True))
        return torch.func.functional_call(
            Jacobian(cell), {f"cell.{k}": v for k, v in parameters.items()}, (x, h)
        )

    assert torch.autograd.gradcheck(run, values)


class Jacobian(torch.nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x, h):
        return self.cell.jacobian(x, h)


BAD = [
    (lambda: (randn(2, 4),), r"`input` of shape \(B, P\) = \(\*, 3\), got \(2, 4\)"),
    (lambda: (randn(4),), r"`input` of shape \(P,\) = \(3,\), got \(4,\)"),
    (lambda: (randn(2, 3), randn(3, 4)), r"`hx` of shape \(B, H\) = \(2, 4\), got \(3, 4\)"),
    (lambda: (randn(3), randn(1, 4)), r"`hx` of shape \(H,\) = \(4,\), got \(1, 4\)"),
    (lambda: (randn(2, 3), None, randn(3).abs()), r"`dt` of shape \(B,\) = \(2,\), got \(3,\)"),
    (lambda: (randn(2, 3), None, -1.0), "a finite `dt` >= 0, got -1.0"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[b[1][:20] for b in BAD])
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=f"LipschitzRNNCell: expected {message}"):
        make()(*arguments())


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_repr_rebuilds(options):
    text = repr(make(**options))
    again = eval(text)
    assert repr(again) == text
    assert again.options == make(**options).options
