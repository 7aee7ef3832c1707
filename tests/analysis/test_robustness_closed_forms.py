"""Robustness where it is known: linear models, whose worst and mean cases have closed forms."""

import dataclasses
import math
import statistics

import pytest
import torch
from robustness_problems import Linear, between, integrator, margins, samples
from torch import nn
from torch.nn import functional

from lipschitz_rnn.analysis.robustness import robustness
from lipschitz_rnn.analysis.robustness_kinds import PERTURBATIONS
from lipschitz_rnn.analysis.weight_noise import round_weights
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier, SequenceRegressor

F64 = torch.float64
SIGMAS = 5.0
NORMAL = statistics.NormalDist()


ATTACKS = {
    "fgsm": 1,
    "pgd-7x0.01": 1,
    "pgd-linf": 1,
    "pgd-l2": 2,
    "deepfool-linf": 1,
    "deepfool-l2": 2,
}


@pytest.mark.parametrize(("name", "dual"), ATTACKS.items(), ids=ATTACKS)
def test_a_sample_falls_where_its_margin_is_used_up(name, dual):
    """Margin ≤ r ‖w‖_q, with r relative to the range of the data."""
    model = Linear()
    x, y = samples(batch=120)
    x = 3 * x - 1
    margin, w = margins(model, x, y)
    span = (x.max() - x.min()).item()
    slope = w.norm(dual, dim=1) * span
    thresholds = margin / slope
    grid = between(thresholds, 0.07 if name == "pgd-7x0.01" else math.inf)
    found = robustness(
        model, x, y, perturbations=[name], strengths={name: grid}, batch_size=50
    ).curves[name]
    assert found.strengths == (0.0, *grid)
    expected = [(thresholds > r).double().mean().item() for r in (0.0, *grid)]
    assert len(set(expected)) > 3  # the grid tells something
    if name == "pgd-l2":  # on a sphere it comes close to the optimum, and does not get there
        near = [(thresholds > 0.9 * r).double().mean().item() for r in (0.0, *grid)]
        pairs = zip(expected, found.accuracy, near, strict=True)
        assert all(low <= share <= high for low, share, high in pairs)
        assert found.accuracy[-1] < expected[2]
        return
    assert found.accuracy == pytest.approx(expected, abs=1e-12)
    assert found.accuracy_sd is None
    assert found.seeds == 1
    if name.startswith("deepfool"):
        assert found.loss is None
        # within the last bisection, and 0 of those that are wrong at first
        exact = pytest.approx(thresholds.clamp_min(0).tolist(), rel=2e-3)
        assert list(found.distances) == exact
        assert 0 < found.distances.count(0) == (thresholds <= 0).sum() < 120
        median = thresholds[thresholds > 0].median().item()
        nearest = statistics.median(thresholds[thresholds > 0].tolist())
        # between the two in the middle, and as near as the last bisection comes
        assert found.median_distance == pytest.approx(nearest, rel=2e-3)
        assert found.median_distance >= median * (1 - 1e-9)
    else:
        assert found.median_distance is found.distances is None
        for r, loss in zip(found.strengths, found.loss, strict=True):
            exact = functional.softplus(r * slope - margin).mean().item()
            assert loss == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("name", ["fgsm", "pgd-linf"])
def test_attacks_stay_in_the_range_that_is_given(name):
    model = Linear()
    x, y = samples()
    margin, w = margins(model, x, y)
    flat = x.flatten(1)
    room = (1 - flat).where(w < 0, flat)  # a number is moved against w
    found = robustness(
        model, x, y, low=0, high=1, perturbations=[name], strengths={name: (0.2, 0.5)}
    ).curves[name]
    for r, loss in zip((0.2, 0.5), found.loss[1:], strict=True):
        exact = margin - (w.abs() * room.clamp_max(r)).sum(1)
        assert loss == pytest.approx(functional.softplus(-exact).mean().item(), rel=1e-9)
    free = robustness(model, x, y, perturbations=[name], strengths={name: (0.5,)}).curves[name]
    assert free.loss[1] > found.loss[2]


