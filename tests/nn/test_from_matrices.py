"""A layer of given matrices: the equation, the known answers, and every analysis of it."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize

from lipschitz_rnn.analysis import (
    certified_radii,
    certify,
    find_fixed_points,
    find_units,
    gradient_norms,
    input_gains,
    jacobian_norms,
    lyapunov_exponents,
    rounding_bound,
    stability_report,
    state_bound,
)
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier
from lipschitz_rnn.ops import MIDPOINT

EPS = np.finfo(np.float64).eps
H, P, STEP = 4, 2, 0.2


def matrices(seed=0):
    """A, W, U, b of a unit that contracts: -1.5 + ‖A₀‖ + ‖W‖ < 0."""
    g = np.random.default_rng(seed)
    a, w = g.standard_normal((2, H, H))
    a, w = 0.4 * a / np.linalg.norm(a, 2), 0.6 * w / np.linalg.norm(w, 2)
    return a - 1.5 * np.eye(H), w, g.standard_normal((H, P)), g.standard_normal(H)


def make(**options):
    return LipschitzRNN.from_matrices(*matrices(), **{"step_size": STEP, **options})


def run(method, a, w, u, b, input, h, step):
    """States (T, B, H) by numpy alone, the methods written out."""
    states = []
    for x in input:

        def f(h, x=x):
            return h @ a.T + np.tanh(h @ w.T + x @ u.T + b)

        if method == "euler":
            h = h + step * f(h)
        elif method == "midpoint":
            h = h + step * f(h + step / 2 * f(h))
        else:
            k1 = f(h)
            k2 = f(h + step / 2 * k1)
            k3 = f(h + step / 2 * k2)
            k4 = f(h + step * k3)
            h = h + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(h)
    return np.stack(states)


@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4"])
def test_it_runs_the_equation(method):
    a, w, u, b = matrices()
    g = np.random.default_rng(1)
    x, h = g.standard_normal((9, 3, P)), g.standard_normal((3, H))
    expected = run(method, a, w, u, b, x, h, STEP)
    layer = LipschitzRNN.from_matrices(a, w, u, b, step_size=STEP, method=method)
    output, h_n = layer(torch.from_numpy(x), torch.from_numpy(h)[None])
    error = np.linalg.norm(output.detach().numpy() - expected)
    assert error <= 8 * EPS * 3 * np.linalg.norm(expected)
    assert torch.equal(h_n[0], output[-1])
    with torch.no_grad():  # the kernel's own step, where there is one
        one, _ = layer.step(torch.from_numpy(x[0]), torch.from_numpy(h)[None])
    assert np.linalg.norm(one.numpy() - expected[0]) <= 8 * EPS * np.linalg.norm(expected[0])


def test_what_is_left_out():
    a, w, _, _ = matrices()
    zero = np.zeros(H)
    x, h = np.random.default_rng(2).standard_normal((5, 2, H)), np.zeros((2, H))
    for given in (a, None):
        layer = LipschitzRNN.from_matrices(given, w, step_size=STEP, batch_first=True)
        assert (layer.input_size, layer.hidden_size, layer.num_layers) == (H, H, 1)
        assert layer.bias_l0 is None
        assert (layer.weight_a_l0 is None) == (given is None)
        linear = 0 * w if given is None else a
        expected = run("euler", linear, w, np.eye(H), zero, x, h, STEP).swapaxes(0, 1)
        output = layer(torch.from_numpy(x).transpose(0, 1))[0].detach().numpy()
        assert np.linalg.norm(output - expected) <= 8 * EPS * 3 * np.linalg.norm(expected)


def test_options_reach_the_step():
    layer = make(method=MIDPOINT, substeps=3, nonlinearity="sine")
    (unit,) = find_units(layer)
    assert (unit.step_size, unit.substeps, unit.tableau) == (STEP, 3, MIDPOINT)
    assert unit.nonlinearity.name == "sine"


def test_dtypes():
    a, w, u, b = matrices()
    single = [torch.from_numpy(x).float() for x in (a, w, u, b)]
    assert LipschitzRNN.from_matrices(*single, step_size=STEP).weight_a_l0.dtype == torch.float32
    mixed = LipschitzRNN.from_matrices(single[0], torch.from_numpy(w), step_size=STEP)
    assert {p.dtype for p in mixed.parameters()} == {torch.float64}  # nothing is rounded
    assert torch.equal(mixed.weight_a_l0, single[0].double())
    assert torch.equal(mixed.weight_hh_l0, torch.from_numpy(w))
    lists = LipschitzRNN.from_matrices(a.tolist(), w[::-1][::-1], u.T.copy().T, [1, 2, 3, 4],
                                       step_size=STEP)  # fmt: skip
    assert {p.dtype for p in lists.parameters()} == {torch.float64}
    assert torch.equal(lists.weight_a_l0, torch.from_numpy(a))
    assert lists.bias_l0.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_it_keeps_to_itself():
    """What was given is copied, and no random number is drawn."""
    a, w, u, b = (torch.from_numpy(x) for x in matrices())
    before = torch.get_rng_state()
    layer = LipschitzRNN.from_matrices(a, w, u, b, step_size=STEP)
    assert torch.equal(torch.get_rng_state(), before)
    kept = w.clone()
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    assert torch.equal(w, kept)
    assert type(layer) is LipschitzRNN
    assert not parametrize.is_parametrized(layer)
    assert "beta_a=0.5, gamma_a=0.0" in repr(layer)


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "state_dict"])
def test_copies(way):
    layer, x = make(method="rk4"), torch.randn(5, 2, P).double()
    if way == "deepcopy":
        other = copy.deepcopy(layer)
    elif way == "pickle":
        other = pickle.loads(pickle.dumps(layer))
    else:
        zeros = [np.zeros_like(part) for part in matrices()]
        other = LipschitzRNN.from_matrices(*zeros, step_size=STEP, method="rk4")
        other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x)[0], layer(x)[0])
    with torch.no_grad():
        other.weight_a_l0.zero_()
    assert not torch.equal(other(x)[0], layer(x)[0])


def test_gradients_reach_every_entry():
    layer, x = make(), torch.randn(6, 3, P).double()
    names = {name for name, _ in layer.named_parameters()}
    assert names == {"weight_a_l0", "weight_hh_l0", "weight_ih_l0", "bias_l0"}
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        loss = layer(x)[1].square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all((p.grad != 0).all() for p in layer.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > losses[1] > losses[2]
    layer.reset_parameters()  # as for a layer whose parametrisation was removed
    assert layer.weight_hh_l0.abs().max() < 1


@pytest.mark.parametrize("scale", [1.0, 4.0])  # one that holds, one that does not
@pytest.mark.parametrize("method", ["euler", "midpoint"])
def test_certify_says_the_same_of_matrices_and_of_their_layer(method, scale):
    a, w, u, b = matrices()
    of_matrices = certify(a, scale * w, step_size=STEP, method=method)
    layer = LipschitzRNN.from_matrices(a, scale * w, u, b, step_size=STEP, method=method)
    of_layer = certify(layer)
    assert of_layer.holds == of_matrices.holds == (scale == 1)
    assert of_layer.units[0].growth == of_matrices.units[0].growth
    assert of_layer.rate == of_matrices.rate
    of_flow = certify(layer, continuous=True), certify(a, scale * w)
    assert of_flow[0].units[0].growth == of_flow[1].units[0].growth


def test_bounds_take_it():
    layer = make()
    certificate = certify(layer)
    gains = input_gains(certificate, layer, horizon=20)
    bound = state_bound(certificate, layer).state
    g = torch.Generator().manual_seed(3)
    x = torch.randn(20, 8, P, generator=g).double()
    change = 0.1 * torch.randn(20, 8, P, generator=g).double()
    with torch.no_grad():
        before, after = layer(x)[0], layer(x + change)[0]
        assert layer(100 * x)[0].norm(dim=-1).max() <= bound
    moved = (after[-1] - before[-1]).norm(dim=-1)
    assert (moved <= gains.state * change.norm(dim=(0, 2))).all()
    assert bound < 10
    assert gains.state < 10
    (unit,) = find_units(layer)
    assert 0 < rounding_bound(unit, state_bound=bound, input_bound=1.0) < 1e-5  # of float32


def test_radii_take_it():
    model = SequenceClassifier(make(batch_first=True), 3).double().eval()
    x = torch.randn(6, 10, P, dtype=torch.float64)
    radii = certified_radii(certify(model), model, x, torch.zeros(6, dtype=torch.int64))
    direction = torch.randn(6, 10, P, dtype=torch.float64)
    direction /= direction.norm(dim=(1, 2), keepdim=True)
    moved = model(x + 0.999 * radii.radii.double()[:, None, None] * direction)
    assert torch.equal(moved.argmax(1), radii.predicted)
    assert radii.radii.max() > 0.01


def test_reports_and_sensitivities_take_it():
    a = matrices()[0]
    unit = stability_report(make()).units[0]
    assert unit.certificate.holds
    symmetric = np.linalg.eigvalsh((a + a.T) / 2)[-1]
    assert unit.a.log_norm == pytest.approx(symmetric, rel=1e-12)
    assert unit.w.sigma_max == pytest.approx(0.6, rel=1e-12)
    assert unit.a.scheme is None  # no scheme bounds where their eigenvalues lie
    assert unit.w.scheme is None
    norms = jacobian_norms(make(), torch.randn(5, 2, P).double()).norms
    assert (norms[:-1] < 1).all()
    model = SequenceClassifier(make(), 3).double()
    found = gradient_norms(model, torch.randn(5, 2, P).double(), torch.tensor([0, 2]))
    assert found["l0"].norms.isfinite().all()


@pytest.mark.parametrize("a", [-np.eye(3), None])
def test_exponents_that_are_known(a):
    """A = -I, W = 0: every Euler step is h+ = (1 - ε) h + const, hence ln(1 - ε)/ε per time."""
    layer = LipschitzRNN.from_matrices(a, np.zeros((3, 3)), step_size=STEP)
    found = lyapunov_exponents(layer, torch.randn(7, 2, 3).double())
    expected = 0.0 if a is None else math.log(1 - STEP)
    assert (found.exponents - expected).abs().max() < 8 * EPS
    assert (found.exponents_per_time - expected / STEP).abs().max() < 8 * EPS / STEP


def test_fixed_points_that_are_known():
    """dh/dt = -h + tanh(x): at rest h = tanh x, where both linearisations are known too."""
    layer = LipschitzRNN.from_matrices(-np.eye(2), np.zeros((2, 2)), step_size=STEP)
    x = torch.tensor([0.5, -2.0], dtype=torch.float64)
    (point,) = find_fixed_points(layer, x, starts=4).points
    assert (point.state - torch.tanh(x)).abs().max() < 1e-10
    assert point.spectral_abscissa == pytest.approx(-1)
    assert point.spectral_radius == pytest.approx(1 - STEP)


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((EYE, np.ones((2, 3))), r"expected a square matrix `w`, got \(2, 3\)"),
        ((EYE, np.ones(2)), r"expected a square matrix `w`, got \(2,\)"),
        ((np.eye(3), EYE), r"expected `a` of shape \(H, H\) = \(2, 2\), got \(3, 3\). H = 2 is"),
        ((EYE, EYE, np.ones((3, 1))), r"expected `u` of shape \(H, P\) = \(2, \*\), got \(3, 1\)"),
        ((EYE, EYE, None, np.ones((2, 1))), r"expected `b` of shape \(H,\) = \(2,\), got \(2, 1\)"),
        ((EYE, [[0.0, math.nan], [0.0, 0.0]]), r"expected finite entries of `w`, got nan at"),
        ((EYE, EYE, None, [0.0, -math.inf]), r"expected finite entries of `b`, got -inf at \(1,\)"),
        ((EYE, [[1.0], [1.0, 2.0]]), "expected `w` to have rows of one length"),
    ],
)  # fmt: skip
def test_wrong_values(given, message):
    with pytest.raises(ValueError, match=r"^LipschitzRNN.from_matrices: " + message):
        LipschitzRNN.from_matrices(*given, step_size=0.1)


@pytest.mark.parametrize("w", [None, EYE + 1j, torch.eye(2).to(torch.complex64), [["x", "y"]]])
def test_wrong_types(w):
    with pytest.raises(TypeError, match=r"from_matrices: expected `w` to hold real numbers, got"):
        LipschitzRNN.from_matrices(EYE, w, step_size=0.1)


def test_wrong_options():
    with pytest.raises(ValueError, match="expected a finite `step_size` > 0"):
        LipschitzRNN.from_matrices(EYE, EYE, step_size=0.0)
    with pytest.raises(ValueError, match="expected `method` to be one of"):
        LipschitzRNN.from_matrices(EYE, EYE, step_size=0.1, method="leapfrog")
