"""The bound on rounding against what kernel and reference really lose in a step."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn.analysis.layers import UnitMatrices
from lipschitz_rnn.analysis.rounding import gamma, nonlinearity_bounds, rounding_bound
from lipschitz_rnn.ops import EULER, HEUN, MIDPOINT, RK4, Nonlinearity, lipschitz_scan, variants
from lipschitz_rnn.ops.nonlinearity import NONLINEARITIES

F32, F64 = torch.float32, torch.float64
TANH = NONLINEARITIES["tanh"]
native = pytest.mark.skipif(not variants(), reason="no native library here")
BACKENDS = [pytest.param("native", marks=[pytest.mark.native, native]), "reference"]


def make_unit(seed, n=8, p=2, *, scale=1.0, linear=True, tableau=EULER, sigma=TANH, substeps=1):
    """Of numbers that float32 holds."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    a = draw(n, n) / np.float32(n**0.5) - np.eye(n, dtype=np.float32) if linear else None
    w = draw(n, n) / np.float32(n**0.5)
    u, b = draw(n, p), draw(n)
    return UnitMatrices("l0", 0, a, w, u, b, 0.1, substeps, tableau, sigma, False)


def step(unit, h, x, dtype, backend="reference"):
    tensors = (x[None], h, unit.a, unit.w, unit.u, unit.b)
    tensors = (None if t is None else torch.as_tensor(t).to(dtype) for t in tensors)
    return lipschitz_scan(
        *tensors,
        step_size=unit.step_size,
        method=unit.tableau,
        nonlinearity=unit.nonlinearity,
        substeps=unit.substeps,
        backend=backend,
        output="last",
    )


def draws(unit, seed, size, count=200):
    """States and inputs in float32 with norms up to ``size``, and bounds on them."""
    g = torch.Generator().manual_seed(seed)
    n, p = unit.u.shape
    h = torch.randn(count, n, generator=g) * size * torch.rand(count, 1, generator=g) / n**0.5
    x = torch.randn(count, p, generator=g) * size / p**0.5
    return h, x, h.double().norm(dim=1).max().item(), x.double().norm(dim=1).max().item()


def worst_error(unit, seed, size, backend, count=200):
    """Largest error in float32, its bound, and the bound on the error of what it is held to."""
    h, x, high_h, high_x = draws(unit, seed, size, count)
    error = step(unit, h, x, F32, backend).double() - step(unit, h, x, F64)
    bounds = [rounding_bound(unit, high_h, high_x, dtype) for dtype in (F32, F64)]
    return error.norm(dim=1).max().item(), *bounds


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 40),
    p=st.integers(1, 5),
    scale=st.floats(0.01, 10),
    size=st.floats(1e-3, 30),
    linear=st.booleans(),
    tableau=st.sampled_from([EULER, MIDPOINT]),
)
def test_what_the_kernel_can_run_stays_below(backend, seed, n, p, scale, size, linear, tableau):
    unit = make_unit(seed, n, p, scale=scale, linear=linear, tableau=tableau)
    error, bound, own = worst_error(unit, seed, size, backend)
    assert error <= bound + own


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 20),
    scale=st.floats(0.1, 3),
    size=st.floats(0.1, 30),
    tableau=st.sampled_from([EULER, HEUN, MIDPOINT, RK4]),
    name=st.sampled_from(sorted(NONLINEARITIES)),
    substeps=st.integers(1, 3),
)
def test_every_method_and_nonlinearity_stays_below(seed, n, scale, size, tableau, name, substeps):
    sigma = NONLINEARITIES[name]
    unit = make_unit(seed, n, scale=scale, tableau=tableau, sigma=sigma, substeps=substeps)
    error, bound, own = worst_error(unit, seed, size, "reference")
    assert error <= bound + own


def test_float64_against_long_double():
    if np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps:
        pytest.skip("long double is no wider than double here")
    unit = make_unit(3, 6)
    h, x, high_h, high_x = draws(unit, 3, 2.0)
    wide_h, wide_x = (t.double().numpy().astype(np.longdouble) for t in (h, x))
    z = wide_h @ unit.w.T.astype(np.longdouble) + wide_x @ unit.u.T + unit.b
    exact = wide_h + np.longdouble(0.1) * (wide_h @ unit.a.T.astype(np.longdouble) + np.tanh(z))
    error = step(unit, h, x, F64).numpy() - exact
    worst = float(np.sqrt((error**2).sum(1)).max())
    bound = rounding_bound(unit, high_h, high_x, F64)
    assert bound / 40 < worst <= bound


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("n", "scale", "factor"), [(1, 0.1, 6), (8, 0.5, 30), (64, 0.5, 300)])
def test_how_far_above_it_is(backend, n, scale, factor):
    """The bound adds n roundings of one sign in sums of absolute values; they come as a walk."""
    unit = make_unit(0, n, 1, scale=scale)
    error, bound, _ = worst_error(unit, 0, 2.0, backend, count=4000)
    assert bound / factor <= error <= bound


