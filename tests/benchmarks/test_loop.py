"""The fixed loop computes what the op computes, or its speed would mean nothing."""

import pytest
import torch
from closed_forms import random_problem
from matching import assert_matches

from lipschitz_rnn.benchmarks import Shape, find_shape
from lipschitz_rnn.benchmarks.candidates import LABELS, SAME_UNIT, build, make_problem, why_missing
from lipschitz_rnn.benchmarks.loop import loop
from lipschitz_rnn.ops import lipschitz_scan


def test_the_loop_is_the_recurrence():
    problem = random_problem(T=20)
    leaves = [x.requires_grad_() for x in problem.args]
    last, states = loop(*leaves, 0.1)
    expected = lipschitz_scan(*leaves, step_size=0.1, backend="reference")
    assert_matches("states", states, expected, steps=20)
    assert torch.equal(last, states[-1])
    got, wanted = (torch.autograd.grad(x.square().sum(), leaves) for x in (states, expected))
    for x, y in zip(got, wanted, strict=True):
        assert_matches("gradient", x, y, steps=20)
    assert loop(*leaves, 0.1, keep_states=False)[1] is None


@pytest.mark.parametrize("name", [name for name in LABELS if why_missing(name) is None])
def test_every_candidate_computes_states_and_gradients(name):
    shape = Shape(3, 5, 4, 2)
    problem = make_problem(shape, torch.Generator().manual_seed(0))
    candidate = build(name, problem)
    last, gradients = candidate.forward(), candidate.training()
    assert tuple(last.shape) == (3, 4)
    assert len(gradients) >= 5
    if name in SAME_UNIT:
        reference = build("loop", problem)
        for x, y in zip(
            (last, *gradients), (reference.forward(), *reference.training()), strict=True
        ):
            assert_matches(name, torch.as_tensor(x), y, steps=5)


def test_operations_of_a_case_counted_by_hand():
    """B = 2, T = 3, N = 4, P = 5: 6 rows; A h and W h are 2 · 16 pairs, U x is 4 · 5 pairs."""
    shape = find_shape("2x3x4x5")
    assert shape.operations("forward") == 6 * 2 * (2 * 16 + 4 * 5)
    assert shape.operations("training") == 3 * shape.operations("forward")
