"""The quadratic form against its definition, against steps that are run, and in exact numbers."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from exact import encloses, exact, zeros
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn.analysis.increments import (
    assemble,
    assemble_balls,
    make_system,
    quadratic_form,
)
from lipschitz_rnn.linalg.balls import BallMatrix
from lipschitz_rnn.ops import (
    EULER,
    NONLINEARITIES,
    TABLEAUX,
    ButcherTableau,
    Nonlinearity,
    explicit_step,
    lipschitz_field,
    lipschitz_scan,
)

EPS = 2.0**-52
THIRD = ButcherTableau("kutta", 3, ((0.5,), (-1.0, 2.0)), (1 / 6, 2 / 3, 1 / 6), (0.0, 0.5, 1.0))
METHODS = {**TABLEAUX, "kutta": THIRD}
seeds = st.integers(0, 2**32 - 1)


def random_system(rng, n, method="euler", step_size=0.3, nonlinearity="tanh"):
    a, w = rng.standard_normal((2, n, n))
    sigma = NONLINEARITIES[nonlinearity]
    return make_system(a, w, step_size, METHODS[method], nonlinearity=sigma)


def random_variables(rng, system, *, full):
    factor = rng.standard_normal((system.size, system.size))
    metric = factor @ factor.T if full else rng.random(system.size) + 0.1
    return [metric, *(rng.random((system.stages, system.size)) + 0.1)]


def form_of(system, growth, variables, xi):
    """ξᵀSξ as Note [Growth] defines it: from the stages of the step itself."""
    delta, *phi = xi.reshape(1 + system.stages, system.size)
    metric = variables[0] if variables[0].ndim == 2 else np.diag(variables[0])
    epsilon, weights = system.step_size, system.tableau.b
    if epsilon == 0:
        weights = (1.0,)
    sigma, slopes, total = system.nonlinearity, [], 0.0
    for i in range(system.stages):
        row = system.tableau.a_lower[i - 1] if i else ()
        state = delta + epsilon * sum(
            (c * k for c, k in zip(row, slopes, strict=True)), np.zeros(system.size)
        )
        v = system.w @ state
        slopes.append(system.a @ state + phi[i])
        low, high = phi[i] - sigma.slope_min * v, sigma.slope_max * v - phi[i]
        total -= 2 * (low * variables[1 + i] * high).sum()
    moved = sum(weight * k for weight, k in zip(weights, slopes, strict=True))
    if epsilon == 0:
        return growth * delta @ metric @ delta - 2 * delta @ metric @ moved + total
    after = delta + epsilon * moved
    gain = (after @ metric @ after - delta @ metric @ delta) / epsilon
    return growth * delta @ metric @ delta - gain + total


@pytest.mark.parametrize("nonlinearity", ["tanh", "sigmoid", "sine", "identity"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("method", [*METHODS, "flow"])
def test_the_form_is_its_definition(method, full, nonlinearity):
    rng = np.random.default_rng(0)
    flow = method == "flow"
    name = "rk4" if flow else method  # the flow's stages are not the method's
    system = random_system(rng, 3, name, None if flow else 0.3, nonlinearity)
    assert system.stages == (1 if flow else len(METHODS[name].b))
    variables = random_variables(rng, system, full=full)
    terms = quadratic_form(system, -0.7)
    form = assemble(terms, variables)
    assert (form == form.T).all()
    for xi in rng.standard_normal((20, len(form))):
        expected = form_of(system, -0.7, variables, xi)
        scale = abs(xi) @ abs(form) @ abs(xi)
        # some 50 N operations of size 10 (entries of A, W and P are of size 3), and a division by ε
        assert abs(xi @ form @ xi - expected) < 500 * EPS * (scale + xi @ xi / 0.3)


@pytest.mark.parametrize("nonlinearity", ["tanh", "sine", "sigmoid"])
@pytest.mark.parametrize("method", METHODS)
def test_the_rows_are_those_of_a_step_that_is_run(method, nonlinearity):
    """ξ of two true trajectories: δ⁺ = δ + ε Γ ξ, and v_i = V_i ξ."""
    rng = np.random.default_rng(1)
    system = random_system(rng, 4, method, 0.3, nonlinearity)
    a, w = torch.from_numpy(system.a), torch.from_numpy(system.w)
    u, x = torch.from_numpy(rng.standard_normal((4, 2))), torch.from_numpy(rng.standard_normal(2))
    h = torch.from_numpy(rng.standard_normal((2, 4)))
    sigma = system.nonlinearity.function
    seen = []

    def field(state):
        seen.append(state @ w.T + u @ x)
        return lipschitz_field(x.expand(2, 2), state, a, w, u, None, nonlinearity=nonlinearity)

    after = explicit_step(system.tableau, field, h, 0.3)
    options = {"step_size": 0.3, "method": system.tableau, "nonlinearity": nonlinearity}
    scanned = lipschitz_scan(x.expand(1, 2, 2), h, a, w, u, None, **options)[0]
    assert torch.allclose(after, scanned, rtol=0, atol=100 * EPS * (1 + after.abs().max()))
    phis = [sigma(z[0]) - sigma(z[1]) for z in seen]
    xi = torch.cat([h[0] - h[1], *phis]).numpy()
    metric, *sectors = quadratic_form(system, 0.0)
    delta, total = (rows @ xi for rows in metric.rows)
    moved = (after[0] - after[1]).numpy()
    assert abs(delta + 0.3 * total - moved).max() < 200 * EPS * (1 + abs(moved).max())
    for i, (term, z) in enumerate(zip(sectors, seen, strict=True)):
        phi, v = (rows @ xi for rows in term.rows)
        expected = (z[0] - z[1]).numpy()
        assert (phi == phis[i].numpy()).all()
        assert abs(v - expected).max() < 200 * EPS * (1 + abs(expected).max())
        # a true pair is in the sector: its term of S is not positive
        assert phi @ phi * term.weights[0, 0] + 2 * term.weights[0, 1] * phi @ v + (
            v @ v * term.weights[1, 1]
        ) <= 100 * EPS * (v @ v)


def exact_form(system, growth, variables):
    """S in rational arithmetic, straight from Note [Growth]."""
    n, stages = system.size, system.stages
    a, w, epsilon = exact(system.a), exact(system.w), Fraction(system.step_size)
    picks = [zeros(n, n * (1 + stages)) for _ in range(1 + stages)]
    for i, pick in enumerate(picks):
        pick[:, n * i : n * (i + 1)] = exact(np.eye(n))
    low, high = (
        Fraction(x) for x in (system.nonlinearity.slope_min, system.nonlinearity.slope_max)
    )
    slopes, inputs = [], []
    for i in range(stages):
        state = picks[0]
        for c, slope in zip(system.tableau.a_lower[i - 1] if i else (), slopes, strict=True):
            state = state + epsilon * Fraction(c) * slope
        inputs.append(w @ state)
        slopes.append(a @ state + picks[1 + i])
    weights = (1.0,) if epsilon == 0 else system.tableau.b
    gamma = sum(Fraction(c) * slope for c, slope in zip(weights, slopes, strict=True))
    metric, *multipliers = (exact(x if x.ndim == 2 else np.diag(x)) for x in variables)
    total = Fraction(growth) * picks[0].T @ metric @ picks[0] - epsilon * gamma.T @ metric @ gamma
    total = total - picks[0].T @ metric @ gamma - gamma.T @ metric @ picks[0]
    for pick, v, t in zip(picks[1:], inputs, multipliers, strict=True):
        # -(φ - a v)ᵀT(b v - φ) - its transpose
        lower, upper = pick - low * v, high * v - pick
        total = total - lower.T @ t @ upper - upper.T @ t @ lower
    return total


@given(
    seed=seeds,
    n=st.integers(1, 3),
    method=st.sampled_from([*METHODS, "flow"]),
    full=st.booleans(),
    name=st.sampled_from(["tanh", "sine", "sigmoid"]),
)
@settings(max_examples=40, deadline=None)
def test_balls_hold_the_exact_form(seed, n, method, full, name):
    rng = np.random.default_rng(seed)
    flow = method == "flow"
    system = random_system(rng, n, "euler" if flow else method, None if flow else 0.3, name)
    variables = random_variables(rng, system, full=full)
    terms = quadratic_form(system, -0.7, BallMatrix.exact)
    ball = assemble_balls(terms, variables)
    assert encloses(ball, exact_form(system, -0.7, variables))
    plain = assemble(quadratic_form(system, -0.7), variables)
    largest = abs(plain).max()
    assert abs(plain - ball.center).max() <= 1e-12 * largest
    assert ball.radius.max() <= 1e-11 * largest


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-0.1, 1 / 3), (-1e9 / 3, 1e-9), (1e-30, 1e12 / 7), (-1e-9, 0.0)]
)
def test_the_sector_is_widened_to_numbers_that_multiply_exactly(low, high):
    """Its coefficients are those of a true sector, (a', b') that holds [a, b], to the last bit."""
    sigma = Nonlinearity("mine", torch.tanh, low, high)
    system = make_system(None, np.eye(1), None, EULER, nonlinearity=sigma)
    weights = quadratic_form(system, 0.0)[1].weights
    total, product = -Fraction(weights[0, 1]), Fraction(weights[1, 1]) / 2
    assert weights[0, 0] == 2
    assert weights[1, 0] == weights[0, 1]
    # both ends lie where (s - a')(b' - s) >= 0
    for slope in (Fraction(low), Fraction(high)):
        assert total * slope - product - slope**2 >= 0
    width = max(abs(low), abs(high), 1)
    # and a' and b' are rational: the discriminant is the square of b' - a'
    gap = float(total**2 - 4 * product) ** 0.5
    assert gap - (high - low) <= 2.0**-23 * width
    assert Fraction(round(gap * 2**60), 2**60) >= 0


def test_no_linear_term_is_a_zero_matrix():
    system = make_system(
        None, np.ones((2, 2), np.float32), 0.5, nonlinearity=NONLINEARITIES["tanh"]
    )
    assert not system.a.any()
    assert system.a.dtype == system.w.dtype == np.float64
