"""The theorem's conditions: closed forms, trajectories, and the counterexample to condition (b)."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn.analysis.conditions import check_conditions
from lipschitz_rnn.analysis.step_sizes import field_jacobian
from lipschitz_rnn.nn import LipschitzRNN
from lipschitz_rnn.ops import NONLINEARITIES, RK4, explicit_step, lipschitz_field


def double(rows):
    return torch.tensor(rows, dtype=torch.float64)


# Meets (b) as commonly stated, and has an unstable equilibrium under a suitable bias.
A = double([[-1.88, -2.92, -0.41], [-1.84, -3.23, 0.11], [1.15, 0.95, -0.22]])
W = double([[-5.1, -6.8, -22.2], [1.5, -2.3, 21.2], [25.5, -20.2, -4.7]])


def unstable_equilibrium():
    """(h*, z*, bias) with slopes 0.001, 0.99, 0.001 of tanh."""
    z = torch.atanh((1 - double([0.001, 0.99, 0.001])).sqrt())
    h = -torch.linalg.solve(A, torch.tanh(z))
    return h, z, z - W @ h


def generator_of(seed):
    g = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)


def distances(a, w, draw, step_size, steps, name, metric):
    """How far two solutions are apart, under RK4 and an input that changes with every step."""
    n = len(w)
    u, b = draw(n, 2), draw(n)
    pair = 3 * draw(2, n)
    result = []
    for _ in range(steps + 1):
        apart = pair[0] - pair[1]
        result.append((apart @ metric @ apart).sqrt().item())
        x = draw(1, 2).expand(2, 2)
        field = lambda h: lipschitz_field(x, h, a, w, u, b, nonlinearity=name)  # noqa: B023, E731
        pair = explicit_step(RK4, field, pair, step_size)
    return result


def assert_contracts(a, w, rate, name, metric, draw):
    # The local error of RK4 is of fifth order in ε K, its constant far below 1 for these fields; in
    # the metric it may weigh more by the root of the metric's condition number.
    bound = a.norm().item() + NONLINEARITIES[name].lipschitz_constant * w.norm().item()
    step_size = 0.02 / bound
    local = 0.02**5 * torch.linalg.cond(metric).item() ** 0.5
    found = distances(a, w, draw, step_size, 100, name, metric)
    factor = math.exp(-rate * step_size) + local
    for before, after in itertools.pairwise(found):
        assert after <= factor * before + 1e-14  # rounding of states of size about 3


@given(
    n=st.integers(1, 8),
    seed=st.integers(0, 999),
    rate=st.floats(0.01, 3),
    name=st.sampled_from(
        ["tanh", "sigmoid", "softplus", "sine", "identity"]
    ),  # smooth: RK4's order
)
@settings(max_examples=25, deadline=None)
def test_condition_a_means_contraction_at_its_rate(n, seed, rate, name):
    draw = generator_of(seed)
    a, w = draw(n, n), draw(n, n)
    missing = check_conditions(a, w, nonlinearity=name).a.quantities["gamma_a_increase"]
    a = a - (missing + rate) * torch.eye(n, dtype=a.dtype)
    found = check_conditions(a, w, nonlinearity=name)
    assert found.a.holds
    assert found.certifies
    assert found.a.rate >= rate - 1e-12
    assert_contracts(a, w, found.a.rate, name, torch.eye(n, dtype=a.dtype), draw)


@given(
    n=st.integers(1, 6),
    seed=st.integers(0, 999),
    name=st.sampled_from(["tanh", "sigmoid", "softplus", "identity"]),
)
@settings(max_examples=25, deadline=None)
def test_corrected_condition_b_means_contraction_in_the_metric(n, seed, name):
    """A = W⁻¹(Q/2 + S) with Q > 0 and S skew gives A'W + WA = Q for any symmetric W."""
    draw = generator_of(seed)
    eye = torch.eye(n, dtype=torch.float64)
    root, other, m = draw(n, n), draw(n, n), draw(n, n)
    w = -(root @ root.mT + eye)
    w = (w + w.mT) / 2  # symmetric to the last bit
    a = torch.linalg.solve(w, (other @ other.mT + eye) / 2 + (m - m.mT))
    found = check_conditions(a, w, nonlinearity=name)
    assert found.b_corrected.holds
    assert found.b_corrected.rate > 0
    assert_contracts(a, w, found.b_corrected.rate, name, -w, draw)


