"""All attacks on linear models, where the best there can be is known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_classifier import (
    LinearClassifier,
    exact_distances,
    gaps_and_slopes,
    rounding,
    samples,
    sizes,
)
from torch import nn
from torch.nn import functional

from lipschitz_rnn.analysis.attacks import pgd, pgd_losses
from lipschitz_rnn.analysis.deepfool import deepfool
from lipschitz_rnn.analysis.fgsm import fgsm
from lipschitz_rnn.analysis.random_search import random_search

F32, F64 = torch.float32, torch.float64
NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])
CLASSES = pytest.mark.parametrize("classes", [2, 5])


def unit(w, norm):
    """The direction that raises w·x most, of length 1."""
    return w.sign() if norm == "linf" else w / w.norm(dim=1, keepdim=True)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def towards(k):
    """The margin that class k closes."""
    return lambda answers, y: answers[:, k] - answers.gather(1, y[:, None]).squeeze(1)


@NORMS
def test_fgsm_is_optimal_for_two_classes(norm):
    model, x = LinearClassifier(), samples()
    y = model(x).argmax(1)
    w = model.head.weight[1 - y] - model.head.weight[y]
    moved = (fgsm(model, x, y, norm=norm, radius=0.3) - x).flatten(1)
    # the ball is 1e-12 of its radius smaller than asked for; coordinates are rounded
    assert (moved - 0.3 * unit(w, norm)).abs().max() < 0.3e-12 + 4 * 2**-52 * x.abs().max()
    gain = torch.stack([towards(k)(model(x + moved.view_as(x)) - model(x), y) for k in (0, 1)])
    slope = w.norm(dim=1) if norm == "l2" else w.abs().sum(1)
    assert torch.allclose(gain.amax(0), 0.3 * slope, rtol=1e-11)


@NORMS
def test_fgsm_follows_the_gradient_of_the_cross_entropy(norm):
    """Which is D^T (softmax - one-hot)."""
    model, x = LinearClassifier(5), samples()
    y = torch.arange(16) % 5
    gradient = (model(x).softmax(1) - functional.one_hot(y, 5)) @ model.head.weight
    assert gradient.abs().min() > 1e-12  # no sign depends on rounding
    moved = (fgsm(model, x, y, norm=norm, radius=0.3) - x).flatten(1)
    assert (moved - 0.3 * unit(gradient, norm)).abs().max() < 1e-12


@NORMS
@CLASSES
def test_margins_are_closed_at_the_best_rate(norm, classes):
    """A linear loss gains radius times the dual norm of its slope, by FGSM and by PGD alike."""
    model, x = LinearClassifier(classes), samples()
    y = model(x).argmax(1)
    gaps, slopes = gaps_and_slopes(model, x, y, norm)
    for k in range(classes):
        best = gaps[:, k] + 0.2 * slopes[:, k]
        options = {"norm": norm, "radius": 0.2, "loss": towards(k)}
        ascended = pgd(model, x, y, steps=60, step_size=0.6, generator=generator(), **options)
        for found in (fgsm(model, x, y, **options), ascended):
            # the ball is smaller by 1e-12 of its radius; 13 terms of size up to 40, twice
            allowed = 1e-12 * 0.2 * slopes[:, k] + 2 * 13 * 40 * 2**-52
            assert ((towards(k)(model(found), y) - best).abs() <= allowed).all()


@NORMS
def test_losses_along_the_ascent(norm):
    """A linear loss rises evenly until the edge of the ball, and stays."""
    model, x = LinearClassifier(3), samples()
    y = model(x).argmax(1)
    gaps, slopes = gaps_and_slopes(model, x, y, norm)
    losses = pgd_losses(
        model, x, y, norm=norm, radius=0.5, steps=7, step_size=0.125, random_start=False,
        loss=towards(1),
    )  # fmt: skip
    lengths = torch.tensor([0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5], dtype=F64)
    expected = gaps[:, 1].mean() + lengths * slopes[:, 1].mean()
    allowed = 1e-12 * 0.5 * slopes[:, 1].mean() + 2 * 13 * 40 * 2**-52
    assert (losses - expected).abs().max() <= allowed


@NORMS
@CLASSES
def test_deepfool_finds_the_distance(norm, classes):
    model, x = LinearClassifier(classes), samples(40)
    y = model(x).argmax(1)
    exact, blur = exact_distances(model, x, y, norm), rounding(model, x, y, norm)
    found = deepfool(model, x, norm=norm, refine=60, batch_size=7)
    assert torch.equal(found.predicted, y)
    assert (found.steps == 1).all()
    assert ((found.distances - exact).abs() <= blur).all()
    assert blur.max() < 1e-11 * exact.median()
    assert torch.equal(sizes(found.input - x, norm), found.distances)


@pytest.mark.parametrize("refine", [0, 1, 4, 10, 20])
def test_what_is_left_of_the_overshoot(refine):
    model, x = LinearClassifier(4), samples(40)
    exact = exact_distances(model, x, model(x).argmax(1), "l2")
    found = deepfool(model, x, overshoot=0.5, refine=refine).distances / exact
    assert (found >= 1 - 1e-11).all()
    assert (found <= min(1.5, 1 + 1.5 * 2.0**-refine) + 1e-11).all()
    if refine == 0:
        assert torch.allclose(found, torch.tensor(1.5, dtype=F64))


@NORMS
@CLASSES
def test_attacks_agree_on_what_is_within_reach(norm, classes):
    """PGD towards the nearest class fools the model right after DeepFool's distance, not before."""
    model, x = LinearClassifier(classes), samples(40)
    found = deepfool(model, x, norm=norm, refine=60)
    y = found.predicted

    def nearest(answers, y):
        return answers.gather(1, found.reached[:, None]).squeeze(1) - answers.gather(
            1, y[:, None]
        ).squeeze(1)

    for factor, fooled in ((1 - 1e-6, False), (1 + 1e-6, True)):
        radius = factor * found.distances
        options = {"norm": norm, "radius": radius, "loss": nearest}
        ascended = pgd(model, x, y, steps=40, step_size=radius, random_start=False, **options)
        for moved in (fgsm(model, x, y, **options), ascended):
            assert ((model(moved).argmax(1) != y) == fooled).all()
        drawn = random_search(
            model, x, y, norm=norm, radius=radius, tries=20, generator=generator()
        )
        if not fooled:
            assert torch.equal(model(drawn).argmax(1), y)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    norm=st.sampled_from(["linf", "l2"]),
    dtype=st.sampled_from([F32, F64]),
    exponent=st.floats(-9, 2),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
    box=st.booleans(),
)
def test_budgets_and_boxes_are_kept(seed, norm, dtype, exponent, scale, box):
    x = (scale * samples(5, seed=seed)).to(dtype)
    model, y = LinearClassifier(3, dtype=dtype, seed=seed), torch.arange(5) % 3
    limits = {"low": x.min().item(), "high": x.max().item()} if box else {}
    options = {"norm": norm, "radius": 10.0**exponent} | limits
    drawn = random_search(model, x, y, tries=3, generator=generator(seed), **options)
    for found in (fgsm(model, x, y, **options), drawn):
        assert found.dtype == dtype
        assert found.shape == x.shape
        assert (sizes(found.double() - x.double(), norm) <= 10.0**exponent).all()
        assert not box or ((found >= x.min()) & (found <= x.max())).all()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    norm=st.sampled_from(["linf", "l2"]),
    dtype=st.sampled_from([F32, F64]),
    classes=st.integers(2, 5),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
    overshoot=st.sampled_from([0.02, 0.5]),
    refine=st.integers(0, 30),
    box=st.booleans(),
)
def test_deepfool_is_an_attack(seed, norm, dtype, classes, scale, overshoot, refine, box):
    """Another class, within the box, and no nearer than is possible."""
    x = (scale * samples(5, seed=seed)).to(dtype)
    model = LinearClassifier(classes, dtype=dtype, seed=seed)
    y = model(x).argmax(1)
    limits = {"low": x.min().item(), "high": x.max().item()} if box else {}
    options = {"norm": norm, "overshoot": overshoot, "refine": refine}
    found = deepfool(model, x, **options | limits)
    assert found.input.dtype == dtype
    there = found.distances.isfinite()
    assert there.all() or box  # a box may hold one class only
    assert torch.equal(model(found.input).argmax(1), found.reached)
    assert ((found.reached != y) == there).all()
    away = sizes(found.input.double() - x.double(), norm)
    assert torch.equal(away[there], found.distances[there])
    assert torch.equal(found.input[~there], x[~there])
    least = exact_distances(model, x, y, norm) - rounding(model, x, y, norm)
    assert (found.distances >= least).all()
    assert not box or ((found.input >= x.min()) & (found.input <= x.max())).all()