@pytest.mark.native
@native
@pytest.mark.parametrize("matrix", ["a", "w", "u"])
def test_long_sums_of_one_sign(matrix):
    """Equal numbers added one by one: their roundings agree, and each of n has its share."""
    n = 600
    zero = np.zeros((n, n), np.float32)
    matrices = dict.fromkeys("awu", zero) | {matrix: np.full((n, n), 2.0**-10, np.float32)}
    unit = UnitMatrices("l0", 0, *matrices.values(), None, 64.0, 1, EULER, TANH, False)
    equal = torch.rand(100, 1, generator=torch.Generator().manual_seed(0)).expand(100, n) / 8
    h, x = (0 * equal, equal) if matrix == "u" else (equal, 0 * equal)
    size = equal[:, :1].double().max().item() * n**0.5
    bounds = (0.0, size) if matrix == "u" else (size, 0.0)
    error = (step(unit, h, x, F32, "native").double() - step(unit, h, x, F64)).norm(dim=1).max()
    bound = rounding_bound(unit, *bounds)
    # 16 roundings beside those of the sum could be no more than this
    assert 16 * 2.0**-24 * (64 * size * n * 2.0**-10 + size) < error
    assert bound / 20 < error <= bound


def test_scalar_state_that_loses_half_an_ulp():
    """With no slope at all but ε b, the bound is one rounding of the state and little else."""
    zero = np.zeros((1, 1), np.float32)
    unit = UnitMatrices("l0", 0, None, zero, zero, np.array([2.0**-20], np.float32), 2.0**-5, 1,
                        EULER, NONLINEARITIES["identity"], False)  # fmt: skip
    h, x = torch.tensor([[1.0]]), torch.zeros(1, 1)
    error = (step(unit, h, x, F32).double() - step(unit, h, x, F64)).abs().item()
    assert error == 2.0**-25
    # 1 + 2^-25: all of it is lost, half of the largest rounding error 2^-24 below 2
    assert 2.0**-24 <= rounding_bound(unit, 1.0, 0.0) <= 2.0**-24 * 1.001


@settings(max_examples=50)
@given(count=st.integers(1, 10**5), dtype=st.sampled_from([F32, F64]))
def test_gamma_is_rounded_up(count, dtype):
    u = Fraction(torch.finfo(dtype).eps) / 2
    exact = count * u / (1 - count * u)
    assert exact <= Fraction(gamma(count, dtype)) <= exact * (1 + Fraction(1, 10**12))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), more=st.floats(1, 10), which=st.sampled_from(["h", "x"]))
def test_larger_states_and_inputs_lose_more(seed, more, which):
    unit = make_unit(seed)
    h, x = (more, 1.0) if which == "h" else (1.0, more)
    assert rounding_bound(unit, 1.0, 1.0) <= rounding_bound(unit, h, x)


def test_substeps_add_up():
    bounds = [rounding_bound(make_unit(0, substeps=s), 1.0, 1.0) for s in (1, 2, 4)]
    assert bounds[0] < bounds[1] < bounds[2] < 8 * bounds[0]


def test_no_bound_where_numbers_overflow():
    assert rounding_bound(make_unit(0), 1e38, 1.0) == float("inf")
    assert rounding_bound(make_unit(0), 1e38, 1.0, F64) < 1e25


@pytest.mark.parametrize("name", sorted(NONLINEARITIES))
def test_bounds_of_nonlinearities(name):
    sigma = NONLINEARITIES[name]
    most, at_zero = nonlinearity_bounds(sigma)
    y = sigma.function(torch.linspace(-50, 50, 10001, dtype=F64)).abs()
    assert y.max() <= most
    assert (most < float("inf")) == (y.max() < 2)
    exact = {"sigmoid": 0.5, "softplus": np.log(2)}.get(name, 0.0)
    assert exact <= at_zero <= exact * (1 + 1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gated": True}, "expected an ungated unit"),
        ({"nonlinearity": Nonlinearity("tanh", torch.tanh, 0.0, 1.0)}, "of this library"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(ValueError, match=message):
        rounding_bound(dataclasses.replace(make_unit(0), **change), 1.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1.0, 1.0, torch.bfloat16), "float32 or float64"), ((-1.0, 1.0), "at least 0"),
     ((float("nan"), 1.0), "at least 0")],
)  # fmt: skip
def test_refused_numbers(arguments, message):
    with pytest.raises(ValueError, match=message):
        rounding_bound(make_unit(0), *arguments)
