"""Robustness: exact on linear models, whose worst and mean cases are known."""

import copy
import dataclasses
import math
import statistics

import pytest
import torch
from torch import nn
from torch.nn import functional

from lipschitz_rnn.analysis.robustness import robustness
from lipschitz_rnn.analysis.robustness_curve import wilson_interval
from lipschitz_rnn.analysis.robustness_kinds import PERTURBATIONS
from lipschitz_rnn.analysis.weight_noise import round_weights
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier, SequenceRegressor

F64 = torch.float64
SIGMAS = 5.0
NORMAL = statistics.NormalDist()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Linear(nn.Module):
    """Logits, or numbers, that are linear in the whole sequence, (B, T, P)."""

    def __init__(self, steps=3, features=2, outputs=2):
        super().__init__()
        self.linear = nn.Linear(steps * features, outputs, dtype=F64)

    def forward(self, x):
        return self.linear(x.flatten(1))


def samples(batch=40, steps=3, features=2, outputs=2, seed=1):
    x = torch.rand(batch, steps, features, generator=seeded(seed), dtype=F64)
    return x, torch.randint(outputs, (batch,), generator=seeded(seed + 1))


def margins(model, x, y):
    """How much the right class leads, (B,), and what that is multiplied with, (B, T P)."""
    logits = model(x).detach()
    w = model.linear.weight.detach()
    return (logits.gather(1, y[:, None]) - logits.gather(1, 1 - y[:, None])).squeeze(1), (
        w[y] - w[1 - y]
    )