def test_a_larger_ball_holds_the_worse_input():
    """A pit so narrow that long steps jump over it is found with short ones, and kept."""

    class Pit(nn.Module):
        def forward(self, x):
            away = (x - x.round()).flatten(1)
            return torch.cat((0 * away, 2 * (-(((away - 0.01) / 0.003) ** 2)).exp() - 1), 1)

    x = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=F64).reshape(4, 1, 1)
    y = torch.zeros(4).long()
    for grid, accuracy in (((0.01, 0.3), (1, 0, 0)), ((0.3,), (1, 1))):
        curve = robustness(
            Pit(), x, y, perturbations=["pgd-linf"], strengths={"pgd-linf": grid}
        ).curves["pgd-linf"]
        assert curve.accuracy == accuracy
        assert list(curve.loss) == sorted(curve.loss)


def test_noise_makes_as_many_errors_as_the_normal_distribution_says():
    """A linear margin m under noise σ stays positive with probability Φ(m / (σ ‖w‖))."""
    model = Linear()
    x, _ = samples(batch=400)
    y = model(x).argmax(1)  # of random classes half would be right at any deviation
    margin, w = margins(model, x, y)
    grid = (0.1, 0.3)
    found = robustness(
        model,
        x,
        y,
        low=0,
        high=2,  # which the deviations are relative to
        perturbations=["white-noise"],
        strengths={"white-noise": grid},
        seeds=20,
        batch_size=64,
    ).curves["white-noise"]
    for k, std in enumerate(grid, start=1):
        z = margin / (2 * std * w.norm(dim=1))
        p = torch.tensor([NORMAL.cdf(value) for value in z.tolist()])
        deviation = (p * (1 - p)).sum().sqrt().item() / len(p)  # of the accuracy of one draw
        assert abs(found.accuracy[k] - p.mean()) < SIGMAS * deviation / math.sqrt(20)
        # the standard deviation over n draws is known to 1 / sqrt(2 (n - 1)) of itself
        assert abs(found.accuracy_sd[k] / deviation - 1) < SIGMAS / math.sqrt(2 * 19)
    assert found.accuracy_sd[0] == 0
    assert found.seeds == 20


def test_salt_and_pepper_of_everything_is_a_coin_for_each_number():
    """Of a mean over pure salt and pepper: expectation (low + high) / 2."""

    class Mean(nn.Module):
        def forward(self, x):
            return x.mean((1, 2))

    x = torch.rand(300, 4, 5, dtype=F64)
    found = robustness(
        Mean(),
        x,
        torch.zeros(300, dtype=F64),
        low=-1,
        high=3,
        perturbations=["salt-and-pepper"],
        strengths={"salt-and-pepper": (1.0,)},
        seeds=2,
        loss=lambda answers, target: answers,
    ).curves["salt-and-pepper"]
    assert abs(found.loss[1] - 1) < SIGMAS * 2 / math.sqrt(300 * 20 * 2)
    assert found.accuracy is None


def test_the_grids_hold_those_of_the_literature():
    assert {0.1, 0.2, 0.3} <= set(PERTURBATIONS["white-noise"].strengths)
    assert {0.03, 0.05, 0.1} <= set(PERTURBATIONS["salt-and-pepper"].strengths)
    assert max(PERTURBATIONS["pgd-7x0.01"].strengths) == 0.07


@pytest.mark.parametrize("batch_first", [True, False])
def test_attacks_know_the_times_of_each_sample(batch_first):
    """Logits D ε Σ dt_t (U x_t + b) + d: the slope at x_t is in proportion to dt_t."""
    torch.manual_seed(0)
    model = integrator(batch_first)
    x, y = samples(batch=20, steps=4)
    x, dt = 4 * x - 2, 3 * torch.rand(20, 4, dtype=F64)
    layer, head = model.rnn, model.head
    side = 1 - 2 * y[:, None].double()  # of the right class: +1 for class 0
    lead = (head.weight[0] - head.weight[1]) * side
    with torch.no_grad():
        drive = x @ layer.weight_ih_l0.mT + layer.bias_l0  # (B, T, H)
        margin = (lead * 0.2 * (dt[..., None] * drive).sum(1)).sum(1)
        margin += ((head.bias[0] - head.bias[1]) * side).squeeze(1)
        w = 0.2 * dt[..., None] * (lead @ layer.weight_ih_l0)[:, None]  # (B, T, P)
    span = (x.max() - x.min()).item()
    inputs = (x, dt) if batch_first else (x.transpose(0, 1), dt.mT)
    for name, dual in (("fgsm", 1), ("pgd-linf", 1), ("deepfool-l2", 2)):
        thresholds = margin / (w.flatten(1).norm(dual, dim=1) * span)
        grid = between(thresholds, count=3)
        found = robustness(
            model,
            inputs[0],
            y,
            dt=inputs[1],
            perturbations=[name],
            strengths={name: grid},
            batch_size=8,
        ).curves[name]
        expected = [(thresholds > r).double().mean().item() for r in (0.0, *grid)]
        assert found.accuracy == pytest.approx(expected, abs=1e-12), name


