"""Derivatives of logits by inputs, and gains that are attained, against closed forms and bounds."""

import copy
import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from linear_classifier import LinearClassifier, samples
from matching import assert_matches
from torch import nn

from lipschitz_rnn.analysis import certify
from lipschitz_rnn.analysis.input_sensitivity import input_sensitivity, measured_gain
from lipschitz_rnn.analysis.sensitivity import QUANTILES
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier, SequenceRegressor

F64 = torch.float64
STEPS, BATCH, FEATURES, CLASSES = 6, 5, 2, 3
ROUNDING = 1e-10  # relative, of ratios in float64 for changes of size 0.1 and more


def layer(input_size=FEATURES, size=4, **options):
    return LipschitzRNN(input_size, size, init_std=3.0, **{"dtype": F64} | options)


def classifier(**options):
    return SequenceClassifier(layer(**options), CLASSES)


def data(batch_first=False, dtype=F64):
    shape = (BATCH, STEPS) if batch_first else (STEPS, BATCH)
    return torch.randn(*shape, FEATURES, dtype=dtype)


def jacobian(model, x, axis, **options):
    """By autograd over the whole batch at once, samples with samples taken out, (B, C, T, P)."""
    whole = torch.autograd.functional.jacobian(lambda x: model(x, **options), x).movedim(
        2 + axis, 1
    )
    return torch.stack([whole[b, b] for b in range(len(whole))])


def jacobian_matches(found, expected, steps=STEPS):
    """The norms against those of a Jacobian (B, C, T, P), by singular values."""
    flat = expected.flatten(2)
    norms = expected.square().sum((1, 3)).sqrt().mT
    differences = flat[:, :, None] - flat[:, None]
    pairs = torch.linalg.svdvals(differences[..., None])[..., 0].amax((1, 2))
    assert_matches("norms", found.norms, norms, steps=steps)
    assert_matches("largest", found.largest, torch.linalg.svdvals(flat)[:, 0], steps=steps)
    assert_matches("pairs", found.pairs, pairs, steps=steps)
    assert_matches("mean", found.mean, norms.mean(1), steps=steps)
    assert found.levels == QUANTILES
    quantiles = norms.quantile(torch.tensor(QUANTILES, dtype=F64), 1)
    assert_matches("quantiles", found.quantiles, quantiles, steps=steps)


def test_a_linear_model_has_its_weight_as_derivative():
    model = LinearClassifier(classes=CLASSES, steps=4, features=3)
    weight = model.head.weight.detach()
    found = input_sensitivity(model, samples(BATCH))
    jacobian_matches(found, weight.view(1, CLASSES, 4, 3).expand(BATCH, -1, -1, -1))
    rows = max((weight[i] - weight[j]).norm() for i in range(CLASSES) for j in range(i))
    assert_matches("pairs", found.pairs, rows.expand(BATCH))


def linear_unit(dtype=F64, batch_first=False):
    options = {"nonlinearity": "identity", "step_size": 0.2, "batch_first": batch_first}
    return SequenceClassifier(layer(dtype=dtype, **options), CLASSES)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_a_linear_recurrence_multiplies_by_the_same_matrix(dtype, batch_first):
    """dy/dx_t = D (I + ε(A+W))^(T-1-t) ε U, of the matrices made in the model's own precision."""
    model = linear_unit(dtype, batch_first)
    rnn = model.rnn
    a, w, u, d = (
        m.detach().double()
        for m in (rnn.weight_a_l0, rnn.weight_hh_l0, rnn.weight_ih_l0, model.head.weight)
    )
    step = torch.eye(4, dtype=F64) + 0.2 * (a + w)
    blocks = [d @ torch.linalg.matrix_power(step, STEPS - 1 - t) @ (0.2 * u) for t in range(STEPS)]
    assert blocks[0].norm() != pytest.approx(blocks[-1].norm().item(), rel=0.1)  # order would tell
    expected = torch.stack(blocks, 1).expand(BATCH, -1, -1, -1)
    jacobian_matches(input_sensitivity(model, data(batch_first, dtype)), expected)


def test_central_differences_approach_it_with_the_square_of_their_width():
    model, x = classifier(), data()
    exact = input_sensitivity(model, x).norms

    count = STEPS * FEATURES
    unit = torch.eye(count, dtype=F64).view(STEPS, FEATURES, count).mT.repeat_interleave(BATCH, 1)

    def error(width):
        many = x.repeat(1, count, 1)  # one copy for each number that is changed
        with torch.no_grad():
            slopes = (model(many + width * unit) - model(many - width * unit)) / (2 * width)
        norms = slopes.view(STEPS, FEATURES, BATCH, CLASSES).square().sum((1, 3)).sqrt()
        return (norms - exact).norm() / exact.norm()

    assert 3.9 < error(1e-2) / error(5e-3) < 4.1
    assert error(1e-4) < 1e-8  # of size 1e-8 times curvature, and 1e-12 of rounding