@NORMS
def test_random_inputs_lie_where_the_ball_ends(norm):
    x, seen = samples(dtype=F32), []

    def note(x):
        seen.append(x.clone())
        return x.flatten(1)

    model = nn.Module()
    model.forward = note
    y = torch.zeros(16, dtype=torch.long)
    best = random_search(model, x, y, norm=norm, radius=0.5, tries=30, generator=generator())
    assert len(seen) == 31
    for drawn in seen[1:]:
        away = (drawn.double() - x.double()).abs()
        # an ulp of numbers up to 4, of each of twelve
        assert (sizes(away, norm) >= 0.5 - 12**0.5 * 2**-21).all()
        assert norm == "l2" or (away >= 0.5 - 2**-21).all()
    losses = torch.stack(
        [functional.cross_entropy(a.flatten(1), y, reduction="none") for a in seen]
    )
    wrong = torch.stack([a.flatten(1).argmax(1) != y for a in seen])
    rank = losses + 1000 * wrong
    assert torch.equal(
        functional.cross_entropy(best.flatten(1), y, reduction="none"),
        losses.gather(0, rank.argmax(0)[None])[0],
    )
    again = random_search(model, x, y, norm=norm, radius=0.5, tries=30, generator=generator())
    assert torch.equal(again, best)


