"""Certified radii: met where the answer is known, and broken by no attack."""

import copy

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn.utils import parametrize

from lipschitz_rnn.analysis import certify
from lipschitz_rnn.analysis.attacks import empirical_accuracy, pgd
from lipschitz_rnn.analysis.disturbance import Disturbance
from lipschitz_rnn.analysis.gains import head_norms
from lipschitz_rnn.analysis.radius import CertifiedRadii, certified_accuracy, certified_radii
from lipschitz_rnn.analysis.responses import unit_responses
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier, SequenceRegressor

F32, F64 = torch.float32, torch.float64


def linear_model(dtype=F64):
    """One scalar unit h+ = 0.8 h + 0.3 x, and two logits ±h, shifted."""
    rnn = LipschitzRNN(
        1, 1, step_size=0.1, nonlinearity="identity", bias=False, batch_first=True, dtype=dtype
    )
    rnn.weight_a_l0 = torch.full((1, 1), -2.0, dtype=dtype)
    rnn.weight_hh_l0 = torch.zeros(1, 1, dtype=dtype)
    model = SequenceClassifier(rnn, 2)
    with torch.no_grad():
        rnn.weight_ih_l0.fill_(3.0)
        model.head.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        model.head.bias.copy_(torch.tensor([0.25, 0.0]))
    return model


def random_model(seed, dtype=F32, classes=3, **options):
    torch.manual_seed(seed)
    defaults = {"gamma_a": 4.0, "step_size": 0.2, "init_std": 2.0, "dtype": dtype}
    rnn = LipschitzRNN(2, 5, batch_first=True, **defaults | options)
    model = SequenceClassifier(rnn, classes)
    with torch.no_grad():
        model.head.weight.mul_(3)
    return model


def random_samples(seed, batch=12, steps=8, dtype=F32):
    g = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(batch, steps, 2, generator=g, dtype=F64)).to(dtype)


def test_radius_of_a_linear_model_is_its_distance():
    """Margin 2h + 1/4 (or its negative) over the length of its gradient, 0.6 (Σ 0.64^i)^(1/2)."""
    model = linear_model()
    x = torch.randn(20, 30, 1, dtype=F64, generator=torch.Generator().manual_seed(0))
    found = certified_radii(certify(model), model, x)
    powers = torch.tensor([0.8 ** (29 - i) for i in range(30)], dtype=F64)
    gradient = 0.6 * powers
    margin = (x[..., 0] @ gradient + 0.25).abs()
    exact = margin / gradient.norm()
    # the rate is proved to 1e-4, rounding in float64 takes 1e-13 or so
    assert (found.radii <= exact).all()
    assert (found.radii >= exact * (1 - 1e-3) - 1e-11).all()
    assert torch.equal(found.predicted, model(x).argmax(1))
    away = gradient / gradient.norm() * (1 - 2 * (found.predicted == 0).double()[:, None])
    for factor, changed in ((1 - 1e-9, False), (1 + 1e-2, True)):
        moved = x + (factor * found.radii[:, None] * away)[..., None]
        assert ((model(moved).argmax(1) != found.predicted) == changed).all()


def chosen_loss(index, other):
    """The margin between the predicted class and one other, to be closed."""

    def loss(answers, target):
        return answers[:, other] - answers.gather(1, target[:, None]).squeeze(1)

    return None if index == 0 else loss


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    dtype=st.sampled_from([F32, F64]),
    strength=st.sampled_from(["norm", "diagonal", "full"]),
    method=st.sampled_from(["euler", "midpoint"]),
    layers=st.integers(1, 2),
    bidirectional=st.booleans(),
)
def test_no_attack_breaks_a_radius(seed, dtype, strength, method, layers, bidirectional):
    options = {"method": method, "num_layers": layers, "bidirectional": bidirectional}
    model = random_model(seed, dtype, **options)
    certificate = certify(model, strength=strength)
    assume(certificate.holds)
    x = random_samples(seed, dtype=dtype)
    found = certified_radii(certificate, model, x)
    assert (found.radii > 0).any()
    g = torch.Generator().manual_seed(seed)
    for attack in range(3):  # the cross-entropy, then two targets
        moved = pgd(
            model,
            x,
            found.predicted,
            norm="l2",
            radius=found.radii * 0.999,
            steps=12,
            step_size=found.radii * (0.3, 0.1, 0.05)[attack],
            generator=g,
            random_start=attack != 1,
            loss=chosen_loss(attack, attack),
        )
        assert torch.equal(model(moved).argmax(1), found.predicted)


