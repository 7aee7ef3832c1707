"""Signs of masked gradients: none in an honest model, all of them where they were put."""

import math

import pytest
import torch
from linear_classifier import LinearClassifier, samples
from torch import nn
from torch.nn import functional

from lipschitz_rnn.analysis.attacks import pgd, pgd_losses
from lipschitz_rnn.analysis.fgsm import fgsm
from lipschitz_rnn.analysis.masking import AttackOutcome, check_masking
from lipschitz_rnn.analysis.random_search import random_search
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def train(batch_first=True, updates=60):
    """Three clouds of sequences, and a model that tells them apart."""
    g = torch.Generator().manual_seed(0)
    y = torch.arange(90) % 3
    x = torch.randn(3, 6, 2, generator=g)[y] + 0.5 * torch.randn(90, 6, 2, generator=g)
    x = x if batch_first else x.transpose(0, 1).contiguous()
    torch.manual_seed(0)
    model = SequenceClassifier(LipschitzRNN(2, 8, batch_first=batch_first, step_size=0.3), 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(updates):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    optimizer.zero_grad()
    return model, x, y


@pytest.fixture(scope="module")
def trained():
    return train()


def check(model, x, y, radius=0.5, norm="linf", **options):
    g = torch.Generator().manual_seed(0)
    options = {"steps": (1, 5, 20), "tries": 20} | options
    return check_masking(model, x, y, norm=norm, radius=radius, generator=g, **options)


def outcome_of(model, found, x, y):
    with torch.no_grad():
        right = (model(x).argmax(1) == y) & (model(found).argmax(1) == y)
        loss = functional.cross_entropy(model(found), y, reduction="none")
    return AttackOutcome(right.double().mean().item(), loss.double().mean().item())


def assert_same(got, expected):
    assert got.accuracy == expected.accuracy
    assert got.loss == pytest.approx(expected.loss, rel=1e-5)  # batches of another size, float32


@pytest.mark.parametrize(("norm", "radius"), [("linf", 0.2), ("linf", 0.6), ("l2", 0.8)])
@pytest.mark.parametrize("boxed", [True, False])
def test_an_honest_model(trained, norm, radius, boxed):
    model, x, y = trained
    box = {"low": x.min().item(), "high": x.max().item()} if boxed else {}
    report = check(model, x, y, radius, norm, source=model, **box)
    assert report.findings == ()
    assert report.clean.accuracy > 0.9
    assert report.unbounded.accuracy == 0
    assert report.zero_gradients == 0
    # the longest ascent is better than chance draws, and a model is its own best source
    assert report.pgd[-1].accuracy < report.random_search.accuracy < report.clean.accuracy
    assert report.transfer == report.pgd[-1]


def test_a_linear_model():
    model, x = LinearClassifier(3), samples(60)
    y = model(x).argmax(1)
    report = check(model, x, y, radius=0.1)
    assert report.findings == ()
    assert 0 < report.pgd[-1].accuracy < 1


@pytest.mark.parametrize("batch_first", [True, False])
def test_numbers_are_those_of_the_attacks(batch_first):
    model, x, y = train(batch_first)
    box = {"low": x.min().item(), "high": x.max().item()}
    other = SequenceClassifier(LipschitzRNN(2, 8, batch_first=batch_first), 3)
    report = check(model, x, y, steps=(1, 7), source=other, tries=5, batch_size=90, **box)
    common = {"norm": "linf", "radius": 0.5} | box
    ascent = common | {"steps": 7, "step_size": 2.5 * 0.5 / 7, "random_start": False}
    g = torch.Generator().manual_seed(0)
    assert_same(report.clean, outcome_of(model, x, x, y))
    assert_same(report.pgd[0], outcome_of(model, fgsm(model, x, y, **common), x, y))
    assert_same(report.pgd[1], outcome_of(model, pgd(model, x, y, **ascent), x, y))
    assert_same(report.transfer, outcome_of(model, pgd(other, x, y, **ascent), x, y))
    drawn = random_search(model, x, y, tries=5, generator=g, **common)
    assert_same(report.random_search, outcome_of(model, drawn, x, y))
    width = box["high"] - box["low"]
    assert report.unbounded_radius == max(width, 5.0)
    ascent |= {"radius": report.unbounded_radius, "step_size": 2.5 * report.unbounded_radius / 7}
    assert_same(report.unbounded, outcome_of(model, pgd(model, x, y, **ascent), x, y))
    parts = check(model, x, y, steps=(1, 7), source=other, tries=5, batch_size=32, **box)
    for name in ("clean", "unbounded", "transfer"):
        assert_same(getattr(parts, name), getattr(report, name))
    for got, expected in zip(parts.pgd, report.pgd, strict=True):
        assert_same(got, expected)
    wide = check(model, x, y, norm="l2", steps=(1,), tries=1, **box).unbounded_radius
    assert wide == pytest.approx(width * 12**0.5)  # the diagonal of the box
    still = check(model, x, y, steps=(1, 7), step_size=0.0)
    assert still.pgd == (still.clean, still.clean)
    assert still.unbounded.accuracy < still.clean.accuracy


def test_answers_that_are_no_numbers_are_wrong():
    model = Function(lambda x: torch.stack((x[:, 0].sqrt(), 0 * x[:, 0]), 1))
    report = check(model, torch.tensor([[-1.0], [0.5]]), torch.zeros(2).long(), radius=0.1)
    assert report.clean.accuracy == report.random_search.accuracy == 0.5
    assert math.isnan(report.clean.loss)


def found(report, words):
    return [finding for finding in report.findings if words in finding]


ELSEWHERE, RANDOM = "An attack on another model", "Random inputs leave"
ONLY_RANDOM = "Random inputs fool the model where no ascent does"
UNBOUNDED, FLAT = "An ascent within", "The gradient is zero"
FIRST, FALLS = "The longest ascent is not the strongest", "More steps lower the loss"


def test_rounded_inputs_have_no_gradient(trained):
    model, x, y = trained
    report = check(Function(lambda x: model(torch.round(4 * x) / 4)), x, y, source=model)
    assert report.zero_gradients == 1
    assert report.pgd[-1] == report.clean == report.unbounded
    signs = (ELSEWHERE, RANDOM, ONLY_RANDOM, UNBOUNDED, FLAT)
    assert [len(found(report, words)) for words in signs] == [1] * 5
    assert len(report.findings) == 5
    assert "100.0% of the clean inputs" in found(report, FLAT)[0]
    share = report.pgd[-1].accuracy - report.random_search.accuracy
    assert f": {share:.1%} of samples" in found(report, ONLY_RANDOM)[0]
    # without a source nothing is said of one
    alone = check(Function(lambda x: model(torch.round(4 * x) / 4)), x, y)
    assert alone.transfer is None
    assert alone.findings == report.findings[1:]


def test_a_softmax_so_steep_that_its_loss_is_zero(trained):
    """Float32 has no 1 - e^-104; the margins themselves are those of the honest model."""
    model, x, y = trained
    report = check(Function(lambda x: 1e6 * model(x)), x, y, source=model)
    assert report.zero_gradients > 0.9
    assert report.pgd[-1].accuracy == report.clean.accuracy
    assert [len(found(report, words)) for words in (ELSEWHERE, RANDOM, UNBOUNDED, FLAT)] == [1] * 4
    # gradients of the loss towards another class are there: an aim finds the way
    assert not found(report, ONLY_RANDOM)


def trap(x):
    """Margin that has a dip at 0.3, where ascents are caught, and is negative beyond 0.9."""
    x = x.flatten(1)[:, 0]
    dip = 1 + 10 * (x.abs() - 0.3).square()
    margin = torch.where(x.abs() < 0.9, dip, 10 * (0.9 - x.abs()) - 0.1)
    return torch.stack((margin, 0 * margin), 1)


def test_a_trap_for_small_steps():
    x = torch.linspace(0.05, 0.09, 20, dtype=torch.float64).reshape(20, 1, 1)
    y = torch.zeros(20, dtype=torch.long)
    report = check(Function(trap), x, y, radius=1.0, tries=10)
    assert report.pgd[0].accuracy == 0
    assert report.pgd[-1].accuracy == 1
    assert len(found(report, FIRST)) == 1
    assert "accuracy 0.000 with steps=1, 1.000 with steps=20" in report.findings[0]
    assert len(found(report, FALLS)) >= 1
    assert len(found(report, RANDOM)) == 1


def test_the_tolerance(trained):
    """Findings need more than it."""
    model, x, y = trained
    masked = Function(lambda x: model(torch.round(4 * x) / 4))
    quick = {"steps": (1, 2), "tries": 5}
    just = check(masked, x, y, **quick).unbounded.accuracy
    assert check(masked, x, y, tolerance=1.0, **quick).findings == ()
    assert not found(check(masked, x, y, tolerance=just, **quick), UNBOUNDED)
    assert found(check(masked, x, y, tolerance=just - 1e-9, **quick), UNBOUNDED)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_more_steps_never_do_worse(trained, norm):
    """Of one ascent what is kept gets better with each step, in both of its ranks."""
    model, x, y = trained
    options = {"norm": norm, "radius": 0.5, "step_size": 0.1, "random_start": False}

    def cross_entropy(answers, y):
        return functional.cross_entropy(answers, y, reduction="none")

    accuracies, losses = [], []
    for steps in (1, 2, 4, 8, 16):
        with torch.no_grad():
            fooling = pgd(model, x, y, steps=steps, **options)
            accuracies.append((model(fooling).argmax(1) == y).double().mean().item())
            highest = pgd(model, x, y, steps=steps, loss=cross_entropy, **options)
            losses.append(cross_entropy(model(highest), y).double().mean().item())
    assert accuracies == sorted(accuracies, reverse=True)
    assert losses == sorted(losses)
    assert accuracies[-1] < accuracies[0]
    assert losses[-1] > 1.5 * losses[0]


def test_the_loss_rises_along_the_ascent(trained):
    model, x, y = trained
    options = {"norm": "l2", "radius": 2.0, "steps": 20, "step_size": 0.1, "random_start": False}
    losses = pgd_losses(model, x, y, **options)
    assert losses.shape == (21,)
    with torch.no_grad():
        clean = functional.cross_entropy(model(x), y).item()
    assert losses[0].item() == pytest.approx(clean, rel=1e-5)
    assert (losses.diff() > 0).all()  # steps of a twentieth of the ball
    moved = pgd(model, x, y, loss=lambda a, t: functional.cross_entropy(a, t, reduction="none"),
                **options)  # fmt: skip
    with torch.no_grad():
        best = functional.cross_entropy(model(moved), y).item()
    assert losses[-1].item() <= best * (1 + 1e-5)
    flat = pgd_losses(Function(lambda x: model(torch.round(4 * x) / 4)), x, y, **options)
    assert (flat == flat[0]).all()
    start = pgd_losses(
        model, x, y, generator=torch.Generator().manual_seed(0), **options | {"random_start": True}
    )
    assert start[0] != losses[0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"norm": "l1"}, ValueError, "check_masking: expected `norm` to be one of linf, l2"),
        ({"radius": 0.0}, ValueError, "a finite `radius` > 0"),
        ({"steps": ()}, ValueError, r"check_masking: expected ascending `steps` >= 1, got \(\)"),
        ({"steps": (7, 1)}, ValueError, r"ascending `steps` >= 1, got \(7, 1\)"),
        ({"steps": (1, 1)}, ValueError, "ascending `steps`"),
        ({"steps": (0, 1)}, ValueError, r"ascending `steps` >= 1, got \(0, 1\)"),
        ({"tries": 0}, ValueError, "`tries` >= 1"),
        ({"tolerance": -0.1}, ValueError, "0 <= `tolerance` <= 1"),
        ({"batch_size": 0}, ValueError, "`batch_size` >= 1"),
        ({"low": 0.0}, ValueError, "between low=0.0 and high=None"),
        ({"target": torch.zeros(3, dtype=torch.long)}, ValueError, r"`target` of shape \(B,\)"),
        ({"input": torch.zeros(2, 4, 3, dtype=torch.long)}, TypeError, "floating-point `input`"),
    ],
)
def test_refusals(change, error, message):
    options = {"target": torch.zeros(16, dtype=torch.long), "norm": "l2", "radius": 0.1}
    options |= {"model": LinearClassifier(), "input": samples()}
    with pytest.raises(error, match=message):
        check_masking(**options | change)
