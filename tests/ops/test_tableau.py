"""Every method has the order it claims; every nonlinearity the slopes it claims."""

import math

import pytest
import torch
from closed_forms import random_problem

from lipschitz_rnn.ops import (
    NONLINEARITIES,
    TABLEAUX,
    ButcherTableau,
    explicit_step,
    lipschitz_scan,
)


@pytest.mark.parametrize("tableau", TABLEAUX.values(), ids=lambda t: t.name)
def test_order_of_accuracy(tableau):
    """The slope of log(error) over log(step) is the order, ± 0.2, on a nonlinear problem."""
    problem = random_problem(T=4)
    exact = lipschitz_scan(*problem.args, step_size=0.4, method="rk4", substeps=2000)[-1]
    counts = [8, 16, 32, 64]
    errors = [
        (lipschitz_scan(*problem.args, step_size=0.4, method=tableau, substeps=n)[-1] - exact)
        .norm()
        .item()
        for n in counts
    ]
    x = torch.log(torch.tensor([0.4 / n for n in counts], dtype=torch.float64))
    y = torch.log(torch.tensor(errors, dtype=torch.float64))
    slope = (((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()
    assert abs(slope - tableau.order) < 0.2, f"errors {errors}: slope {slope:.2f}"


@pytest.mark.parametrize("tableau", TABLEAUX.values(), ids=lambda t: t.name)
def test_tableau_is_consistent(tableau):
    assert math.isclose(sum(tableau.b), 1)
    assert tuple(sum(row) for row in ((), *tableau.a_lower)) == tableau.c


def test_own_tableau_is_accepted():
    """Ralston's method; its own order 2 is seen on dh/dt = -h, where one step is 1 - e + e²/2."""
    ralston = ButcherTableau("ralston", 2, ((2 / 3,),), (0.25, 0.75), (0.0, 2 / 3))
    got = explicit_step(ralston, lambda h: -h, torch.ones(1, dtype=torch.float64), 0.5)
    assert abs(got.item() - 0.625) < 1e-15


def test_misshapen_tableau_is_refused():
    with pytest.raises(ValueError, match=r"expected 2 weights and times and rows of length 1\.\.1"):
        ButcherTableau("bad", 2, (), (0.5, 0.5), (0.0, 1.0))


@pytest.mark.parametrize("item", NONLINEARITIES.values(), ids=lambda n: n.name)
def test_slopes_lie_in_the_sector_and_reach_its_ends(item):
    x = torch.linspace(-40, 40, 800_001, dtype=torch.float64)  # holds 0, ± near pi, far tails
    y = item.function(x)
    slopes = y.diff() / x.diff()
    rounding = 4e-16 * (1 + y.abs().max().item()) / 1e-4
    assert slopes.min() >= item.slope_min - rounding
    assert slopes.max() <= item.slope_max + rounding
    assert slopes.min() - item.slope_min < 1e-6
    assert item.slope_max - slopes.max() < 1e-6
    assert item.monotone == bool((y.diff() >= -1e-15 * y.abs().max()).all())
    assert item.lipschitz_constant == max(abs(item.slope_min), abs(item.slope_max))
