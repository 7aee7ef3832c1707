"""Robustness of models of all kinds: what is measured, in which layout, and what is skipped."""

import math
import statistics

import pytest
import torch
from robustness_problems import Linear, classifier, samples, seeded
from torch import nn

from lipschitz_rnn.analysis.robustness import robustness
from lipschitz_rnn.analysis.robustness_curve import wilson_interval
from lipschitz_rnn.analysis.robustness_kinds import PERTURBATIONS
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier, SequenceRegressor

F64 = torch.float64


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
