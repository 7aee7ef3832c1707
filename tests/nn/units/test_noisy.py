"""Noise in training mode: none in evaluation, and the distribution that the equation says."""

import copy
import math

import pytest
import torch
from matching import assert_matches
from nn.units.unit_loops import CASES, H, P, make_cell, randn

from lipschitz_rnn.nn import NoisyLipschitzRNNCell, RecurrentLayer

B = 4000


def noisy(**options):
    cell = NoisyLipschitzRNNCell(P, H, step_size=0.2, dtype=torch.float64, **options)
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            if "step_size" not in name:
                parameter.normal_(std=0.4)
    return cell


def one_sample(batch=B):
    """The same input and state for a whole batch."""
    return randn(P).expand(batch, P), randn(H).expand(batch, H)


def mean_step(cell, x, h):
    cell.eval()
    new = cell(x[:1], h[:1])[0].detach()
    cell.train()
    return new


def test_evaluation_is_deterministic():
    layer = RecurrentLayer(noisy()).eval()
    input = randn(7, 3, P)
    assert torch.equal(layer(input)[0], layer(input)[0])
    layer.train()
    assert not torch.equal(layer(input)[0], layer(input)[0])


def test_without_noise_training_is_the_plain_loop():
    plain = make_cell("noisy")
    options = CASES["noisy"].options | {"additive_noise": 0.0, "multiplicative_noise": 0.0}
    cell = NoisyLipschitzRNNCell(P, H, **options, dtype=torch.float64)
    cell.load_state_dict(plain.state_dict())
    input, hx, dt = randn(7, 3, P), (randn(3, H),), torch.rand(7, 3).double()
    expected = CASES["noisy"].loop(dict(cell.named_parameters()), input, hx, dt)
    assert cell.training
    output, _ = RecurrentLayer(cell)(input, hx[0].unsqueeze(0), dt=dt)
    assert_matches("output", output, torch.stack([s[0] for s in expected]), steps=7, factor=32)


@pytest.mark.parametrize("dt", [None, 0.25])
def test_additive_noise_has_its_mean_and_deviation(dt):
    cell = noisy(additive_noise=0.3, multiplicative_noise=0.0)
    x, h = one_sample()
    times = () if dt is None else (dt,)
    cell.eval()
    expected = cell(x[:1], h[:1], *times)[0].detach()
    cell.train()
    noise = (cell(x, h, *times) - expected).detach()
    a = 0.3 * math.sqrt(1.0 if dt is None else dt)  # that of a Brownian motion
    assert (noise.mean(0).abs() < 4 * a / math.sqrt(B)).all()
    # the standard error of a standard deviation is σ / √(2B)
    assert ((noise.std(0) - a).abs() < 4 * a / math.sqrt(2 * B)).all()
    correlation = torch.corrcoef(noise.T) - torch.eye(H, dtype=torch.float64)
    assert (correlation.abs() < 4.5 / math.sqrt(B)).all()  # each unit has its own


def test_multiplicative_noise_is_uniform_below_one():
    cell = noisy(additive_noise=0.0, multiplicative_noise=0.4)
    x, h = one_sample()
    full = mean_step(cell, x, h) - h[0]
    m = ((cell(x, h) - h) / full).detach()
    assert 0.6 - 1e-12 <= m.min() < 0.61
    assert 0.99 < m.max() <= 1 + 1e-12
    # uniform on an interval of length 0.4: mean 0.8, standard deviation 0.4/√12
    assert ((m.mean(0) - 0.8).abs() < 4 * 0.4 / math.sqrt(12 * B)).all()
    correlation = torch.corrcoef(m.T) - torch.eye(H, dtype=torch.float64)
    assert (correlation.abs() < 4.5 / math.sqrt(B)).all()


def test_every_step_draws_its_own():
    cell = noisy(additive_noise=1.0, multiplicative_noise=0.0)
    with torch.no_grad():
        for name in ("weight_hh", "weight_a"):
            cell.parametrizations[name].original.zero_()
        cell.weight_ih.zero_()
        cell.bias.zero_()
    output, _ = RecurrentLayer(cell)(randn(50, 200, P))  # a walk, but for the damping γ = 0.001
    steps = output.diff(dim=0)
    now, before = steps[1:].flatten(), steps[:-1].flatten()
    correlation = torch.corrcoef(torch.stack((now, before)))[0, 1]
    assert correlation.abs() < 4 / math.sqrt(len(now)) + 0.001


def test_no_time_no_noise():
    """Padding is a step of length zero, and must not move the state."""
    cell, x, h = noisy(), randn(3, P), randn(3, H)
    assert torch.equal(cell(x, h, 0.0), h)


def test_generator_is_the_source():
    cell, (x, h) = noisy(), one_sample(3)
    cell.generator = torch.Generator().manual_seed(5)
    state = torch.get_rng_state()
    first = cell(x, h)
    assert torch.equal(torch.get_rng_state(), state)
    cell.generator.manual_seed(5)
    assert torch.equal(cell(x, h), first)
    assert not torch.equal(cell(x, h), first)


def test_copies_with_a_generator():
    cell = noisy()
    cell.generator = torch.Generator().manual_seed(5)
    twin, (x, h) = copy.deepcopy(cell), one_sample(3)
    assert torch.equal(twin(x, h), cell(x, h))  # each goes on from the same state by itself


def test_jacobian_is_that_of_the_step_without_noise():
    cell, x, h = noisy(), randn(3, P), randn(3, H)
    trained = cell.jacobian(x, h)
    assert cell.training
    assert torch.equal(trained, cell.eval().jacobian(x, h))


def test_steps_are_learned_for_each_unit():
    cell = noisy(additive_noise=0.0)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.5)
    cell(randn(3, P), randn(3, H)).square().sum().backward()
    optimizer.step()
    steps = cell.step_size.detach()
    assert (steps > 0).all()
    assert len(steps.unique()) == H