@pytest.mark.parametrize("weight", [0.5, 1.5])
def test_rate_of_a_is_attained(weight):
    """A = -2I, W = wI, σ = identity: every distance falls as exp((w - 2) t)."""
    eye = torch.eye(3, dtype=torch.float64)
    condition = check_conditions(-2 * eye, weight * eye, nonlinearity="identity").a
    assert abs(condition.rate - (2 - weight)) < 1e-14
    found = distances(-2 * eye, weight * eye, generator_of(0), 0.01, 50, "identity", eye)
    attained = -math.log(found[-1] / found[0]) / 0.5
    assert abs(attained - condition.rate) < 0.01**4  # the order of RK4, at ε K of about 0.01


def test_rate_of_the_corrected_b_is_attained():
    """A = -I, W = -I where σ is flat: distances fall as exp(-t), and the rate is 2 / (2 · 1)."""
    eye = torch.eye(2)
    condition = check_conditions(-eye, -eye).b_corrected
    assert condition.holds
    assert condition.rate == 1


def test_the_lipschitz_constant_of_the_nonlinearity_counts():
    """The slopes of the logistic sigmoid are at most 1/4."""
    a, w = -torch.eye(2), 2 * torch.eye(2)
    assert check_conditions(a, w, nonlinearity="sigmoid").a.rate == 0.5
    assert not check_conditions(a, w, nonlinearity="tanh").a.holds


def test_a_is_not_fooled_by_the_sign():
    """A = +I has σ_min(sym A) = 1 > σ_max(W), as the literal reading asks."""
    condition = check_conditions(torch.eye(2), 0.5 * torch.eye(2)).a
    assert not condition.holds
    assert condition.rate is None
    assert condition.quantities["margin"] == -1.5


def test_a_does_not_need_w_to_be_invertible():
    assert check_conditions(-torch.eye(2), torch.zeros(2, 2)).a.holds


def test_a_names_what_must_fall_and_no_parameter():
    """A is as it acts, times α: what γ_A must be raised by is not known here."""
    reason = check_conditions(-torch.eye(2), 3 * torch.eye(2)).a.reason
    assert reason == "misses by 2: the largest eigenvalue of sym A must fall by more than that"
    assert "gamma" not in check_conditions(-torch.eye(2), torch.eye(2)).a.reason


@pytest.mark.parametrize("extra", [-1e-9, 1e-9])
def test_gamma_a_increase_is_where_a_begins_to_hold(extra):
    a, w = torch.randn(5, 5, dtype=torch.float64), torch.randn(5, 5, dtype=torch.float64)
    needed = check_conditions(a, w).a.quantities["gamma_a_increase"]
    assert needed > 0
    raised = a - (needed + extra) * torch.eye(5, dtype=a.dtype)
    assert check_conditions(raised, w).a.holds == (extra > 0)


def test_no_linear_term_is_a_zero_matrix():
    w = -torch.eye(2)
    assert check_conditions(None, w) == check_conditions(torch.zeros(2, 2), w)
    assert not check_conditions(None, w).certifies


def test_symmetry_is_asked_of_the_stored_numbers():
    w = -torch.eye(2)
    w[0, 1] = 1e-30
    condition = check_conditions(-torch.eye(2), w).b_corrected
    assert not condition.holds
    assert condition.reason == "W is not symmetric (entries differ by up to 1e-30)"


def test_both_forms_of_b_ask_for_a_monotone_nonlinearity():
    found = check_conditions(-torch.eye(2), -torch.eye(2), nonlinearity="sine")
    for condition in (found.b, found.b_corrected):
        assert condition.reason == "sine is not monotone"
        assert not condition.holds