def test_radii_are_of_the_size_of_what_attacks_find():
    """Not vacuous: half of the samples fall at 8 times their radii, and some at twice."""
    model = random_model(3)
    x = random_samples(0, 40)
    found = certified_radii(certify(model, strength="diagonal"), model, x)
    broken = torch.full((40,), torch.inf, dtype=F64)
    for factor in (1.5, 2.0, 3.0, 4.0, 8.0):
        radius = factor * found.radii
        moved = pgd(model, x, found.predicted, norm="l2", radius=radius, steps=20,
                    step_size=radius / 5)  # fmt: skip
        fell = model(moved).argmax(1) != found.predicted
        broken = torch.where(fell, broken.clamp_max(factor), broken)
    assert broken.median() <= 8
    assert broken.min() <= 2


def test_curves_do_not_cross():
    model, grid = random_model(1), [0.0, 0.01, 0.03, 0.1, 0.3, 1.0]
    x = random_samples(1, 60)
    target = model(x).argmax(1)
    target[:20] = torch.arange(20) % 3  # some right, some wrong
    radii = certified_radii(certify(model), model, x, target, batch_size=7)
    proved = certified_accuracy(radii, grid)
    attacked = empirical_accuracy(model, x, target, norm="l2", radii=grid, steps=10)
    assert proved[0] == attacked[0] == (model(x).argmax(1) == target).double().mean()
    assert (proved <= attacked).all()
    assert 0 < proved[2] < proved[0]


def test_certified_accuracy_counts():
    labels = torch.tensor([0, 1, 2, 0])
    predicted = torch.tensor([0, 1, 2, 1])  # the last is wrong, at every radius
    radii = torch.tensor([0.0, 0.5, 1.0, 9.0], dtype=F64)
    made = CertifiedRadii(radii, predicted, labels, radii, None)
    found = certified_accuracy(made, [0.0, 0.25, 0.5, 0.75, 1.0, 2.0])
    assert found.tolist() == [0.75, 0.5, 0.5, 0.25, 0.25, 0.0]
    with pytest.raises(ValueError, match="at least 0"):
        certified_accuracy(made, [-0.1])
    with pytest.raises(ValueError, match="radii with a `target`"):
        certified_accuracy(CertifiedRadii(radii, predicted, None, radii, None), [0.1])


def stored(model):
    """The same numbers, with A and W no longer computed from others."""
    model = copy.deepcopy(model)
    for name in list(model.rnn.parametrizations):
        parametrize.remove_parametrizations(model.rnn, name)
    return model


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_disturbance_is_not_exceeded(options):
    """Differences of logits in float32 against float64 of the same numbers."""
    model = stored(random_model(2, **options))
    x = random_samples(2, 200, 50)
    found = certified_radii(certify(model), model, x)
    wide = copy.deepcopy(model).double()
    own = certified_radii(certify(wide), wide, x.double()).disturbance
    with torch.no_grad():
        error = model(x).double() - wide(x.double())
    index = found.predicted[:, None]
    apart = (error.gather(1, index) - error).abs().amax(1)
    assert (apart <= (found.disturbance + own) / 2).all()
    assert 1e-8 < found.disturbance.max() < 1e-2
    assert (own < 1e-8 * found.disturbance / 1.8).all()  # 2^-53 against 2^-24, as all is relative


def test_disturbance_of_a_slow_unit_adds_up():
    """A state that float32 stalls at, hundreds of roundings from where it should go."""
    models = [linear_model(dtype) for dtype in (F32, F64)]
    for model in models:
        model.rnn.weight_a_l0 = torch.full((1, 1), -0.0625, dtype=model.head.weight.dtype)
    x = torch.full((1, 3000, 1), 0.03)
    found = certified_radii(certify(models[0]), models[0], x)
    with torch.no_grad():
        error = models[0](x).double() - models[1](x.double())
        size = models[1](x.double()).abs().max().item()
    apart = (error[0, 0] - error[0, 1]).abs().item()
    assert 50 * 2.0**-24 * size < apart <= found.disturbance.item() / 2
    assert found.disturbance.item() / 2 < 50 * apart


def test_rounding_takes_small_margins_away():
    """Two logits apart by less than float32 can be trusted with, and float64 can."""
    narrow, wide = linear_model(F32), linear_model(F64)
    for model in (narrow, wide):
        with torch.no_grad():
            model.head.weight.copy_(torch.tensor([[1.0], [1.0 + 2.0**-20]]))
            model.head.bias.zero_()
    x = torch.ones(1, 30, 1)
    found = certified_radii(certify(narrow), narrow, x)
    assert found.radii == 0
    exact = certified_radii(certify(wide), wide, x.double())
    assert exact.radii > 0.5


