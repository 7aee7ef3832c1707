"""The op against the equations, written here once more as plain loops."""

import pytest
import torch
from closed_forms import affine_states, random_problem, taylor
from matching import assert_matches

from lipschitz_rnn.ops import (
    NONLINEARITIES,
    TABLEAUX,
    gated_lipschitz_scan,
    lipschitz_field,
    lipschitz_scan,
)

FUNCTIONS = {
    "tanh": lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
    "relu": lambda x: x * (x > 0),
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "softplus": lambda x: (1 + x.exp()).log(),
    "sine": lambda x: x.sin(),
    "identity": lambda x: x,
}


def euler(f, h, e):
    return h + e * f(h)


def midpoint(f, h, e):
    half = h + e / 2 * f(h)
    return h + e * f(half)


def heun(f, h, e):
    first = f(h)
    return h + e / 2 * (first + f(h + e * first))


def rk4(f, h, e):
    k1 = f(h)
    k2 = f(h + e / 2 * k1)
    k3 = f(h + e / 2 * k2)
    k4 = f(h + e * k3)
    return h + e / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


METHODS = {"euler": euler, "midpoint": midpoint, "heun": heun, "rk4": rk4}


def plain_loop(problem, steps, method, sigma, substeps=1, gate=None):
    """Sample by sample, step by step, matrix times vector; ``steps[t][n]`` is a float."""
    input, h0, a, w, u, b = problem.args
    result = torch.empty(*input.shape[:2], h0.shape[1], dtype=torch.float64)
    for n in range(input.shape[1]):
        h = h0[n]
        for t in range(input.shape[0]):

            def f(h, x=input[t, n]):
                z = w @ h + u @ x + (0 if b is None else b)
                slope = FUNCTIONS[sigma](z)
                if a is not None:
                    slope = a @ h + slope
                if gate is not None:
                    slope = slope * FUNCTIONS["sigmoid"](w @ h + gate[0] @ x + gate[1])
                return slope

            for _ in range(substeps):
                h = METHODS[method](f, h, steps[t][n] / substeps)
            result[t, n] = h
    return result


def uniform(problem, e):
    steps, batch = problem.input.shape[:2]
    return [[e] * batch] * steps


def test_every_method_and_nonlinearity_is_known_to_these_tests():
    assert set(METHODS) == set(TABLEAUX)
    assert set(FUNCTIONS) == set(NONLINEARITIES)


@pytest.mark.parametrize("substeps", [1, 3])
@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_equals_the_equations(method, linear, substeps):
    problem = random_problem(T=20, linear=linear)
    got = lipschitz_scan(*problem.args, step_size=0.1, method=method, substeps=substeps)
    expected = plain_loop(problem, uniform(problem, 0.1), method, "tanh", substeps)
    assert_matches("states", got, expected, steps=20)


@pytest.mark.parametrize("sigma", FUNCTIONS)
def test_equals_the_equations_for_every_nonlinearity(sigma):
    problem = random_problem(T=20)
    got = lipschitz_scan(*problem.args, step_size=0.1, nonlinearity=sigma, method="midpoint")
    expected = plain_loop(problem, uniform(problem, 0.1), "midpoint", sigma)
    assert_matches("states", got, expected, steps=20)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 4, 4, 4), (4, 1, 3, 2), (4, 4, 4, 4)], ids=str)
def test_equals_the_equations_where_sizes_coincide(shape):
    problem = random_problem(*shape)
    got = lipschitz_scan(*problem.args, step_size=0.1)
    assert_matches("states", got, plain_loop(problem, uniform(problem, 0.1), "euler", "tanh"))


def test_without_bias():
    problem = random_problem(bias=False)
    got = lipschitz_scan(*problem.args, step_size=0.1)
    assert_matches("states", got, plain_loop(problem, uniform(problem, 0.1), "euler", "tanh"))


