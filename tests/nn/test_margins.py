"""Gains to train with are those that the analysis proves, and move with the weights."""

import copy
import math

import pytest
import torch
from torch import nn

from lipschitz_rnn.analysis import certified_radii, certify, input_gains
from lipschitz_rnn.nn import (
    LipschitzRNN,
    SequenceClassifier,
    SequenceRegressor,
    logit_gains,
    margin_logits,
)


def _model(num_layers=1, *, dtype=torch.float64, **options):
    torch.manual_seed(0)
    settings = {"step_size": 0.1, "constraint": "contractive", "rate": 0.2, "init_std": 2.0}
    rnn = LipschitzRNN(3, 6, num_layers, batch_first=True, dtype=dtype, **settings | options)
    with torch.no_grad():
        for name, parameter in rnn.named_parameters():
            if "log" in name:
                parameter.uniform_(-0.7, 0.7)
    return SequenceClassifier(rnn, 4).eval()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 2},
        {"bidirectional": True},
        {"num_layers": 3, "bidirectional": True},
        {"substeps": 3},
        {"method": "midpoint"},
        {"method": "rk4", "num_layers": 2},
        {"nonlinearity": "sigmoid"},
        {"rate": 0.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("horizon", [1, 50])
def test_equals_what_is_proved(options, horizon):
    """The certificate may prove a rate above the one asked for, which lowers every ρ^t of a layer
    by a share of ε T times the difference at most; nothing else is between them but rounding."""
    model = _model(**options)
    certificate = certify(model)
    proved = torch.from_numpy(input_gains(certificate, model, horizon).pairs)
    found = logit_gains(model, horizon).detach()
    excess = max(unit.rate for unit in certificate.units) - model.rnn.options.rate
    assert (proved <= found * (1 + 1e-9)).all()
    share = model.rnn.num_layers * 0.1 * horizon * excess
    assert (proved >= found * (1 - share - 1e-9)).all()
    assert (found.diagonal() == 0).all()
    torch.testing.assert_close(found, found.mT, rtol=0, atol=0)


def test_one_unit_in_closed_form():
    """κ = ε |p u|, G = κ (1 + ρ² + ρ⁴)^(1/2) |d_1 - d_2| / p."""
    rnn = LipschitzRNN(1, 1, step_size=0.1, constraint="contractive", rate=0.5).double()
    model = SequenceClassifier(rnn, 2)
    gain = logit_gains(model, 3)[0, 1].item()
    kick = 0.1 * abs(rnn.weight_ih_l0.item())
    decay = math.exp(-2 * 0.1 * 0.5)
    d = model.head.weight.detach()
    expected = kick * (1 + decay + decay**2) ** 0.5 * abs(d[0, 0] - d[1, 0]).item()
    assert gain == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("method", ["euler", "midpoint"])
def test_gradient(method):
    model = _model(method=method)
    free = {name: p for name, p in model.named_parameters() if p.requires_grad}
    logit_gains(model, 20).sum().backward()
    step = 1e-6
    for name in ("rnn.weight_ih_l0", "rnn.log_metric_l0", "head.weight"):
        parameter = free[name]
        direction = torch.randn_like(parameter)
        values = []
        for sign in (1, -1):
            other = copy.deepcopy(model)
            with torch.no_grad():
                other.get_parameter(name).add_(sign * step * direction)
            values.append(logit_gains(other, 20).sum().item())
        slope = (values[0] - values[1]) / (2 * step)
        assert (parameter.grad * direction).sum().item() == pytest.approx(slope, rel=1e-5)


def test_equal_rows_of_the_head_have_a_gradient():
    model = _model()
    with torch.no_grad():
        model.head.weight[1] = model.head.weight[0]
    gains = logit_gains(model, 5)
    assert gains[0, 1] == 0
    gains.sum().backward()
    assert model.head.weight.grad.isfinite().all()


def test_worst_logits_decide_what_is_certified():
    """Samples whose worst logits are right are those with a certified radius beyond r."""
    model, radius = _model(), 0.3
    input = torch.randn(200, 30, 3, dtype=torch.float64)
    with torch.no_grad():
        logits = model(input) * 1.0
        target = logits.argmax(1)
        gains = logit_gains(model, 30)
        right = margin_logits(logits, target, gains, radius).argmax(1) == target
    radii = certified_radii(certify(model), model, input).radii
    middle = radii.median().item()
    for r in (middle * 0.5, middle, middle * 2):
        right = margin_logits(logits, target, gains, r).argmax(1) == target
        near = abs(radii / r - 1) < 1e-3
        assert torch.equal(right[~near], (radii > r)[~near])
        assert 0 < right.sum() < 200 or r != middle


def test_training_for_margins_widens_what_is_certified():
    input = torch.randn(64, 10, 3)
    target = (input.sum((1, 2)) > 0).long()
    found = []
    for radius in (0.0, 0.3):
        model = _model(dtype=torch.float32).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(150):
            logits = margin_logits(model(input), target, logit_gains(model, 10), radius)
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, target).backward()
            optimizer.step()
        model = model.double().eval()
        radii = certified_radii(certify(model), model, input.double(), target)
        found.append(((radii.predicted == target) & (radii.radii >= 0.3)).sum().item())
    assert found[1] > found[0] + 10


@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(2, 2),
        LipschitzRNN(2, 4, constraint="contractive"),
        SequenceClassifier(nn.RNN(2, 4), 3),
        SequenceClassifier(LipschitzRNN(2, 4), 3),
        SequenceClassifier(LipschitzRNN(2, 4, constraint="contractive-flow"), 3),
        SequenceRegressor(LipschitzRNN(2, 4, constraint="contractive"), 3, every_step=True),
        SequenceClassifier(LipschitzRNN(2, 4, constraint="contractive"), 3, encoder=nn.Tanh()),
    ],
    ids=range(7),
)
def test_other_models_are_refused(model):
    with pytest.raises(ValueError, match="logit_gains: expected a "):
        logit_gains(model, 3)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="`horizon`"):
        logit_gains(_model(), 0)
    logits, gains = torch.zeros(2, 3), torch.zeros(3, 3)
    target = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="`target`"):
        margin_logits(logits, target[:1], gains, 0.1)
    with pytest.raises(ValueError, match="`gains`"):
        margin_logits(logits, target, gains[:2], 0.1)
    with pytest.raises(ValueError, match="`radius`"):
        margin_logits(logits, target, gains, -0.1)