def test_a_tie_and_what_is_not_a_number_are_not_certified():
    model = linear_model()
    with torch.no_grad():
        model.head.bias.zero_()
    x = torch.ones(3, 5, 1, dtype=F64)
    x[0], x[1, 0] = 0, torch.nan
    found = certified_radii(certify(model), model, x, torch.zeros(3).long())
    assert found.radii[:2].tolist() == [0, 0]
    assert found.radii[2] > 0
    assert found.predicted[0] == 0
    assert found.predicted[1] == -1  # not class 0, which argmax makes of NaN
    assert certified_accuracy(found, [0.0]) == (found.predicted == 0).double().mean()


def test_a_sample_has_its_radius_to_itself():
    model, x = random_model(5, F64), random_samples(5, 9, dtype=F64)
    certificate = certify(model)
    whole = certified_radii(certificate, model, x, batch_size=4).radii
    alone = torch.cat([certified_radii(certificate, model, one[None]).radii for one in x])
    assert torch.allclose(whole, alone, rtol=1e-9)
    model.rnn.batch_first = False
    turned = certified_radii(certificate, model, x.transpose(0, 1).contiguous(), batch_size=4)
    assert torch.allclose(whole, turned.radii, rtol=1e-9)


def test_refusals():
    model, x = random_model(0), random_samples(0)
    certificate = certify(model)
    with pytest.raises(ValueError, match="expected a SequenceClassifier, got LipschitzRNN"):
        certified_radii(certificate, model.rnn, x)
    with pytest.raises(ValueError, match="of other matrices"):
        certified_radii(certificate, random_model(1), x)
    with pytest.raises(ValueError, match=r"`input` of shape \(B, T, P\)"):
        certified_radii(certificate, model, x[0])
    with pytest.raises(ValueError, match=r"`target` of shape \(B,\)"):
        certified_radii(certificate, model, x, torch.zeros(3))
    half = copy.deepcopy(model).bfloat16()
    with pytest.raises(ValueError, match="a model in float32 or float64"):
        certified_radii(certificate, half, x.bfloat16())
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(ValueError, match="no autocast"):
        certified_radii(certificate, model, x)
    assert isinstance(model, SequenceRegressor)


def test_states_of_the_samples_bound_rounding_better_than_those_of_all_inputs():
    """A unit that all inputs may drive to 1 / (1 - ρ) = 500 and these drive to 0.1 or so."""
    model = linear_model(F32)
    model.rnn.weight_a_l0 = torch.full((1, 1), -0.02)
    certificate = certify(model)
    x = torch.tensor([0.5, -0.5]).repeat(200)[None, :, None]
    found = certified_radii(certificate, model, x)
    (layer,) = unit_responses("test", certificate, model)
    norms = head_norms(model.head, layer)
    disturbance = Disturbance.of([layer], norms, model.head, 400)
    (state,) = disturbance.bound_states(x.movedim(1, 0))[:, 0]
    with torch.no_grad():
        true = copy.deepcopy(model).double().rnn(x.double())[0].abs().max().item()
    assert true <= state <= true * (1 + 1e-6)
    assert layer[0].state_bound(0.5, 400) > 100 * state
    blind = disturbance.of_pairs(0.5, (float("inf"),))[0, 1]
    assert found.disturbance.item() < 0.1 * 2 * blind


def test_samples_of_many_lengths_are_as_if_alone():
    model, x = random_model(5, F64, bidirectional=True), random_samples(5, 9, dtype=F64)
    lengths = torch.tensor([8, 1, 3, 8, 5, 3, 2, 7, 8])
    certificate = certify(model)
    padded = x.clone()
    for sample, length in zip(padded, lengths, strict=True):
        sample[length:] = torch.nan  # plays no part
    found = certified_radii(certificate, model, padded, lengths=lengths, batch_size=2)
    alone = [
        certified_radii(certificate, model, one[None, :length])
        for one, length in zip(x, lengths, strict=True)
    ]
    assert torch.equal(found.predicted, torch.cat([one.predicted for one in alone]))
    assert torch.equal(found.predicted, model(x, lengths=lengths).argmax(1))
    assert torch.allclose(found.radii, torch.cat([one.radii for one in alone]), rtol=1e-9)
    assert (found.radii > 0).all()
    with pytest.raises(TypeError, match="integer `lengths`"):
        certified_radii(certificate, model, x, lengths=lengths.double())
    with pytest.raises(ValueError, match="`lengths` between 1 and 8"):
        certified_radii(certificate, model, x, lengths=lengths + 1)


def test_no_samples():
    model = random_model(0)
    found = certified_radii(certify(model), model, torch.zeros(0, 5, 2))
    assert found.radii.shape == found.predicted.shape == (0,)
