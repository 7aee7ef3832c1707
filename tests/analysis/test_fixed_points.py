"""States of rest that are known, and how stable they are."""

import math

import pytest
import torch
from scipy.optimize import brentq
from torch import nn

from lipschitz_rnn.analysis.fixed_points import find_fixed_points
from lipschitz_rnn.analysis.units import cell_of, layer_cells
from lipschitz_rnn.nn import CoRNNCell, LipschitzRNN, LipschitzRNNCell

F64 = torch.float64
EPS = torch.finfo(F64).eps
ONE = torch.eye(1, dtype=F64)
NOTHING = torch.zeros(1, dtype=F64)
REST = brentq(lambda h: h - math.tanh(2 * h), 0.5, 1, xtol=1e-15)  # 0.9575...


def test_a_scalar_unit_has_three():
    """h' = -h + tanh(2 h): slope -1 + 2 (1 - h*²) at rest, 1 at zero."""
    found = find_fixed_points(cell_of(-ONE, 2 * ONE, step_size=0.1), NOTHING)
    assert abs(REST - 0.9575) < 5e-5
    points = sorted(found.points, key=lambda point: float(point.state))
    slope = -1 + 2 * (1 - REST**2)
    for point, state, rate in zip(points, (-REST, 0, REST), (slope, 1, slope), strict=True):
        assert abs(float(point.state) - state) < 1e-10 / abs(rate) + 1e-15
        assert point.residual <= found.tolerance
        assert abs(point.spectral_abscissa - rate) < 1e-9
        assert point.stable == (rate < 0)
        assert abs(point.spectral_radius - abs(1 + 0.1 * rate)) < 1e-9
        assert point.stable_in_steps == (rate < 0)
    assert found.equation == "field"
    assert sum(point.starts for point in found.points) + found.failed == found.starts == 66


def test_a_stable_point_can_be_lost_by_a_long_step():
    """|1 + ε f'| > 1 for ε f' < -2, here ε = 3 and f' = -0.83."""
    found = find_fixed_points(cell_of(-ONE, 2 * ONE, step_size=3.0), NOTHING)
    outer = [point for point in found.points if abs(float(point.state)) > 0.5]
    assert len(outer) == 2
    for point in outer:
        assert point.stable
        assert not point.stable_in_steps


def test_a_linear_unit_rests_where_it_must():
    torch.manual_seed(1)
    a = torch.randn(5, 5, dtype=F64) - 4 * torch.eye(5, dtype=F64)
    u, b, x = torch.randn(5, 2, dtype=F64), torch.randn(5, dtype=F64), torch.randn(2, dtype=F64)
    zero = torch.zeros(5, 5, dtype=F64)
    unit = cell_of(a, zero, u, b, step_size=0.01, nonlinearity="identity")
    found = find_fixed_points(unit, x)
    (point,) = found.points
    expected = -torch.linalg.solve(a, u @ x + b)
    assert (point.state - expected).norm() < 100 * EPS * torch.linalg.cond(a) * expected.norm()
    assert (found.failed, point.starts) == (0, 66)
    eigenvalues = torch.linalg.eigvals(a)
    assert abs(point.spectral_abscissa - eigenvalues.real.max()) < 1e-12
    assert abs(point.spectral_radius - (1 + 0.01 * eigenvalues).abs().max()) < 1e-12
    assert abs(point.condition / torch.linalg.cond(a) - 1) < 1e-10
    assert point.eigenvalues.shape == point.step_eigenvalues.shape == (5,)


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_a_contracting_unit_has_exactly_one(method):
    """A^sym = -2 I and ‖W‖ = 1: two solutions approach each other at least like exp(-t)."""
    torch.manual_seed(2)
    skew = torch.randn(6, 6)
    w = torch.randn(6, 6)
    layer = LipschitzRNN(2, 6, step_size=0.02, method=method, beta=0.6, gamma=0.5)
    layer.weight_a_l0 = skew - skew.T - 2 * torch.eye(6)
    layer.weight_hh_l0 = w / torch.linalg.matrix_norm(w, 2)
    found = find_fixed_points(layer, torch.tensor([1.0, -2.0]), starts=40)
    (point,) = found.points
    assert found.failed == 0
    assert point.stable
    assert point.spectral_abscissa <= -1 + 1e-6  # the weights are rounded to float32
    assert point.stable_in_steps


def test_the_counterexample_of_the_theory_is_unstable():
    """Condition (b) of the theorem as commonly stated holds, and yet h* repels."""
    a = torch.tensor([[-1.88, -2.92, -0.41], [-1.84, -3.23, 0.11], [1.15, 0.95, -0.22]]).double()
    w = torch.tensor([[-5.1, -6.8, -22.2], [1.5, -2.3, 21.2], [25.5, -20.2, -4.7]]).double()
    slopes = torch.tensor([0.001, 0.99, 0.001], dtype=F64)
    z = torch.atanh((1 - slopes).sqrt())
    rest = -torch.linalg.solve(a, z.tanh())
    unit = cell_of(a, w, b=z - w @ rest, step_size=0.01)
    found = find_fixed_points(unit, NOTHING)
    nearest = min(found.points, key=lambda point: float((point.state - rest).norm()))
    assert (nearest.state - rest).norm() < 1e-9
    assert not nearest.stable
    assert not nearest.stable_in_steps
    expected = torch.linalg.eigvals(a + slopes[:, None] * w)
    assert abs(nearest.spectral_abscissa - expected.real.max()) < 1e-6
    assert abs(nearest.spectral_abscissa - 0.698) < 1e-3
    assert abs(abs(nearest.eigenvalues[0].imag) - 1.998) < 1e-3