def test_a_unit_that_is_told_of_missing_steps_does_not_miss_them():
    model = integrator()
    with torch.no_grad():
        model.head.bias.fill_(0.0)
        model.head.weight.fill_(1.0)
        model.rnn.bias_l0.fill_(0.0)
    x = torch.rand(9, 1, 2, dtype=F64).expand(9, 10, 2)  # the same at every step
    target = model(x)[:, 0].detach()  # what the loss is: the state itself
    found = robustness(
        model,
        x,
        target,
        perturbations=["dropped-steps", "dropped-steps-held", "repeated-steps", "jittered-times"],
        strengths={
            "dropped-steps": (0.3,),
            "dropped-steps-held": (0.3,),
            "repeated-steps": (0.2,),
        },
        loss=lambda answers, target: answers[:, 0] / target,
        seeds=2,
    ).curves
    assert found["dropped-steps"].loss[1] == pytest.approx(0.7, rel=1e-12)
    assert found["dropped-steps-held"].loss[1] == pytest.approx(1.0, rel=1e-12)
    assert found["repeated-steps"].loss[1] == pytest.approx(1.2, rel=1e-12)
    assert found["jittered-times"].loss == pytest.approx([1.0] * 6, rel=1e-12)
    assert found["jittered-times"].accuracy is None


def test_weights_are_changed_on_copies_of_the_right_part():
    torch.manual_seed(0)
    model = SequenceClassifier(LipschitzRNN(2, 6, batch_first=True, dtype=F64), 2)
    x, y = samples()
    found = robustness(model, x, y, perturbations=["rounded", "bfloat16", "pruned"]).curves
    for bits, loss in zip(found["rounded"].strengths, found["rounded"].loss, strict=True):
        changed = round_weights(model, bits) if bits else model
        assert loss == pytest.approx(functional.cross_entropy(changed(x), y).item(), rel=1e-12)
    assert found["rounded"].strengths == (0.0, 16, 8, 6, 5, 4, 3)
    changed = round_weights(model, "bfloat16")
    exact = functional.cross_entropy(changed(x), y).item()
    assert found["bfloat16"].loss[1] == pytest.approx(exact, rel=1e-12)
    everything = robustness(model, x, y, perturbations=["pruned"], strengths={"pruned": (1.0,)})
    curve = everything.curves["pruned"]
    assert curve.loss[1] == pytest.approx(math.log(2), rel=1e-12)  # all logits are zero
    assert curve.accuracy[1] == (y == 0).double().mean().item()


def test_noise_on_one_group_is_noise_on_that_group_alone():
    """Noise on the head moves logits by a normal number of known deviation."""
    torch.manual_seed(0)
    model = SequenceRegressor(LipschitzRNN(2, 8, batch_first=True, dtype=F64), 1)
    x, _ = samples(batch=5)
    with torch.no_grad():
        answers = model(x)
        weight, bias = model.head.weight, model.head.bias
        _, h_n = model.rnn(x)
        # each weight has noise of the root mean square of its tensor
        variance = h_n[-1].square().sum(1) * weight.square().mean() + bias.square().mean()
    seeds, s = 200, 0.3
    found = robustness(
        model,
        x,
        answers,
        perturbations=["weight-noise:head", "weight-noise:A", "weight-noise:other"],
        strengths={"weight-noise:head": (s,), "weight-noise:A": (s,)},
        seeds=seeds,
    )
    mean = (s**2 * variance).mean().item()
    # a square of a normal number has the standard deviation sqrt(2) of its mean; samples share it
    assert abs(found.curves["weight-noise:head"].loss[1] / mean - 1) < SIGMAS * math.sqrt(2 / seeds)
    assert found.curves["weight-noise:A"].loss[-1] > 0
    assert found.skipped == {"weight-noise:other": "the model has no such trainable parameters"}


def test_of_an_unknown_module_all_weights_are_other():
    model = Linear()
    x, y = samples()
    found = robustness(model, x, y, perturbations=["weight-noise", "weight-noise:other"]).curves
    first, second = found.values()
    assert dataclasses.replace(second, name=first.name) == first
    assert first.accuracy_sd[-1] > 0
