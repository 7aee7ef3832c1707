"""Derivatives of every kind, against differences, loops and each other."""

import pytest
import torch
from closed_forms import random_problem
from matching import assert_matches
from torch.autograd import gradcheck, gradgradcheck

from lipschitz_rnn.ops import TABLEAUX, gated_lipschitz_scan, lipschitz_scan


def small(linear=True, gated=False, T=3):
    problem = random_problem(T=T, B=2, P=2, H=3, linear=linear)
    tensors = [x for x in problem.args if x is not None]
    if gated:
        tensors += [torch.randn(3, 2).double(), torch.randn(3).double()]
    tensors.append(0.05 + torch.rand(T, 2, dtype=torch.float64))  # a step per time and sample
    for tensor in tensors:
        tensor.requires_grad_()

    def function(input, h0, *rest, **options):
        *weights, step_size = rest
        if not linear:
            weights.insert(0, None)
        scan = gated_lipschitz_scan if gated else lipschitz_scan
        return scan(input, h0, *weights, step_size=step_size, **options)

    return function, tensors


CASES = [(method, linear, False) for method in TABLEAUX for linear in (True, False)]
CASES += [("midpoint", True, True), ("euler", False, True)]


@pytest.mark.parametrize(("method", "linear", "gated"), CASES)
def test_first_derivatives_in_both_modes(method, linear, gated):
    function, tensors = small(linear, gated)
    assert gradcheck(
        lambda *x: function(*x, method=method, substeps=2),
        tensors,
        check_forward_ad=True,
        atol=1e-7,
    )


@pytest.mark.parametrize(("method", "linear", "gated"), CASES)
def test_second_derivatives(method, linear, gated):
    function, tensors = small(linear, gated, T=2)
    assert gradgradcheck(
        lambda *x: function(*x, method=method), tensors, check_fwd_over_rev=True, fast_mode=True
    )


@pytest.mark.parametrize("sigma", ["sigmoid", "softplus", "sine", "identity"])
def test_derivatives_of_the_other_smooth_nonlinearities(sigma):
    function, tensors = small()
    run = lambda *x: function(*x, nonlinearity=sigma)  # noqa: E731
    assert gradcheck(run, tensors, check_forward_ad=True, atol=1e-7)
    assert gradgradcheck(run, tensors, fast_mode=True)


def test_jvp_equals_the_reverse_mode():
    """<v, J t> = <Jᵀ v, t>, to rounding."""
    function, tensors = small()
    tangents = tuple(torch.randn_like(x) for x in tensors)
    output, pushed = torch.func.jvp(function, tuple(x.detach() for x in tensors), tangents)
    v = torch.randn_like(output)
    pulled = torch.autograd.grad(function(*tensors), tensors, v)
    left = (v * pushed).sum()
    right = sum((g * t).sum() for g, t in zip(pulled, tangents, strict=True))
    assert_matches("inner product", left, right, steps=sum(x.numel() for x in tensors))


def test_vmap_over_weights_equals_a_loop():
    problem = random_problem()
    many = torch.stack([problem.w, problem.w.T, 2 * problem.w])

    def run(w):
        return lipschitz_scan(*problem.args[:3], w, *problem.args[4:], step_size=0.1, method="heun")

    expected = torch.stack([run(w) for w in many])
    assert_matches("vmap", torch.func.vmap(run)(many), expected)


def test_vmap_over_step_sizes_equals_a_loop():
    problem = random_problem()
    many = torch.rand(4, dtype=torch.float64)

    def run(e):
        return lipschitz_scan(*problem.args, step_size=e)

    assert_matches("vmap", torch.func.vmap(run)(many), torch.stack([run(e) for e in many]))


def test_per_sample_gradients_equal_a_loop():
    problem = random_problem()

    def loss(w, input, h0):
        states = lipschitz_scan(
            input.unsqueeze(1), h0.unsqueeze(0), problem.a, w, problem.u, problem.b, step_size=0.1
        )
        return states[-1].square().sum()

    gradient = torch.func.grad(loss)
    each = [gradient(problem.w, problem.input[:, n], problem.h0[n]) for n in range(3)]
    together = torch.func.vmap(gradient, in_dims=(None, 1, 0))(problem.w, problem.input, problem.h0)
    assert_matches("per-sample gradients", together, torch.stack(each))


def test_hessian_vector_products_agree_between_modes():
    problem = random_problem()

    def loss(w):
        return (
            lipschitz_scan(
                *problem.args[:3], w, *problem.args[4:], step_size=0.1, method="midpoint"
            )
            .square()
            .sum()
        )

    v = torch.randn_like(problem.w)
    forward_over_reverse = torch.func.jvp(torch.func.grad(loss), (problem.w,), (v,))[1]
    reverse_over_reverse = torch.autograd.functional.vhp(loss, problem.w, v)[1]
    assert_matches("hvp", forward_over_reverse, reverse_over_reverse, steps=problem.input.shape[0])