def gru():
    return SequenceClassifier(nn.GRU(FEATURES, 4, batch_first=True, dtype=F64), CLASSES)


MODELS = {
    "midpoint": (lambda: classifier(method="midpoint"), 1),
    "batch_first": (lambda: classifier(batch_first=True), 0),
    "two layers both ways": (lambda: classifier(num_layers=2, bidirectional=True), 1),
    "recompute": (lambda: classifier(memory="recompute"), 1),
    "contractive": (lambda: classifier(constraint="contractive", rate=0.1, step_size=0.1), 1),
    "GRU": (gru, 0),
    "one number": (lambda: SequenceRegressor(layer(), 1), 1),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_jacobian_of_autograd_whatever_the_batch(name):
    make, axis = MODELS[name]
    model, x = make(), data(batch_first=axis == 0)
    expected = jacobian(model, x, axis)
    for batch_size in (1, 3, 64):
        jacobian_matches(input_sensitivity(model, x, batch_size=batch_size), expected)


@pytest.mark.parametrize("batch_first", [False, True])
def test_times_go_with_their_samples(batch_first):
    model, x = classifier(batch_first=batch_first), data(batch_first)
    axis = 0 if batch_first else 1
    for dt in (0.3, 1.5 * torch.rand(STEPS), 1.5 * torch.rand(x.shape[:2], dtype=F64)):
        wide = dt.double() if isinstance(dt, torch.Tensor) else dt
        expected = jacobian(model, x, axis, dt=wide)
        jacobian_matches(input_sensitivity(model, x, dt=dt, batch_size=2), expected)
    # beside linear answers the times of other samples, or none, would not show
    other = input_sensitivity(model, x, dt=dt.flip(axis), batch_size=2)
    assert not torch.allclose(other.pairs, input_sensitivity(model, x, dt=dt).pairs, rtol=1e-3)
    local = measured_gain(model, x, dt=dt, radius=()).local
    assert local == pytest.approx(input_sensitivity(model, x, dt=dt).pairs.max().item())


def test_nearly_equal_rows_keep_their_difference():
    """The Gram matrix has 1e16 on its diagonal, where a difference of 1 does not show."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False, dtype=F64))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1e8, 0.0], [1e8, 1.0]]))
    assert input_sensitivity(model, torch.zeros(1, 2, 1)).pairs.item() == 1


def test_a_sample_without_derivatives_spoils_no_other():
    model, x = Square(), torch.ones(3, 1, 2, dtype=F64)  # of gradient (2, 8)
    x[1] = math.inf
    found = input_sensitivity(model, x)
    assert found.largest.isnan().tolist() == [False, True, False]
    assert found.pairs[[0, 2]].tolist() == [pytest.approx(math.sqrt(68))] * 2
    gain = measured_gain(model, x, radius=0.5)
    assert gain.local == pytest.approx(math.sqrt(68))
    assert gain.sample != 1


def test_the_model_is_left_alone():
    rnn = layer(num_layers=2, dropout=0.5, gamma_a=4.0, step_size=0.1, dtype=torch.float32)
    model = SequenceClassifier(rnn, CLASSES, dropout=0.5)
    model.head.eval()
    x = data(dtype=torch.float32).requires_grad_()
    model(x).square().sum().backward()
    state, modes = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    grads = [p.grad.clone() for p in model.parameters()]
    torch.manual_seed(0)
    before = model(x)
    with torch.no_grad():
        first = input_sensitivity(model, x)
        assert measured_gain(model, x, certificate=certify(model)).certified  # in eval mode too
    assert torch.equal(first.pairs, input_sensitivity(model, x).pairs)  # no dropout
    assert first.pairs.dtype == F64
    assert not first.pairs.requires_grad
    torch.manual_seed(0)
    assert torch.equal(model(x), before)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])
    assert [m.training for m in model.modules()] == modes
    assert all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), grads, strict=True))
    model(x).square().sum().backward()  # and can be trained on
    assert not torch.equal(grads[0], next(model.parameters()).grad)


class Square(nn.Module):
    """Logits ±(x_1² + 4 x_2²) and 0 of (B, 1, 2): the gain grows with the size of the change."""

    def __init__(self, sign=1):
        super().__init__()
        self.sign = sign

    def forward(self, x):
        square = x.flatten(1).square() @ x.new_tensor([1.0, 4.0]) * self.sign
        return torch.stack((square, torch.zeros_like(square)), 1)


def test_a_linear_model_attains_what_its_derivative_says():
    model = LinearClassifier(classes=CLASSES, steps=4, features=3)
    weight = model.head.weight.detach()
    norms = torch.cdist(weight, weight)
    found = measured_gain(model, samples(BATCH), radius=0.5)
    assert found.local == pytest.approx(norms.max().item(), rel=1e-14)
    assert found.attained == pytest.approx(norms.max().item(), rel=ROUNDING)
    assert norms[found.pair] == norms.max()
    assert found.radius == pytest.approx(0.5)
    assert found.certified is found.looseness is None


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("radius", [0.1, 2.0, (2.0, 0.1)])
def test_changes_along_the_gradient_attain_a_square(radius, sign):
    """|(c + r)² - c²| / r = 2c + r at x = (c, 0), of which the largest c and r count."""
    x = torch.tensor([-0.5, 3.0, 1.0], dtype=F64)[:, None, None] * torch.tensor([1.0, 0.0])
    found = measured_gain(Square(sign), x, radius=radius)
    largest = max(radius) if isinstance(radius, tuple) else radius
    assert found.local == pytest.approx(6, rel=1e-14)
    assert found.attained == pytest.approx(6 + largest, rel=ROUNDING)
    assert found.radius == pytest.approx(largest, rel=1e-11)
    assert found.sample == 1
    assert set(found.pair) == {0, 1}


def test_the_ascent_leaves_the_gradient_where_more_is_to_be_had():
    """From (c, 0) a change of size 1 attains c²/3 + 4, but 2c + 1 along the gradient."""
    x = torch.tensor([[[0.5, 0.0]]], dtype=F64)
    straight = measured_gain(Square(), x, radius=1.0, steps=200)
    assert straight.attained == pytest.approx(2, rel=ROUNDING)  # by symmetry
    g = torch.Generator().manual_seed(0)
    found = measured_gain(Square(), x, radius=1.0, steps=200, generator=g)
    best = 0.25 / 3 + 4
    assert 1.5 * straight.attained < found.attained <= best * (1 + ROUNDING)
    beside = x + torch.tensor([0.0, 0.1], dtype=F64)
    angles = torch.linspace(0, 2 * math.pi, 10001, dtype=F64)
    circle = beside + torch.stack((angles.cos(), angles.sin()), 1)[:, None]
    best = (Square()(circle) - Square()(beside))[:, 0].abs().max().item()
    gradient = torch.tensor([1.0, 0.8], dtype=F64) / math.sqrt(1.64)
    along = (Square()(beside + gradient) - Square()(beside))[0, 0].item()
    found = measured_gain(Square(), beside, radius=1.0)
    assert along < 0.8 * best < 0.99 * best < found.attained <= best * (1 + 1e-6)  # of the grid


def test_a_random_start_leaves_a_point_where_all_gradients_vanish():
    x = torch.zeros(1, 1, 2)
    assert measured_gain(Square(), x).attained == 0
    found = measured_gain(Square(), x, radius=1.0, generator=torch.Generator().manual_seed(0))
    assert 1 < found.attained <= 4 * (1 + ROUNDING)
    assert found.local == 0
    assert found.pair[0] != found.pair[1]


def test_without_a_finite_change_there_is_the_local_gain():
    x = torch.tensor([[[3.0, 0.0]], [[0.5, 0.0]]])
    found = measured_gain(Square(), x, radius=())
    assert (found.local, found.attained, found.sample, found.radius) == (6, 0, 0, 0)


def test_without_a_finite_derivative_there_is_no_gain():
    """Not even one of 0, beside which a certificate would look infinitely loose."""
    x = torch.tensor([[[3.0, 0.0]], [[0.5, 0.0]]])
    found = measured_gain(Square(), x * math.nan)
    assert all(map(math.isnan, (found.local, found.attained, found.radius)))
    assert found.looseness is None
    x[0] *= math.nan
    found = measured_gain(Square(), x)
    assert (found.local, found.sample) == (1, 1)
    model = classifier(gamma_a=2.0, step_size=0.1)
    found = measured_gain(model, data() * math.nan, certificate=certify(model))
    assert math.isnan(found.looseness)
    assert found.certified > 0


def test_where_nothing_moves_the_bound_is_infinitely_loose():
    model = classifier(gamma_a=2.0, step_size=0.1)
    certificate = certify(model)
    with torch.no_grad():
        model.rnn.weight_ih_l0.zero_()
        model.rnn.bias_l0.fill_(1.0)
    found = measured_gain(model, data(), certificate=certificate)
    assert found.local == found.attained == 0
    assert found.looseness == math.inf


OPTIONS = {
    "method": st.sampled_from(["euler", "midpoint"]),
    "nonlinearity": st.sampled_from(["tanh", "relu", "sigmoid"]),
    "num_layers": st.integers(1, 2),
    "dtype": st.sampled_from([torch.float32, F64]),
    "constraint": st.sampled_from(["contractive", None]),
}


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([0.1, 3.0]),
    options=st.fixed_dictionaries(OPTIONS),
)
def test_certified_gains_are_never_beaten(seed, size, options):
    torch.manual_seed(seed)
    extra = {"rate": 0.2} if options["constraint"] else {"gamma_a": 4.0}
    model = classifier(size=3, step_size=0.1, **options, **extra)
    certificate = certify(model, strength="diagonal")
    assume(certificate.holds)
    g = torch.Generator().manual_seed(seed)
    x = size * data(dtype=options["dtype"])
    found = measured_gain(
        model, x, certificate=certificate, steps=5, radius=(0.1, 3.0), generator=g
    )
    # A and W of a constraint are made anew in float64, and differ by roundings of float32
    slack = 1e-5 if options["constraint"] and options["dtype"] == torch.float32 else ROUNDING
    assert found.local <= found.certified * (1 + slack)
    assert found.attained <= found.certified * (1 + slack)
    assert found.pair[0] != found.pair[1]
    reached = max(found.local, found.attained)  # 0 of relus that are all off
    assert found.looseness == (found.certified / reached if reached else math.inf)


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_the_bound_is_tight_where_the_answer_is_known(dtype):
    """h+ = 0.8 h + 0.3 x: by Cauchy-Schwarz the gain is 0.3 (Σ 0.8^2i)^(1/2), and attained."""
    rnn = LipschitzRNN(
        1, 1, step_size=0.1, nonlinearity="identity", bias=False, dtype=dtype, batch_first=True
    )
    rnn.weight_a_l0 = torch.tensor([[-2.0]], dtype=dtype)
    rnn.weight_hh_l0 = torch.zeros(1, 1, dtype=dtype)
    with torch.no_grad():
        rnn.weight_ih_l0.fill_(3.0)
    model = SequenceClassifier(rnn, 2)
    d = model.head.weight.detach().double().flatten()
    exact = abs(d[0] - d[1]).item() * 0.3 * math.sqrt(sum(0.64**i for i in range(7)))
    x = torch.randn(4, 7, 1, dtype=dtype)
    found = measured_gain(model, x, certificate=certify(model))
    for value in (found.local, found.attained):
        assert value == pytest.approx(exact, rel=torch.finfo(dtype).eps + ROUNDING)  # of 0.1 itself
    assert 1 <= found.looseness < 1 + 1e-3  # what the search and proof leave


def test_a_certificate_that_does_not_hold_gives_no_bound():
    model = classifier(gamma_a=0.0, gamma_w=0.0)
    certificate = certify(model)
    assert not certificate.holds
    found = measured_gain(model, data(), certificate=certificate, radius=())
    assert found.certified is found.looseness is None
    assert found.local > 0


def test_refusals():
    model, x = classifier(gamma_a=4.0, step_size=0.1), data()
    certificate = certify(model)
    assert certificate.holds
    cases = [
        (input_sensitivity, model, x[:, 0], {}, r"input_sensitivity: expected `input` of shape"),
        (input_sensitivity, model, x[:, :0], {}, "an `input` with samples"),
        (input_sensitivity, model, x, {"batch_size": 0}, "`batch_size` >= 1"),
        (input_sensitivity, model.rnn, x, {}, "answers once from each sequence, .* got tuple"),
        (input_sensitivity, SequenceClassifier(layer(), 3, every_step=True), x, {}, "answers once"),
        (measured_gain, SequenceClassifier(layer(), 3, every_step=True), x, {}, "measured_gain: "),
        (measured_gain, SequenceRegressor(layer(), 1), x, {}, "at least 2 logits, got 1"),
        (measured_gain, model, x, {"radius": 0.0}, "finite `radius` > 0"),
        (measured_gain, model, x, {"radius": (1.0, -1.0)}, "finite `radius` > 0"),
        (measured_gain, model, x, {"steps": 0}, "measured_gain: expected `steps` >= 1"),
        (measured_gain, model, x, {"certificate": certificate, "dt": 0.5}, "expected no `dt`"),
        (measured_gain, classifier(), x, {"certificate": certificate}, "of other matrices"),
    ]
    for function, wrong, input, options, message in cases:
        with pytest.raises(ValueError, match=message):
            function(wrong, input, **options)