def test_condition_b_holds_for_the_counterexample_and_certifies_nothing():
    found = check_conditions(A, W)
    assert [(c.name, c.holds, c.certifies) for c in found] == [
        ("a", False, False),
        ("b'", False, False),
        ("b", True, False),
    ]
    assert found.b.rate is None
    assert not found.certifies
    # to the digits printed in the documentation
    assert abs(found.b.quantities["log_norm_a"] + 0.072) < 5e-4
    assert abs(found.b.quantities["lambda_max_w_plus_wt"] + 1.31) < 5e-3
    assert abs(found.b.quantities["lambda_min_coupling"] - 4.49) < 5e-3
    assert abs(torch.linalg.det(W).item() + 6593) < 1


def test_condition_b_never_certifies_even_where_the_corrected_one_does():
    found = check_conditions(-torch.eye(2), -torch.eye(2))
    assert found.b_corrected.certifies
    assert found.b.holds
    assert not found.b.certifies


def test_the_counterexample_leaves_its_equilibrium():
    h, z, bias = unstable_equilibrium()
    values = torch.linalg.eigvals(field_jacobian(A, W, z))
    fastest = values[values.real.argmax()]
    assert abs(fastest.real.item() - 0.698) < 5e-4
    assert abs(abs(fastest.imag.item()) - 1.998) < 5e-4

    def field(state):
        return state @ A.mT + torch.tanh(state @ W.mT + bias)

    assert field(h).norm().item() < 1e-13
    state, found = h + 1e-4 / 3**0.5, []
    for _ in range(4000):  # to t = 40
        state = explicit_step(RK4, field, state, 0.01)
        found.append((state - h).norm().item())
    # it reaches the limit cycle, and neither returns nor escapes: 0.12 to 0.71, to the digits known
    cycle = found[2500:]
    assert abs(min(cycle) - 0.12) < 0.01
    assert abs(max(cycle) - 0.71) < 0.01


def test_published_default_misses_a_at_initialisation():
    """N = 128, β = 0.75, γ = 0.001: log norm 0.0052, |W| 0.0193, on the mean of five draws."""
    found = []
    for seed in range(5):
        torch.manual_seed(seed)
        rnn = LipschitzRNN(1, 128, beta=0.75, gamma=0.001)
        condition = check_conditions(rnn.weight_a_l0, rnn.weight_hh_l0).a
        assert not condition.holds
        assert "misses by 0.02" in condition.reason
        found.append(double([condition.quantities[k] for k in ("log_norm_a", "sigma_max_w")]))
    damping, largest = torch.stack(found).mean(0).tolist()
    # Extreme eigenvalues of random symmetric matrices spread by N^(-2/3), relative, about 4 %; the
    # mean of five by half of it. Four of those.
    assert abs(damping - 0.0052) < 0.08 * 0.0062  # before γ is taken off
    assert abs(largest - 0.0193) < 0.08 * 0.0193
    # γ_A would have to be about 0.026
    assert abs(0.001 + damping + largest - 0.0255) < 0.08 * 0.0255


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_precisions(dtype):
    found = check_conditions(-2 * torch.eye(2, dtype=dtype), torch.eye(2, dtype=dtype))
    assert found.a.rate == 1


@pytest.mark.parametrize(
    ("a", "w", "expected"),
    [
        (torch.eye(2), torch.ones(2, 3), "a square matrix `w`"),
        (torch.eye(3), torch.eye(2), r"`a` of shape \(H, H\)"),
        (torch.full((2, 2), math.nan), torch.eye(2), "finite numbers in `a`, got 4"),
    ],
)
def test_bad_values_are_named(a, w, expected):
    with pytest.raises(ValueError, match=f"check_conditions: expected {expected}"):
        check_conditions(a, w)


def test_unknown_nonlinearity():
    with pytest.raises(ValueError, match="Did you mean 'tanh'"):
        check_conditions(None, torch.eye(2), nonlinearity="tanhh")