def between(thresholds, largest=math.inf, count=8):
    """Strengths that are not close to those at which a sample falls."""
    t = thresholds[(thresholds > 0) & (thresholds < largest)].sort().values
    middles = (t[1:] + t[:-1]) / 2
    wide = middles[t[1:] > 1.02 * t[:-1]].tolist()
    assert len(wide) >= 3
    return tuple(wide[:: max(1, len(wide) // count)])


# -- attacks on linear models ----------------------------------------------------------------------

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


# -- random perturbations --------------------------------------------------------------------------


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


# -- steps and times -------------------------------------------------------------------------------


def integrator(batch_first=True):
    """h' = U x + b and a head: logits are linear in what is read, and in how long."""
    layer = LipschitzRNN(
        2,
        3,
        alpha=0.0,
        gamma=0.0,
        init_std=0.0,
        nonlinearity="identity",
        step_size=0.2,
        batch_first=batch_first,
        dtype=F64,
    )
    return SequenceClassifier(layer, 2)


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


# -- weights ---------------------------------------------------------------------------------------


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


# -- any model -------------------------------------------------------------------------------------


def classifier(rnn, seed=0):
    torch.manual_seed(seed)
    return SequenceClassifier(rnn, 3)


def test_every_kind_on_a_lipschitz_unit_and_on_a_gru():
    x, y = samples(batch=5, outputs=3)
    with_times = classifier(LipschitzRNN(2, 4, batch_first=True))
    found = robustness(with_times, x.float(), y, seeds=2)
    assert list(found.curves) == [name for name in PERTURBATIONS if name != "weight-noise:other"]
    assert list(found.skipped) == ["weight-noise:other"]
    for name, curve in found.curves.items():
        assert curve.name == name
        assert curve.accuracy[0] == found.accuracy
        assert len(curve.accuracy) == len(curve.strengths) == 1 + len(PERTURBATIONS[name].strengths)
        assert curve.samples == found.samples == 5
        for low, share, high in zip(
            curve.accuracy_low, curve.accuracy, curve.accuracy_high, strict=True
        ):
            assert (low, high) == wilson_interval(share, 5)
        if curve.loss is not None:
            assert curve.loss[0] == found.loss
    without = robustness(classifier(nn.GRU(2, 4, batch_first=True)), x.float(), y, seeds=2)
    untimed = {"dropped-steps-held", "jittered-times"}
    assert set(without.skipped) == untimed | {"weight-noise:A", "weight-noise:other"}
    assert all("dt" in without.skipped[name] for name in untimed)
    assert set(without.curves) | set(without.skipped) == set(PERTURBATIONS)


def test_time_first_is_measured_as_batch_first():
    x, y = samples(outputs=3)
    first = classifier(LipschitzRNN(2, 4, batch_first=True, dtype=F64))
    other = classifier(LipschitzRNN(2, 4, dtype=F64))
    other.load_state_dict(first.state_dict())
    names = ["fgsm", "pgd-7x0.01", "deepfool-l2", "dropped-steps", "jittered-times", "rounded"]
    kept = {"perturbations": names, "seeds": 2, "batch_size": 16}
    one, two = robustness(first, x, y, **kept), robustness(other, x.transpose(0, 1), y, **kept)
    for name in names:
        assert one.curves[name].accuracy == two.curves[name].accuracy
        if one.curves[name].loss is not None:
            assert one.curves[name].loss == pytest.approx(two.curves[name].loss, rel=1e-12)


@pytest.mark.parametrize("kind", [SequenceClassifier, SequenceRegressor])
@pytest.mark.parametrize("batch", [4, 6])  # as many samples as steps, or more
def test_answers_at_every_step_are_measured_alike_with_times_first(kind, batch):
    torch.manual_seed(0)
    layers = [LipschitzRNN(2, 4, batch_first=first, dtype=F64) for first in (True, False)]
    first, other = (kind(layer, 3, every_step=True).to(F64) for layer in layers)
    other.load_state_dict(first.state_dict())
    x, _ = samples(batch, steps=4)
    target = torch.randint(3, (batch, 4), generator=seeded())
    if kind is SequenceRegressor:
        target = torch.randn(batch, 4, 3, generator=seeded(), dtype=F64)
    names = ["white-noise", "fgsm", "pgd-7x0.01", "jittered-times", "rounded"]
    kept = {"perturbations": names, "seeds": 1, "batch_size": 4}
    one = robustness(first, x, target, **kept)
    two = robustness(other, x.transpose(0, 1), target.transpose(0, 1), **kept)
    assert two.loss == pytest.approx(one.loss, rel=1e-13)
    assert two.accuracy == (None if one.accuracy is None else pytest.approx(one.accuracy))
    for name in names[1:]:  # noise is drawn in the order of the input
        assert one.curves[name].loss == pytest.approx(two.curves[name].loss, rel=1e-12), name
    # each sample by itself, so that none is paired with another's target
    losses = []
    for k in range(batch):
        part = other, x[k : k + 1].transpose(0, 1), target[k : k + 1].transpose(0, 1)
        losses.append(robustness(*part, low=0, high=1, perturbations=[]).loss)
    assert two.loss == pytest.approx(statistics.mean(losses), rel=1e-13)
    with pytest.raises(ValueError, match=r"or \(T, B(, Q)?\) of a model that answers at every"):
        robustness(other, x.transpose(0, 1), target[:, :3])


def test_any_batch_size_finds_the_same():
    model = classifier(LipschitzRNN(2, 4, batch_first=True, dtype=F64))
    x, y = samples(batch=5, outputs=3)
    names = [
        name for name in PERTURBATIONS if not name.startswith("pgd-l")
    ]  # random starts are by batch
    strongest = {name: PERTURBATIONS[name].strengths[-1:] for name in names}
    kept = {"dt": torch.rand(5, 3, dtype=F64), "perturbations": names, "strengths": strongest}
    one, two = (robustness(model, x, y, seeds=2, batch_size=size, **kept) for size in (2, 5))
    for name, curve in one.curves.items():
        assert curve.accuracy == two.curves[name].accuracy
        if curve.loss is not None:
            assert curve.loss == pytest.approx(two.curves[name].loss, rel=1e-12)


def test_numbers_have_losses_alone():
    """A linear answer e off under FGSM: (|e| + r ‖w‖₁)²."""
    model = Linear(outputs=1)
    x, _ = samples()
    target = torch.randn(40, 1, dtype=F64)
    found = robustness(model, x, target, perturbations=["fgsm", "deepfool-l2", "pruned"])
    assert found.skipped == {"deepfool-l2": "the target is numbers: there is no class to leave"}
    assert found.accuracy is None
    curve = found.curves["fgsm"]
    assert curve.accuracy is curve.accuracy_low is curve.accuracy_high is None
    error = (model(x) - target).detach().abs()
    slope = model.linear.weight.abs().sum().item() * (x.max() - x.min()).item()
    for r, loss in zip(curve.strengths, curve.loss, strict=True):
        assert loss == pytest.approx((error + r * slope).square().mean().item(), rel=1e-9)


def test_symbols_can_go_missing_but_not_be_moved():
    torch.manual_seed(0)
    encoder = nn.Embedding(7, 2)
    model = SequenceClassifier(LipschitzRNN(2, 4, batch_first=True), 3, encoder=encoder)
    tokens = torch.randint(7, (5, 6))
    found = robustness(model, tokens, torch.arange(5) % 3, seeds=2)
    moved = {
        name for name, k in PERTURBATIONS.items() if k.family in ("values", "attack", "distance")
    }
    assert set(found.skipped) == moved
    assert "symbols" in found.skipped["fgsm"]
    assert {"dropped-steps", "jittered-times", "weight-noise:other", "rounded"} <= set(found.curves)
    assert found.low is found.high is None


def test_models_that_do_not_take_a_kind_say_why():
    x, y = samples()
    found = robustness(Linear(), x, y, perturbations=["dropped-steps", "jittered-times"]).skipped
    assert "does not take such steps" in found["dropped-steps"]  # a linear map of three steps
    assert found["jittered-times"] == "the model takes no times `dt`"
    bounded = classifier(
        LipschitzRNN(2, 4, gamma=0.1, constraint="contractive", batch_first=True, dtype=F64)
    )
    assert "jittered-times" in robustness(bounded, x, y, perturbations=["jittered-times"]).skipped
    every = SequenceRegressor(LipschitzRNN(2, 4, batch_first=True, dtype=F64), 1, every_step=True)
    found = robustness(every, x, torch.zeros(40, 3, 1, dtype=F64), seeds=1)
    steps = {"dropped-steps", "dropped-steps-held", "repeated-steps"}
    assert steps <= set(found.skipped)
    assert "jittered-times" in found.curves
    constant = robustness(Linear(), torch.ones(40, 3, 2, dtype=F64), y, perturbations=["fgsm"])
    assert "give `low` and `high`" in constant.skipped["fgsm"]


def test_a_class_for_each_step():
    """Of several answers the share that is right, and their mean loss."""
    x, _ = samples()
    target = torch.randint(2, x.shape[:2], generator=seeded())
    model = SequenceClassifier(
        LipschitzRNN(2, 4, batch_first=True, dtype=F64), 2, every_step=True
    ).to(F64)
    kinds = ["white-noise", "fgsm", "pgd-linf", "deepfool-l2", "dropped-steps", "rounded"]
    found = robustness(model, x, target, perturbations=kinds, seeds=2, batch_size=7)
    with torch.no_grad():
        logits = model(x)
        right = (logits.argmax(-1) == target).double().mean()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
    assert found.accuracy == pytest.approx(float(right), rel=1e-15)
    assert found.loss == pytest.approx(float(loss), rel=1e-14)
    assert set(found.curves) == {"white-noise", "fgsm", "pgd-linf", "rounded"}
    assert "a class for each step" in found.skipped["deepfool-l2"]
    assert found.curves["pgd-linf"].loss[-1] > found.loss  # it raises the mean over the steps
    with pytest.raises(ValueError, match=r"\(B, T, C\), as the target"):
        robustness(classifier(LipschitzRNN(2, 4, batch_first=True, dtype=F64)), x, target)


def test_the_distance_to_a_class_that_is_not_reached_is_infinite():
    model = Linear()
    with torch.no_grad():
        model.linear.weight.zero_()
        model.linear.bias.copy_(torch.tensor([1.0, 0.0]))
    x, y = samples()
    found = robustness(model, x, y, perturbations=["deepfool-l2"]).curves["deepfool-l2"]
    assert found.distances == tuple(math.inf if right else 0 for right in (y == 0).tolist())
    assert found.median_distance == math.inf


def test_answers_that_are_no_numbers_are_wrong():
    class Broken(nn.Module):
        def forward(self, x):
            return torch.full((len(x), 2), math.nan)

    found = robustness(Broken(), torch.rand(4, 2, 1), torch.zeros(4).long(), perturbations=[])
    assert found.accuracy == 0
    assert math.isnan(found.loss)


# -- promises --------------------------------------------------------------------------------------


def test_the_same_seed_finds_the_same():
    model = classifier(LipschitzRNN(2, 4, batch_first=True, dtype=F64))
    x, y = samples(batch=10, outputs=3)
    kept = {
        "seeds": 2,
        "strengths": {name: kind.strengths[-1:] for name, kind in PERTURBATIONS.items()},
    }
    torch.manual_seed(1)
    one = robustness(model, x, y, seed=3, **kept)
    torch.manual_seed(2)  # which is not looked at
    state = torch.get_rng_state()
    assert robustness(model, x, y, seed=3, **kept) == one
    assert torch.equal(torch.get_rng_state(), state)
    other = robustness(model, x, y, seed=9, **kept)
    for name in ("white-noise", "salt-and-pepper", "dropped-steps", "weight-noise:W"):
        assert other.curves[name].loss[-1] != one.curves[name].loss[-1], name
    assert other.curves["rounded"] == one.curves["rounded"]


class Picky(nn.Module):
    """With parts that differ in training, one of which is not trained at the moment."""

    def __init__(self):
        super().__init__()
        self.norm, self.dropout = nn.BatchNorm1d(6, dtype=F64), nn.Dropout(0.5)
        self.linear = nn.Linear(6, 2, dtype=F64)
        self.dropout.eval()

    def forward(self, x):
        if len(x) == 13:
            raise RuntimeError("thirteen")
        assert not any(module.training for module in self.modules())
        return self.linear(self.dropout(self.norm(x.flatten(1))))


def test_the_model_is_left_as_it_was():
    model = Picky()
    modes = [module.training for module in model.modules()]
    assert len(set(modes)) == 2
    model.linear.weight.grad = torch.ones_like(model.linear.weight)
    before = copy.deepcopy(model.state_dict())
    x, y = samples()
    x.requires_grad_()
    robustness(model, x, y, seeds=1)
    with pytest.raises(RuntimeError, match="thirteen"):
        robustness(model, x, y, batch_size=13)
    assert [module.training for module in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(model.linear.weight.grad, torch.ones_like(model.linear.weight))
    assert model.linear.bias.grad is None
    assert x.grad is None
    assert torch.backends.cudnn.enabled


def test_progress_is_reported_in_order():
    names, seen = ["pruned", "fgsm"], []
    robustness(Linear(), *samples(), perturbations=names, report=seen.append)
    assert seen == names


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"perturbations": ["fgms"]}, ValueError, "Did you mean 'fgsm'"),
        ({"strengths": {"noise": (1,)}}, ValueError, "to be one of white-noise"),
        ({"strengths": {"fgsm": (-0.1,)}}, ValueError, r"`strengths\['fgsm'\]` >= 0"),
        ({"strengths": {"rounded": (4.5,)}}, TypeError, "`bits` to be an int"),
        ({"seeds": 0}, ValueError, "`seeds` >= 1"),
        ({"batch_size": 0}, ValueError, "`batch_size` >= 1"),
        ({"low": 1.0, "high": 0.0}, ValueError, "between low=1.0"),
        ({"low": 0.5}, ValueError, "between low=0.5"),
        ({"target": torch.zeros(3).long()}, ValueError, "as many samples as `input`"),
        ({"target": [0, 1]}, TypeError, "`target` to be a torch.Tensor"),
        ({"target": torch.zeros(40, dtype=F64)}, ValueError, r"target.shape = \(40,\)"),
        ({"loss": lambda answers, target: answers.sum()}, ValueError, r"`loss` of shape \(B,\)"),
    ],
)
def test_what_does_not_fit_is_refused(change, error, message):
    x, y = samples()
    arguments = {"target": y, "perturbations": ["fgsm", "rounded"]} | change
    with pytest.raises(error, match=message):
        robustness(Linear(), x, **arguments)


