"""The penalty is the excess of the growth that one number a unit proves."""

import numpy as np
import pytest
import torch

from lipschitz_rnn.analysis import certify
from lipschitz_rnn.nn import (
    GatedLipschitzRNNCell,
    LipschitzRNN,
    LipschitzRNNCell,
    SequenceClassifier,
    contraction_penalty,
    make_layer,
)


def test_scalar_unit_in_closed_form():
    """h' = -a h + tanh(w h) by Euler: its metric is the only one, T = ε + 1/w its multiplier."""
    cell = LipschitzRNNCell(1, 1, step_size=0.1, beta=0.5, gamma=0.0, dtype=torch.float64)
    a, w, step = -0.5, 2.0, 0.1
    cell.weight_a, cell.weight_hh = torch.tensor([[a]]).double(), torch.tensor([[w]]).double()
    b, t = 1 + step * a, step + 1 / w
    square = b**2 + step * (b + t * w) ** 2 / (2 * t - step)
    assert contraction_penalty(cell).item() == pytest.approx((square - 1) / step, rel=1e-12)
    asked = (np.exp(-2 * 0.1 * 0.3) - 1) / 0.1
    expected = (square - 1) / step - asked
    assert contraction_penalty(cell, rate=0.3).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("method", ["euler", "midpoint"])
def test_no_penalty_means_certified_by_norm(method):
    torch.manual_seed(0)
    for gamma in (0.01, 0.1, 1.0, 3.0):
        layer = LipschitzRNN(2, 6, 2, gamma_a=gamma, init_std=3.0, method=method)
        if contraction_penalty(layer, rate=0.01) == 0:
            assert certify(layer, strength="norm").holds
            break
    else:
        pytest.fail("no damping was enough")
    assert contraction_penalty(LipschitzRNN(2, 6, gamma=0.0, init_std=3.0, method=method)) > 0


def test_leaning_on_it_leads_to_contraction():
    torch.manual_seed(1)
    model = SequenceClassifier(LipschitzRNN(2, 8, init_std=4.0, step_size=0.1), 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    assert not certify(model).holds
    for _ in range(300):
        loss = contraction_penalty(model, rate=0.02)
        if loss == 0:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert certify(model, strength="norm").holds


@pytest.mark.parametrize(
    "model",
    [
        torch.nn.GRU(2, 3),
        make_layer("antisymmetric", 2, 3),
        torch.nn.ModuleList([LipschitzRNN(2, 3), make_layer("residual", 3, 3)]),
    ],
    ids=["gru", "antisymmetric", "residual beside"],
)
def test_models_with_no_such_units_or_others_are_refused(model):
    with pytest.raises(TypeError, match=r"contraction_penalty: expected (Lipschitz|a model)"):
        contraction_penalty(model)


def test_gated_units_are_refused():
    for model in (LipschitzRNN(2, 3, gated=True), GatedLipschitzRNNCell(2, 3)):
        with pytest.raises(ValueError, match="contraction_penalty: expected ungated units"):
            contraction_penalty(model)


def test_a_learned_step_size_counts_as_it_stands():
    options = {"init_std": 4.0, "method": "midpoint", "substeps": 2, "dtype": torch.float64}
    learned = LipschitzRNN(1, 4, step_size=0.1, trainable=("step_size",), **options)
    learned.step_size_l0 = torch.tensor(0.5).double()
    fixed = LipschitzRNN(1, 4, step_size=0.5, **options)
    state = learned.state_dict()
    fixed.load_state_dict({key: state[key] for key in fixed.state_dict()})
    expected = contraction_penalty(fixed, 0.1).item()
    assert contraction_penalty(learned, 0.1).item() == pytest.approx(expected, rel=1e-12)


def test_matrices_that_are_not_finite_cost_nan():
    layer = LipschitzRNN(1, 4)
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original[0, 0] = torch.nan
    assert contraction_penalty(layer).isnan()


def test_derivatives():
    layer = LipschitzRNN(1, 4, init_std=4.0, dtype=torch.float64)
    names = [name for name, _ in layer.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    free = [i for i, name in enumerate(names) if "original" in name]

    class Holder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self) -> torch.Tensor:
            return contraction_penalty(self.layer, 0.1)

    def penalty(*chosen: torch.Tensor) -> torch.Tensor:
        parts = {f"layer.{names[i]}": value for i, value in zip(free, chosen, strict=True)}
        return torch.func.functional_call(Holder(), parts)

    assert torch.autograd.gradcheck(penalty, [values[i] for i in free])
