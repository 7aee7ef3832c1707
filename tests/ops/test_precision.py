"""Which precision the recurrence runs in, and under a compiler."""

import pytest
import torch
from closed_forms import random_problem
from matching import assert_matches

from lipschitz_rnn.ops import TABLEAUX, lipschitz_scan


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_computed_in_float32_and_rounded_once(dtype):
    problem = random_problem(T=300, dtype=dtype)
    got = lipschitz_scan(*problem.args, step_size=0.01)
    wide = [x.float() for x in problem.args]
    expected = lipschitz_scan(*wide, step_size=0.01)
    assert got.dtype == dtype
    assert torch.equal(got, expected.to(dtype))
    kept = lipschitz_scan(problem.input, problem.h0.float(), *problem.args[2:], step_size=0.01)
    assert torch.equal(kept, expected)


def test_half_precision_gradients_arrive_in_half_precision():
    problem = random_problem(dtype=torch.bfloat16)
    w = problem.w.requires_grad_()
    lipschitz_scan(*problem.args[:3], w, *problem.args[4:], step_size=0.1).sum().backward()
    assert w.grad.dtype == torch.bfloat16


def test_autocast_does_not_touch_the_recurrence():
    problem = random_problem(T=300, dtype=torch.float32)
    expected = lipschitz_scan(*problem.args, step_size=0.01)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = lipschitz_scan(*problem.args, step_size=0.01)
        rounded = lipschitz_scan(problem.input.bfloat16(), *problem.args[1:], step_size=0.01)
    assert torch.equal(got, expected)
    assert rounded.dtype == torch.float32


def test_float32_is_close_to_float64_over_a_long_sequence():
    problem = random_problem(T=784, H=16)
    single = [x.float() for x in problem.args]
    got = lipschitz_scan(*single, step_size=0.03)
    expected = lipschitz_scan(*(x.double() for x in single), step_size=0.03)
    assert_matches("states", got, expected, steps=784)


@pytest.mark.parametrize("method", TABLEAUX)
def test_compiles_without_a_graph_break(method):
    problem = random_problem(T=4)
    w = problem.w.requires_grad_()

    def loss(w, step_size):
        return (
            lipschitz_scan(
                *problem.args[:3], w, *problem.args[4:], step_size=step_size, method=method
            )
            .square()
            .sum()
        )

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for step_size in (0.1, torch.rand(4, 3, dtype=torch.float64)):
        expected = torch.autograd.grad(loss(w, step_size), w)[0]
        assert_matches("gradient", torch.autograd.grad(compiled(w, step_size), w)[0], expected)


def test_meta_tensors_give_shapes():
    problem = random_problem()
    meta = [x.to("meta") for x in problem.args]
    assert lipschitz_scan(*meta, step_size=0.1).shape == (5, 3, 4)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_cuda_equals_cpu():
    problem = random_problem(T=50)
    expected = lipschitz_scan(*problem.args, step_size=0.1, method="midpoint")
    there = [x.cuda() for x in problem.args]
    got = lipschitz_scan(*there, step_size=0.1, method="midpoint").cpu()
    assert_matches("states", got, expected, steps=50)