def test_a_model_with_several_answers_is_refused():
    with pytest.raises(TypeError, match=r"got tuple\. Wrap it"):
        robustness(nn.GRU(2, 4, batch_first=True), torch.rand(4, 3, 2), torch.zeros(4).long())


# -- confidence ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "samples", "low", "high"),
    [  # 0 and 5 of 10: as published; 81 of 263: Newcombe (1998), table I, method 3
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(right, samples, low, high):
    got = wilson_interval(right / samples, samples)
    assert [round(end, 4) for end in got] == [low, high]


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("share", [0.03, 0.5, 0.9])
def test_its_ends_are_z_of_their_own_deviations_away(share, level):
    n, z = 70, NORMAL.inv_cdf((1 + level) / 2)
    for end in wilson_interval(share, n, level):
        assert abs(share - end) == pytest.approx(z * math.sqrt(end * (1 - end) / n), rel=1e-9)


def coverage(p, n, draws):
    """How often the interval of a mean holds p; ``draws(p)`` are means of samples in [0, 1]."""
    intervals = [wilson_interval(share, n) for share in draws]
    return sum(low <= p <= high for low, high in intervals) / len(intervals)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.97])
def test_the_interval_holds_the_truth_as_often_as_it_says(p):
    n, runs = 100, 4000
    right = torch.rand(runs, n, generator=seeded(), dtype=F64) < p
    found = coverage(p, n, right.double().mean(1).tolist())
    # exact, from the binomial distribution: near 0.95, not at it
    exact = sum(
        math.comb(n, k) * p**k * (1 - p) ** (n - k)
        for k in range(n + 1)
        if wilson_interval(k / n, n)[0] <= p <= wilson_interval(k / n, n)[1]
    )
    assert 0.93 < exact < 0.98
    assert abs(found - exact) < SIGMAS * math.sqrt(exact * (1 - exact) / runs)


def test_means_over_seeds_are_held_more_often():
    """Each sample's share of right answers over three draws varies less than a single draw."""
    n, runs, p = 100, 2000, 0.3
    right = torch.rand(runs, n, 3, generator=seeded(), dtype=F64) < p
    assert coverage(p, n, right.double().mean((1, 2)).tolist()) > 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.2, 10), "0 <= `share` <= 1"),
        ((0.5, 0), "`samples` >= 1"),
        ((0.5, 10, 1.0), "0 < `level` < 1"),
    ],
)
def test_intervals_of_nothing_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        wilson_interval(*arguments)