@pytest.mark.parametrize("method", ["euler", "rk4"])
@pytest.mark.parametrize("kind", ["scalar", "per step", "per sample"])
def test_equals_the_equations_for_every_kind_of_step(kind, method):
    problem = random_problem(T=6, B=6)  # T = B: a transposed step would go unnoticed by shape
    steps = {
        "scalar": torch.tensor(0.07),
        "per step": torch.rand(6),
        "per sample": torch.rand(6, 6),
    }
    step = steps[kind].double()
    table = step.reshape(-1, 1).expand(6, 6) if step.dim() < 2 else step
    got = lipschitz_scan(*problem.args, step_size=step, method=method, substeps=2)
    expected = plain_loop(problem, table.tolist(), method, "tanh", 2)
    assert_matches("states", got, expected, steps=6)


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_gated_equals_its_equations(method, linear):
    problem = random_problem(T=20, linear=linear)
    gate = torch.randn(4, 2, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    got = gated_lipschitz_scan(*problem.args, *gate, step_size=0.1, method=method)
    expected = plain_loop(problem, uniform(problem, 0.1), method, "tanh", gate=gate)
    assert_matches("states", got, expected, steps=20)


@pytest.mark.parametrize("gated", [False, True])
def test_field_is_the_slope_of_a_small_euler_step(gated):
    problem = random_problem(T=1)
    input, h0, *rest = problem.args
    gate = (torch.randn(4, 2).double(), torch.randn(4).double()) if gated else ()
    step = 2.0**-10  # a power of two: multiplying and dividing by it is exact
    scan = gated_lipschitz_scan if gated else lipschitz_scan
    moved = (scan(input, h0, *rest, *gate, step_size=step)[0] - h0) / step
    field = lipschitz_field(input[0], h0, *rest, *gate)
    assert_matches("field", field, moved, factor=8 / step)  # the difference cancels 10 bits


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_linear_case_is_the_truncated_exponential(method, linear):
    """For σ = identity a p-stage method of order p is the Taylor polynomial of exp, exactly."""
    problem = random_problem(T=10, linear=linear)
    got = lipschitz_scan(*problem.args, step_size=0.1, method=method, nonlinearity="identity")
    expected = affine_states(problem, 0.1, taylor(TABLEAUX[method].order))
    assert_matches("states", got, expected, steps=10)


def test_linear_case_converges_to_the_matrix_exponential():
    """RK4's defect per unit of time is |K|^5 e^4 / 120; |K| < 6, e = 0.001, so below 7e-11."""
    problem = random_problem(T=10)
    got = lipschitz_scan(
        *problem.args, step_size=0.1, method="rk4", nonlinearity="identity", substeps=100
    )
    expected = affine_states(problem, 0.1, torch.linalg.matrix_exp)
    assert torch.linalg.matrix_norm(problem.a + problem.w, 2) < 6
    assert (got - expected).abs().max() < 7e-11 * expected.abs().max()


def test_zero_step_leaves_the_state():
    problem = random_problem()
    states = lipschitz_scan(*problem.args, step_size=0.0, method="rk4")
    assert torch.equal(states, problem.h0.expand_as(states))


def test_empty_batch_and_empty_sequence():
    problem = random_problem()
    empty_batch = lipschitz_scan(
        problem.input[:, :0], problem.h0[:0], *problem.args[2:], step_size=0.1
    )
    assert empty_batch.shape == (5, 0, 4)
    empty_time = lipschitz_scan(problem.input[:0], *problem.args[1:], step_size=0.1)
    assert empty_time.shape == (0, 3, 4)


def test_input_may_have_any_strides():
    problem = random_problem(T=6, B=6)
    strided = problem.input.transpose(0, 1).contiguous().transpose(0, 1)[:, :, :1].expand(6, 6, 2)
    got = lipschitz_scan(strided, *problem.args[1:], step_size=0.1)
    expected = lipschitz_scan(strided.contiguous(), *problem.args[1:], step_size=0.1)
    assert_matches("states", got, expected)