def test_a_map_is_asked_where_it_maps_to_itself():
    """h = tanh(W h), W = diag(2, 1/2): the same three states, but the derivative is the map's."""
    cell = nn.RNNCell(1, 2, bias=False)
    with torch.no_grad():
        cell.weight_hh.copy_(torch.diag(torch.tensor([2.0, 0.5])))
    found = find_fixed_points(cell, NOTHING)
    assert found.equation == "map"
    points = sorted(found.points, key=lambda point: float(point.state[0]))
    assert [float(p.state[0]) for p in points] == pytest.approx([-REST, 0, REST], abs=1e-9)
    for point in points:
        factor = 2 * (1 - float(point.state[0]) ** 2)
        assert abs(float(point.state[1])) < 1e-9
        assert abs(point.spectral_radius - max(factor, 0.5)) < 1e-9
        assert point.stable_in_steps == (factor < 1)
        slopes = abs(factor - 1), 0.5  # of what is zero at rest
        assert abs(point.condition - max(slopes) / min(slopes)) < 1e-8
        assert point.eigenvalues is None
        assert point.stable is None


def test_a_state_of_two_parts():
    """CoRNN rests with velocity z = 0 and γ y = tanh(W y + b); here W = 0, b = 1."""
    cell = CoRNNCell(1, 2, gamma=2.0, epsilon=3.0)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.bias.fill_(1.0)
    (point,) = find_fixed_points(cell, NOTHING, starts=8).points
    expected = torch.tensor([math.tanh(1) / 2, math.tanh(1) / 2, 0, 0], dtype=F64)
    assert (point.state - expected).abs().max() < 1e-12
    assert abs(point.spectral_abscissa + 1) < 1e-7  # s² + 3 s + 2 = 0: -1 and -2, twice each
    assert point.stable


def test_a_point_of_a_line_shows_in_its_condition():
    """A = diag(-1, 0): every (0, y) is at rest, and none of them is isolated or stable."""
    a = torch.diag(torch.tensor([-1.0, 0.0], dtype=F64))
    found = find_fixed_points(cell_of(a, 0 * a, step_size=0.1), NOTHING, starts=5)
    assert len(found.points) > 1
    for point in found.points:
        assert abs(float(point.state[0])) <= found.tolerance
        assert point.condition > 1e15
        assert not point.stable


def test_a_centre_is_not_called_stable():
    """Eigenvalues ±i, whose computed real parts may be a rounding below zero."""
    torch.manual_seed(4)
    m = torch.randn(6, 6, dtype=F64)
    unit = cell_of(m - m.T, 0 * m, step_size=0.1)
    (point,) = find_fixed_points(unit, NOTHING, starts=4).points
    assert not point.stable
    assert point.spectral_radius > 1  # Euler: |1 + iεω|


def test_nothing_is_found_where_nothing_rests():
    zero = 0 * ONE
    unit = cell_of(zero, zero, b=torch.ones(1, dtype=F64), step_size=0.1, nonlinearity="identity")
    found = find_fixed_points(unit, NOTHING, starts=5)
    assert found.points == ()
    assert found.failed == found.starts == 7
    assert found.evaluations > 0


def test_starts_are_reproducible_and_their_spread_can_be_chosen():
    unit = layer_cells(LipschitzRNNCell(1, 4, init_std=20.0), dtype=F64)[0]
    first, again, other = (find_fixed_points(unit, NOTHING, starts=6, seed=s) for s in (1, 1, 2))
    for one, two in zip(first.points, again.points, strict=True):
        assert torch.equal(one.state, two.state)
    assert first.evaluations != other.evaluations
    assert find_fixed_points(unit, NOTHING, starts=1, radius=3.0).radius == 3.0


def test_what_is_refused():
    with pytest.raises(TypeError, match="find_fixed_points: expected a unit in float64"):
        find_fixed_points(cell_of(None, torch.eye(1), step_size=0.1), NOTHING)
    unit = cell_of(None, ONE, step_size=0.1)
    with pytest.raises(ValueError, match=r"expected `input` of shape \(P,\) = \(1,\)"):
        find_fixed_points(unit, torch.zeros(2))
    with pytest.raises(ValueError, match=r"expected `starts` >= 1"):
        find_fixed_points(unit, NOTHING, starts=0)
    with pytest.raises(ValueError, match=r"expected a finite `tolerance` > 0"):
        find_fixed_points(unit, NOTHING, tolerance=0.0)
