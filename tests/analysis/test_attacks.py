"""Projected gradient ascent: optimal on linear models, and never outside its budget."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lipschitz_rnn.analysis.attacks import empirical_accuracy, pgd
from lipschitz_rnn.analysis.ball import classify
from lipschitz_rnn.analysis.deepfool import deepfool
from lipschitz_rnn.analysis.fgsm import fgsm
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier

F32, F64 = torch.float32, torch.float64


class Flat(nn.Module):
    """Logits D x of the whole sequence, (B, T, P)."""

    def __init__(self, steps=4, features=3, classes=2, dtype=F64, seed=0):
        super().__init__()
        self.head = nn.Linear(steps * features, classes, dtype=dtype)
        g = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.head.weight.copy_(torch.randn(self.head.weight.shape, generator=g))

    def forward(self, x):
        return self.head(x.flatten(1))


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def samples(batch=16, steps=4, features=3, dtype=F64, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(batch, steps, features, generator=g, dtype=F64).to(dtype)


def sizes(difference, norm, axis=0):
    flat = difference.double().movedim(axis, 0).flatten(1)
    return flat.abs().amax(1) if norm == "linf" else flat.norm(dim=1)


def steepest(model, target, norm):
    """The optimal direction for two classes, and how much it moves the margin."""
    w = model.head.weight[1 - target] - model.head.weight[target]  # (B, T P)
    if norm == "linf":
        return w.sign(), w.abs().sum(1)
    return w / w.norm(dim=1, keepdim=True), w.norm(dim=1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("start", [True, False])
def test_linear_model_is_attacked_at_best(norm, start):
    model, x = Flat(), samples()
    target = model(x).argmax(1)
    direction, slope = steepest(model, target, norm)
    found = pgd(
        model, x, target, norm=norm, radius=0.1, steps=60, step_size=0.3, random_start=start,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    moved = (found - x).flatten(1)
    # in l2 what is left of a start off the axis shrinks by 4 at each step, until the loss, which
    # depends on its square, no longer tells: at sqrt(2^-52) or so
    assert (moved - 0.1 * direction).abs().max() < {"linf": 1e-12, "l2": 1e-6}[norm]
    answers, before = model(found), model(x)
    change = (answers - before).gather(1, 1 - target[:, None]) - (answers - before).gather(
        1, target[:, None]
    )
    assert torch.allclose(change.squeeze(1), 0.1 * slope, rtol=1e-9)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_empirical_accuracy_of_a_linear_model(norm):
    """Each falls where radius times slope passes the margin; radii need no order."""
    model, x = Flat(), samples(40)
    target = model(x).argmax(1)
    target[:5] = 1 - target[:5]  # wrong from the start
    answers = model(x)
    margin = answers.gather(1, target[:, None]) - answers.gather(1, 1 - target[:, None])
    limit = margin.squeeze(1) / steepest(model, target, norm)[1]
    radii = [0.4, 0.0, 0.05, 0.2]
    found = empirical_accuracy(
        model, x, target, norm=norm, radii=radii, steps=30, batch_size=16,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    for radius, share in zip(radii, found, strict=True):
        assert ((limit - radius).abs() > 1e-6).all()  # none on the line
        assert share == (limit > radius).double().mean()
    assert found[1] == 35 / 40
    assert len(found.unique()) == 4


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    norm=st.sampled_from(["linf", "l2"]),
    dtype=st.sampled_from([torch.bfloat16, F32, F64]),
    exponent=st.floats(-9, 2),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
    step=st.floats(0.1, 3),
    box=st.booleans(),
)
def test_budgets_and_boxes_are_kept(seed, norm, dtype, exponent, scale, step, box):
    x = (scale * samples(5, dtype=F64, seed=seed)).to(dtype)
    model = Flat(dtype=dtype, seed=seed)
    radius = 10.0**exponent
    limits = {"low": x.min().item(), "high": x.max().item()} if box else {}
    found = pgd(
        model, x, torch.zeros(5, dtype=torch.long), norm=norm, radius=radius, steps=4,
        step_size=step * radius, generator=torch.Generator().manual_seed(seed), **limits,
    )  # fmt: skip
    assert found.dtype == dtype
    assert found.shape == x.shape
    assert (sizes(found.double() - x.double(), norm) <= radius).all()
    if box:
        assert (found >= x.min()).all()
        assert (found <= x.max()).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_budget_is_used_up_to_rounding(norm):
    x, model = samples(dtype=F32), Flat(dtype=F32)
    found = pgd(model, x, model(x).argmax(1), norm=norm, radius=0.1, steps=40, step_size=0.1)
    # an ulp of numbers up to 4, of each of twelve
    assert (sizes(found.double() - x.double(), norm) >= 0.1 - math.sqrt(12) * 2**-21).all()


def test_budgets_and_steps_of_each_sample():
    x, model = samples(), Flat()
    radius = torch.linspace(0, 0.5, 16, dtype=F64)
    found = pgd(model, x, model(x).argmax(1), norm="l2", radius=radius, steps=40, step_size=radius)
    assert torch.allclose(sizes(found - x, "l2"), radius, rtol=1e-9)
    assert torch.equal(found[0], x[0])


@pytest.mark.parametrize("batch_first", [True, False])
def test_samples_of_a_recurrent_model(batch_first):
    """Budgets go with samples, wherever their axis is; the answer is the same for both."""
    torch.manual_seed(0)
    model = SequenceClassifier(LipschitzRNN(3, 8, init_std=4.0, step_size=0.3), 3)
    model.rnn.batch_first = batch_first
    x = samples(5, 7, dtype=F32)
    x = x if batch_first else x.transpose(0, 1).contiguous()
    target, axis = model(x).argmax(1), 0 if batch_first else 1
    found = pgd(
        model, x, target, norm="l2", radius=0.3, steps=10, step_size=0.1, random_start=False
    )
    assert torch.allclose(
        sizes(found.double() - x.double(), "l2", axis), torch.full((5,), 0.3, dtype=F64), rtol=1e-3
    )
    alone = x.select(axis, 2).unsqueeze(axis)
    by_itself = pgd(
        model, alone, target[2:3], norm="l2", radius=0.3, steps=10, step_size=0.1,
        random_start=False,
    )  # fmt: skip
    assert torch.allclose(found.select(axis, 2), by_itself.select(axis, 0), atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, F32])
@pytest.mark.parametrize("attack", ["fgsm", "pgd", "deepfool"])
def test_a_box_is_kept_whatever_it_is_rounded_to(attack, dtype):
    """float32 has no 0.1: the nearest number is above it, and that to -0.1 below."""
    low, high = -0.1, 0.1
    ends = torch.tensor([low, high], dtype=dtype)
    inner = ends if ends[1].double() <= high else torch.nextafter(ends, torch.zeros_like(ends))
    model = Function(
        lambda x: torch.stack((0 * x[:, 0] + 0.19, (x * x.new_tensor([1, -1])).sum(1)), 1)
    )
    clean, target = torch.tensor([[0.05, -0.05]], dtype=dtype), torch.tensor([0])
    kept = {"norm": "linf", "radius": 1.0, "low": low, "high": high}

    def move(x):
        if attack == "fgsm":
            return fgsm(model, x, target, **kept)
        if attack == "pgd":
            return pgd(model, x, target, steps=3, step_size=1.0, random_start=False, **kept)
        return deepfool(model, x, norm="linf", overshoot=0.5, refine=0, low=low, high=high).input

    assert torch.equal(move(clean), inner.flip(0)[None])
    # what the ends are rounded to is accepted, and may stay: it is wrong already
    stays = move(ends.flip(0)[None]) == ends.flip(0)
    assert stays.all() or attack == "deepfool"  # which goes back to class 0
    with pytest.raises(ValueError, match=r"between low=-0\.1 and high=0\.1"):
        move(torch.nextafter(ends, 9 * ends)[None])


def test_answers_that_are_no_numbers_are_never_right():
    """A NaN looks largest to argmax, and the first of them like class 0."""
    model = Function(lambda x: torch.stack((x[:, 0].sqrt(), 0 * x[:, 0]), 1))
    x, target = torch.tensor([[-1.0], [0.5], [0.1]]), torch.zeros(3).long()
    found = empirical_accuracy(
        model,
        x,
        target,
        norm="linf",
        radii=[0.0, 0.2],
        steps=2,
        attack=lambda model, x, *_, **kw: x - 0.2,
    )
    assert found.tolist() == pytest.approx([2 / 3, 1 / 3])
    moved = pgd(model, x, target, norm="linf", radius=0.2, steps=2, step_size=0.15)
    assert classify(model, moved).tolist() == [-1, 0, -1]


def test_same_generator_same_attack():
    model, x = Flat(), samples()
    target = model(x).argmax(1)

    def attack(seed):
        g = torch.Generator().manual_seed(seed)
        return pgd(model, x, target, norm="l2", radius=1.0, steps=1, step_size=0.1, generator=g)

    torch.manual_seed(0)
    first = attack(3)
    torch.manual_seed(1)
    assert torch.equal(first, attack(3))
    assert not torch.equal(first, attack(4))


def test_random_starts_fill_the_ball():
    """In 12 dimensions half of a uniform ball lies within 2^(-1/12) of its radius."""
    x = torch.zeros(4000, 4, 3, dtype=F64)
    options = {"norm": "l2", "radius": 2.0, "steps": 1, "step_size": 0.0}
    seen = []
    model = Function(lambda x: seen.append(x.detach().clone()) or x.flatten(1).square().sum(1))
    pgd(
        model, x, x, loss=lambda answers, target: answers,
        generator=torch.Generator().manual_seed(0), **options,
    )  # fmt: skip
    share = (sizes(seen[1], "l2") < 2.0 * 0.5 ** (1 / 12)).double().mean().item()
    assert abs(share - 0.5) < 5 * 0.5 / math.sqrt(4000)


def test_the_model_is_left_alone():
    model = nn.Sequential(nn.Dropout(0.5), Flat())
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    marks = [p.requires_grad for p in model.parameters()]
    x = samples().requires_grad_()
    with torch.no_grad():  # as in an evaluation
        found = pgd(model, x, torch.zeros(16, dtype=torch.long), norm="linf", radius=0.1, steps=3,
                    step_size=0.1)  # fmt: skip
    assert model.training
    assert model[0].training
    assert all(p.grad is None for p in model.parameters())
    assert [p.requires_grad for p in model.parameters()] == marks
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert x.grad is None
    assert not found.requires_grad


def test_the_best_iterate_is_kept():
    """Steps so long that the ascent jumps over the top: the last iterate is not the best."""
    values = []

    def loss(answers, target):
        values.append(answers.detach().clone())
        return answers

    model = Function(lambda x: torch.cos(3 * x).flatten(1).sum(1))
    x = torch.full((1, 1, 1), 0.3, dtype=F64)
    found = pgd(model, x, x, norm="linf", radius=1.0, steps=9, step_size=0.7, loss=loss)
    assert model(found) == max(values)
    assert values[-1] < max(values)


def test_what_is_misclassified_beats_a_higher_loss():
    """Three classes: on the way lies a wrong answer with a loss below that of the right one."""

    def answers(x):
        x = x.flatten(1)[:, 0]
        wrong = torch.stack((0 * x, 0.1 + 0 * x, -10 - x), 1)  # loss 0.74
        right = torch.stack((0 * x, -0.01 + 0.001 * x, -0.01 + 0.001 * x), 1)  # loss 1.09
        return torch.where(((x > 0.5) & (x < 1.5))[:, None], wrong, right)

    x = torch.zeros(1, 1, 1, dtype=F64)
    model, target = Function(answers), torch.tensor([0])
    assert answers(x).argmax(1) == 0
    options = {"norm": "linf", "radius": 3.0, "step_size": 1.0, "random_start": False}
    # the gradient of the wrong piece points back: its first iterate is at 1
    found = pgd(model, x, target, steps=1, **options)
    assert answers(found).argmax(1) == 1
    highest = pgd(
        model, x, target, steps=1, **options,
        loss=lambda y, t: nn.functional.cross_entropy(y, t, reduction="none"),
    )  # fmt: skip
    assert answers(highest).argmax(1) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": "l1"}, "one of linf, l2"),
        ({"radius": -1.0}, "a finite `radius` of at least 0"),
        ({"radius": torch.ones(3)}, r"`radius` of shape \(B,\)"),
        ({"step_size": math.inf}, "a finite `step_size`"),
        ({"steps": 0}, "`steps` >= 1"),
        ({"low": 0.0}, "between low=0.0 and high=None"),
        ({"target": torch.zeros(3, dtype=torch.long)}, r"`target` of shape \(B,\)"),
    ],
)
def test_refusals(change, message):
    options = {
        "target": torch.zeros(16, dtype=torch.long),
        "norm": "l2",
        "radius": 0.1,
        "steps": 1,
        "step_size": 0.1,
    }
    with pytest.raises(ValueError, match=message):
        pgd(Flat(), samples(), **options | change)
