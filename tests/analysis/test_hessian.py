"""Hessians against closed forms, dense ones, and each other."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, aslinearoperator
from torch import nn
from torch.nn import functional

from lipschitz_rnn.analysis.eigenpairs import largest_eigenpairs
from lipschitz_rnn.analysis.hessian import (
    _standard_error,
    _trace_samples,
    hessian,
    hessian_of,
    hessian_product,
)
from lipschitz_rnn.analysis.hessian_product import HessianProduct
from lipschitz_rnn.analysis.hessian_report import HessianSettings, condition_number
from lipschitz_rnn.analysis.parameter_groups import parameter_groups
from lipschitz_rnn.nn import LipschitzRNN, RecurrentLayer, SequenceClassifier, SequenceRegressor
from lipschitz_rnn.nn.units.antisymmetric import AntisymmetricRNNCell

EPS = torch.finfo(torch.float64).eps
SPECTRUM = np.concatenate([np.linspace(-0.5, 1, 57), [3.0, 7.0, 20.0]])


class Quadratic(nn.Module):
    """Half θᵀ H θ, in two terms, with a spectrum that is known."""

    def __init__(self, values=SPECTRUM, seed=0):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.basis = np.linalg.qr(rng.standard_normal((len(values), len(values))))[0]
        self.values = values
        self.register_buffer("h", torch.tensor(self.basis * values @ self.basis.T))
        self.theta = nn.Parameter(torch.tensor(rng.standard_normal(len(values))))

    @staticmethod
    def terms(model):
        value = model.theta @ model.h @ model.theta / 2
        yield 0.25 * value
        yield 0.75 * value


LITTLE = HessianSettings(eigenvalues=1, probes=1, steps=0)


def classifier(hidden=3, seed=0, **options):
    torch.manual_seed(seed)
    layer = LipschitzRNN(2, hidden, batch_first=True, step_size=0.5, **options)
    with torch.no_grad():  # far from the small weights at the start
        for parameter in layer.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return SequenceClassifier(layer, 3)


def samples(batch=7, steps=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    input = torch.randn(batch, steps, 2, generator=generator)
    return input, torch.randint(3, (batch,), generator=generator)


def dense_hessian(model, input, target, names=None):
    """All second derivatives at once, by torch.func on the reference path."""
    model = copy.deepcopy(model).double().eval()
    names = list(dict(model.named_parameters())) if names is None else list(names)
    params = {name: p.detach() for name, p in model.named_parameters()}
    sizes = [params[name].numel() for name in names]

    def loss(flat):
        parts = dict(zip(names, flat.split(sizes), strict=True))
        own = {name: part.view(params[name].shape) for name, part in parts.items()}
        answers = torch.func.functional_call(model, {**params, **own}, (input.double(),))
        return functional.cross_entropy(answers, target)

    flat = torch.cat([params[name].flatten() for name in names])
    return torch.autograd.functional.hessian(loss, flat).numpy()


def test_quadratic_to_rounding():
    model = Quadratic()
    settings = HessianSettings(eigenvalues=4, tolerance=0.0, steps=60, product="exact")
    found = hessian_of(model, Quadratic.terms, settings=settings)
    assert found.eigenvalues == pytest.approx([20, 7, 3, 1], abs=256 * EPS * 20)
    assert found.residuals.max() <= 256 * EPS * 20
    theta, h = model.theta.detach().numpy(), model.h.numpy()
    assert found.loss == pytest.approx(theta @ h @ theta / 2, rel=60 * EPS)
    assert found.gradient_norm == pytest.approx(np.linalg.norm(h @ theta), rel=60 * EPS)
    along = np.abs(model.basis[:, -1] @ found.vectors[:, 0])
    assert along == pytest.approx(1, abs=1e-12)
    # 60 steps see all of it: the smallest value, and each ratio
    assert found.lowest == pytest.approx(-0.5, abs=1e-10)
    last = found.conditions[-1]
    smallest = np.abs(SPECTRUM).min()
    assert last.absolute == pytest.approx(20 / smallest, rel=1e-8)
    assert last.signed == pytest.approx(-40, rel=1e-10)
    assert last.positive == pytest.approx(20 / SPECTRUM[SPECTRUM > 0].min(), rel=1e-8)
    assert [one.steps for one in found.conditions] == [25, 50, 60]


def test_difference_of_a_quadratic_has_rounding_alone():
    product = HessianProduct(Quadratic(), Quadratic.terms)
    check = product.check(np.random.default_rng(0))
    # a gradient of norm about 40 is off by some roundings, over h
    assert max(check.errors) <= 64 * EPS * 40 / product.spacing / 1.0
    assert min(check.errors) > 0


@pytest.mark.parametrize("product", ["exact", "difference"])
@pytest.mark.parametrize("options", [{}, {"method": "midpoint"}, {"num_layers": 2}])
def test_dense_hessian_of_a_small_unit(product, options):
    model, (input, target) = classifier(**options), samples()
    known = dense_hessian(model, input, target)
    settings = HessianSettings(product=product, probes=1, steps=0)
    found = hessian(model, input, target, settings=settings, batch_size=4)
    values = np.linalg.eigvalsh(known)
    size = np.abs(values).max()
    # differences: as far off as they are seen to be
    bound = 1e-12 * size if product == "exact" else 4 * max(found.check.errors) * size
    assert bound < 1e-7 * size
    assert found.eigenvalues == pytest.approx(values[::-1][:3], abs=bound)
    assert found.parameters == len(values)


def test_both_products_are_that_of_the_dense_hessian():
    model, (input, target) = classifier(), samples()
    known = dense_hessian(model, input, target)

    def terms(model):
        yield functional.cross_entropy(model(input.double()), target)

    product = HessianProduct(model, terms)
    vector = np.random.default_rng(0).standard_normal(len(known))
    exact = known @ vector
    size = np.linalg.norm(exact)
    assert np.linalg.norm(product.exact(vector) - exact) <= 256 * EPS * size
    near, far = product.difference(vector), product.difference(vector, 2 * product.spacing)
    error, estimate = np.linalg.norm(near - exact), np.linalg.norm(near - far)
    assert error <= 2 * estimate
    assert estimate <= 1e-7 * size
    assert product.count == 3


def test_the_error_of_differences_falls_with_the_square_of_the_spacing():
    model, (input, target) = classifier(), samples()

    def terms(model):
        yield functional.cross_entropy(model(input.double()), target)

    product = HessianProduct(model, terms, product="exact")
    vector = np.random.default_rng(1).standard_normal(product.shape[0])
    exact = product @ vector
    errors = [np.linalg.norm(product.difference(vector, h) - exact) for h in (2e-2, 1e-2, 5e-3)]
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert slopes == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("group", ["A", "W", "U", "head"])
def test_a_group_is_a_block_of_the_whole(group):
    model, (input, target) = classifier(), samples()
    names = parameter_groups(model)[group]
    known = np.linalg.eigvalsh(dense_hessian(model, input, target, names))
    settings = HessianSettings(product="exact", probes=1, steps=0)
    found = hessian(model, input, target, group=group, settings=settings)
    assert found.parameters == len(known)
    wanted = known[::-1][: len(found.eigenvalues)]
    assert found.eigenvalues == pytest.approx(wanted, abs=1e-12 * known.max())


def test_a_unit_with_a_constraint_of_its_own_counts_its_free_parameters():
    torch.manual_seed(0)
    layer = RecurrentLayer(AntisymmetricRNNCell(2, 5), batch_first=True)
    model, (input, target) = SequenceClassifier(layer, 3), samples()
    found = hessian(model, input, target, settings=LITTLE)
    assert found.parameters == 5 * 4 // 2 + 5 * 2 + 5 + 3 * 5 + 3
    known = np.linalg.eigvalsh(dense_hessian(model, input, target))
    bound = 4 * max(found.check.errors) * known.max() + 1e-12 * known.max()
    assert found.eigenvalues == pytest.approx(known[::-1][:1], abs=bound)


def test_trace_lies_within_its_own_error_bars_at_the_stated_rate():
    """Over 400 repeats, two standard errors of 50 probes hold the trace 95 times in a hundred."""
    model, repeats = Quadratic(), 400
    trace = SPECTRUM.sum()
    inside, h = 0, aslinearoperator(model.h.numpy())
    for seed in range(repeats):
        samples = _trace_samples(h, 50, np.random.default_rng(seed))
        inside += abs(samples.mean() - trace) <= 2 * _standard_error(samples)
    # t of 49 degrees: 94.9 %; five standard deviations of a binomial around it
    assert abs(inside / repeats - 0.949) <= 5 * math.sqrt(0.949 * 0.051 / repeats)
    settings = [HessianSettings(eigenvalues=1, steps=0, product="exact", seed=s) for s in range(20)]
    found = [hessian_of(model, Quadratic.terms, settings=one) for one in settings]
    inside = sum(abs(one.trace - trace) <= 2 * one.trace_error for one in found)
    assert inside >= 15  # below that with a probability of 3e-4 if the rate were 0.949
    errors = [one.trace - trace for one in found]
    spread = np.std(errors)  # what the standard error estimates, within 5 of its own
    assert np.mean([one.trace_error for one in found]) == pytest.approx(
        spread, rel=5 / math.sqrt(40)
    )


def test_batches_and_seeds():
    model, (input, target) = classifier(), samples()
    small = HessianSettings(eigenvalues=2, probes=3, starts=1, steps=3)
    one = hessian(model, input, target, settings=small, batch_size=7)
    same = hessian(model, input, target, settings=small, batch_size=7)
    other = hessian(model, input, target, settings=small, batch_size=2)
    assert np.array_equal(one.eigenvalues, same.eigenvalues)
    assert one.trace == same.trace
    assert other.loss == pytest.approx(one.loss, rel=64 * EPS)
    assert other.eigenvalues == pytest.approx(one.eigenvalues, rel=1e-6)


@pytest.mark.parametrize("kind", [SequenceClassifier, SequenceRegressor])
@pytest.mark.parametrize("batch", [6, 7])  # as many samples as steps, or more
def test_layouts_and_targets_at_every_step(kind, batch):
    torch.manual_seed(0)
    first = kind(LipschitzRNN(2, 4, batch_first=True), 3, every_step=True)
    torch.manual_seed(0)
    second = kind(LipschitzRNN(2, 4), 3, every_step=True)
    input, _ = samples(batch)
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(3, (batch, 6), generator=generator)
    if kind is SequenceRegressor:
        target = torch.randn(batch, 6, 3, generator=generator)
    other = input.transpose(0, 1), target.transpose(0, 1)
    one = hessian(first, input, target, settings=LITTLE, batch_size=4)
    two = hessian(second, *other, settings=LITTLE, batch_size=4)
    assert two.loss == pytest.approx(one.loss, rel=64 * EPS)
    assert two.eigenvalues == pytest.approx(one.eigenvalues, rel=1e-6)
    with torch.no_grad():
        answers = copy.deepcopy(first).double()(input.double())
        if kind is SequenceRegressor:
            known = (answers - target.double()).square().mean()
        else:
            known = functional.cross_entropy(answers.flatten(0, 1), target.flatten())
    assert one.loss == pytest.approx(float(known), rel=64 * EPS)


@pytest.mark.parametrize(
    ("every_step", "target", "message"),
    [
        (
            False,
            torch.zeros(7),
            r"target.shape = \(7,\), got \(7, 3\)\. .* is \(B, Q\), or \(B, T, Q",
        ),
        (False, torch.zeros(7, 1), r"target.shape = \(7, 1\), got \(7, 3\)"),
        (False, torch.zeros(7, 6).long(), r"\(B, T, C\), as the target \(B, T\), = \(7, 6, \*\)"),
        (True, torch.zeros(7).long(), r"shape \(B, C\) = \(7, \*\), got \(7, 6, 3\)"),
        (True, torch.zeros(6, 7).long(), r"as many samples .* is \(B,\), or \(B, T\) of a model"),
        (False, torch.zeros(8).long(), "as many samples"),
    ],
)
def test_targets_that_are_not_laid_out_as_the_answers(every_step, target, message):
    layer = LipschitzRNN(2, 4, batch_first=True)
    model, (input, _) = SequenceClassifier(layer, 3, every_step=every_step), samples()
    with pytest.raises(ValueError, match=f"hessian: .*{message}"):
        hessian(model, input, target, settings=LITTLE)


def test_times_of_the_data_are_read():
    model, (input, target) = classifier(), samples()
    dt = torch.full(input.shape[:2], 2.0)
    found = hessian(model, input, target, options={"dt": dt}, settings=LITTLE, batch_size=4)
    with torch.no_grad():
        known = functional.cross_entropy(
            copy.deepcopy(model).double()(input.double(), dt=dt.double()), target
        )
    assert found.loss == pytest.approx(float(known), rel=64 * EPS)


def test_the_model_is_left_alone():
    model, (input, target) = classifier(dropout=0.5, num_layers=2), samples()
    model.train()
    before = copy.deepcopy(model.state_dict())
    hessian(model, input, target, settings=LITTLE)
    assert model.training
    assert all(p.dtype == torch.float32 and p.grad is None for p in model.parameters())
    assert all(p.requires_grad for p in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_frozen_parameters_are_no_directions():
    model, (input, target) = classifier(), samples()
    model.head.requires_grad_(False)
    found = hessian(model, input, target, settings=LITTLE)
    assert found.parameters == sum(p.numel() for p in model.rnn.parameters())


def test_any_module_that_can_be_differentiated_twice():
    torch.manual_seed(0)

    class Gru(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.head = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, input):
            return self.head(self.inner(input)[0][:, -1])

    model, (input, target) = Gru(), samples()
    found = hessian(model, input, target, settings=LITTLE)
    known = np.linalg.eigvalsh(dense_hessian(model, input, target))
    assert found.eigenvalues == pytest.approx(known[::-1][:1], rel=1e-6)


def test_kinks_are_not_passed_over():
    """Where a slope jumps between the two gradients, differences are refused."""

    class Kink(nn.Module):
        def __init__(self):
            super().__init__()
            self.theta = nn.Parameter(torch.full((60,), 1e-9, dtype=torch.float64))

    def terms(model):
        yield model.theta.relu().sum() + model.theta.square().sum()

    with pytest.raises(ValueError, match=r'got one that is off by .* product="exact"'):
        hessian_of(Kink(), terms, settings=HessianSettings(spacing=1e-5))
    exact = hessian_of(Kink(), terms, settings=HessianSettings(product="exact", probes=1))
    assert exact.eigenvalues == pytest.approx(2, abs=64 * EPS)


@pytest.mark.parametrize("product", ["exact", "difference"])
@pytest.mark.parametrize("size", [5, 60])  # by the matrix, and by ARPACK
def test_a_hessian_that_is_zero(size, product):
    model = Quadratic(np.zeros(size))
    settings = HessianSettings(eigenvalues=2, probes=2, product=product)
    found = hessian_of(model, Quadratic.terms, settings=settings)
    assert found.eigenvalues.tolist() == found.residuals.tolist() == [0, 0]
    assert found.vectors.T @ found.vectors == pytest.approx(np.eye(2), abs=64 * EPS)
    assert found.trace == found.lowest == 0
    (condition,) = found.conditions
    ratios = (condition.absolute, condition.signed, condition.positive)
    assert all(map(math.isnan, ratios))


def test_iterations_that_fail(monkeypatch):
    h = aslinearoperator(Quadratic().h.numpy())

    def find(error):
        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr("lipschitz_rnn.analysis.eigenpairs.eigsh", fail)
        return largest_eigenpairs(h, 3, 1e-6, np.random.default_rng(0))

    basis = Quadratic().basis
    values, _, residuals = find(ArpackNoConvergence("", SPECTRUM[-2:], basis[:, -2:]))
    assert values.tolist() == [20, 7]
    assert residuals.max() <= 64 * EPS * 20
    for error in (ArpackNoConvergence("", SPECTRUM[:0], basis[:, :0]), ArpackError(-9999)):
        with pytest.raises(ValueError, match=r"eigenvalues=3 at tolerance=1e-06\. Use a larger"):
            find(error)


@pytest.mark.parametrize(
    ("settings", "group", "message"),
    [
        ({"product": "fast"}, "all", "product"),
        ({"probes": 0}, "all", "probes"),
        ({}, "V", "group"),
    ],
)
def test_nonsense_is_named(settings, group, message):
    model, (input, target) = classifier(), samples()
    with pytest.raises(ValueError, match=message):
        hessian(model, input, target, group=group, settings=HessianSettings(**settings))


def test_a_loss_that_is_not_finite_is_refused():
    model, (input, target) = classifier(), samples()
    with pytest.raises(ValueError, match="finite loss"):
        hessian(model, input * math.nan, target)


def test_condition_numbers_by_definition():
    found = condition_number(np.array([0.5, 1.0, 2.0]))
    assert (found.absolute, found.signed, found.positive) == (4, 4, 4)
    found = condition_number(np.array([-4.0, 1.0, 2.0]))
    assert (found.absolute, found.signed, found.positive) == (4, -0.5, 2)
    assert condition_number(np.array([0.0, 1.0])).absolute == math.inf
    assert math.isnan(condition_number(np.array([-1.0])).positive)
    found = condition_number(np.zeros(3))
    assert all(map(math.isnan, (found.absolute, found.signed, found.positive)))


def test_losses_along_an_eigenvector_bend_with_the_eigenvalue():
    product = hessian_product(Quadratic(), Quadratic.terms)
    vector = Quadratic().basis[:, -1]
    losses = product.losses_along(vector, [-0.5, 0.0, 0.5])
    assert (losses[0] - 2 * losses[1] + losses[2]) / 0.25 == pytest.approx(20, rel=1e-11)
    assert losses[1] == product.loss