ATTACKS = {
    "fgsm": lambda model, x, y: fgsm(model, x, y, radius=0.1),
    "random_search": lambda model, x, y: random_search(model, x, y, norm="l2", radius=1, tries=2),
    "deepfool": lambda model, x, y: deepfool(model, x).input,
    "pgd_losses": lambda model, x, y: pgd_losses(
        model, x, y, norm="l2", radius=1, steps=2, step_size=1
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_model_is_left_alone(name):
    model = nn.Sequential(nn.Dropout(0.5), LinearClassifier()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = samples().requires_grad_()
    kept = x.detach().clone()
    with torch.no_grad():  # as in an evaluation
        found = ATTACKS[name](model, x, torch.zeros(16, dtype=torch.long))
    assert model.training
    assert model[0].training
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert x.grad is None
    assert torch.equal(x, kept)
    assert not found.requires_grad


def test_no_gradient_no_step():
    x = samples()
    y = torch.zeros(16, dtype=torch.long)
    for slope in (0.0, torch.nan):
        model = nn.Module()
        model.forward = lambda x, slope=slope: slope * x.flatten(1)
        assert torch.equal(fgsm(model, x, y, radius=1.0), x)
        assert torch.equal(fgsm(model, x, y, norm="l2", radius=1.0), x)


@pytest.mark.parametrize(
    ("attack", "change", "message"),
    [
        (fgsm, {"norm": "l1"}, "fgsm: expected `norm` to be one of linf, l2"),
        (fgsm, {"radius": -1.0}, "fgsm: expected a finite `radius` of at least 0"),
        (fgsm, {"target": torch.zeros(3, dtype=torch.long)}, r"fgsm: .*`target` of shape \(B,\)"),
        (fgsm, {"low": 0.0}, "fgsm: .* between low=0.0 and high=None"),
        (random_search, {"tries": 0}, "random_search: expected `tries` >= 1"),
        (random_search, {"target": torch.zeros(3, dtype=torch.long)}, r"`target` of shape \(B,\)"),
        (random_search, {"radius": torch.ones(3)}, r"random_search: .*`radius` of shape \(B,\)"),
        (pgd_losses, {"steps": 0}, "pgd_losses: expected `steps` >= 1"),
        (pgd_losses, {"step_size": -1}, "pgd_losses: expected a finite `step_size`"),
    ],
)
def test_refusals(attack, change, message):
    options = {"target": torch.zeros(16, dtype=torch.long), "norm": "l2", "radius": 0.1}
    own = {fgsm: {}, random_search: {"tries": 1}, pgd_losses: {"steps": 1, "step_size": 0.1}}
    with pytest.raises(ValueError, match=message):
        attack(LinearClassifier(), samples(), **options | own[attack] | change)
