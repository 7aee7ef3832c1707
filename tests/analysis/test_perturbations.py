"""Random changes of values, steps and times: what they promise, counted."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matching import assert_matches

from lipschitz_rnn.analysis.perturbations import salt_and_pepper, white_noise
from lipschitz_rnn.analysis.step_perturbations import drop_steps, jitter_times, repeat_steps
from lipschitz_rnn.nn import LipschitzRNN

F64 = torch.float64
SIGMAS = 5.0  # of a statistic with a fixed seed: a right sampler fails with probability 6e-7


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(batch, steps, features=2):
    """Every number says of which sample, step and feature it is."""
    shape = batch, steps, features
    return torch.arange(math.prod(shape), dtype=F64).reshape(shape)


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("std", [0.1, 0.3])
def test_white_noise_has_its_mean_and_standard_deviation(std):
    clean = torch.rand(40, 50, 5, dtype=F64, generator=seeded(1))
    noise = white_noise(clean, std, seeded()).input - clean
    n = noise.numel()
    assert abs(noise.mean()) < SIGMAS * std / math.sqrt(n)
    # the variance of n normal numbers has the standard deviation σ² sqrt(2 / (n - 1))
    assert abs(noise.var() - std**2) < SIGMAS * std**2 * math.sqrt(2 / (n - 1))
    # and they are normal: a share erf(1/√2) within one standard deviation
    p = math.erf(math.sqrt(0.5))
    inside = (noise.abs() < std).double().mean()
    assert abs(inside - p) < SIGMAS * math.sqrt(p * (1 - p) / n)


def test_white_noise_leaves_the_range_unless_told_where_to_cut():
    clean = torch.zeros(10, 10, 10)
    free = white_noise(clean, 1.0, seeded()).input
    assert free.min() < -1
    assert free.max() > 1
    cut = white_noise(clean, 1.0, seeded(), low=-0.5, high=0.25).input
    assert torch.equal(cut, free.clamp(-0.5, 0.25))
    assert torch.equal(white_noise(clean, 1.0, seeded(), low=-0.5).input, free.clamp_min(-0.5))


@pytest.mark.parametrize("share", [0.03, 0.3])
def test_salt_and_pepper_replaces_its_share_by_either_end(share):
    clean = torch.full((200, 50, 10), 0.4, dtype=F64)
    low, high = -0.1, 1.1  # neither is a number of float32
    got = salt_and_pepper(clean, share, seeded(), low, high).input
    n = clean.numel()
    replaced = int((got != clean).sum())
    assert int((got == low).sum()) + int((got == high).sum()) == replaced
    assert abs(replaced - n * share) < SIGMAS * math.sqrt(n * share * (1 - share))
    assert abs(int((got == high).sum()) - replaced / 2) < SIGMAS * math.sqrt(replaced / 4)


def test_salt_and_pepper_at_its_ends():
    clean = torch.rand(3, 4, 5)
    assert torch.equal(salt_and_pepper(clean, 0.0, seeded(), 0.0, 1.0).input, clean)
    assert set(salt_and_pepper(clean, 1.0, seeded(), 0.0, 1.0).input.unique().tolist()) == {0, 1}


def test_stronger_changes_hold_the_weaker_ones_of_the_same_generator():
    """So that curves over the strength compare the same draws."""
    clean = torch.rand(5, 20, 2, dtype=F64)
    weak, strong = (salt_and_pepper(clean, s, seeded(), 0.0, 1.0).input for s in (0.2, 0.5))
    replaced = weak != clean
    assert torch.equal(strong[replaced], weak[replaced])
    x = numbered(5, 20)
    more, fewer = (drop_steps(x, s, seeded()).input for s in (0.2, 0.5))
    assert torch.isin(fewer, more).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, F64])
def test_values_keep_their_dtype_and_times(dtype):
    clean, dt = torch.rand(2, 3, 4).to(dtype), torch.ones(2, 3)
    for got in (
        white_noise(clean, 0.1, seeded(), dt=dt),
        salt_and_pepper(clean, 0.5, seeded(), 0.0, 1.0, dt=dt),
    ):
        assert got.input.dtype == dtype
        assert got.input.shape == clean.shape
        assert got.dt is dt


# -- steps -----------------------------------------------------------------------------------------

sizes = {"batch": st.integers(1, 4), "steps": st.integers(1, 12), "share": st.floats(0, 1)}


@given(**sizes, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_dropped_steps_are_counted_and_the_others_keep_their_order(batch, steps, share, seed):
    x = numbered(batch, steps)
    shorter = drop_steps(x, share, seeded(seed)).input
    left = max(1, steps - round(share * steps))
    assert shorter.shape == (batch, left, 2)
    for got, whole in zip(shorter, x, strict=True):
        rows = whole.tolist()
        places = [rows.index(row) for row in got.tolist()]  # fails for a row of another sample
        assert places == sorted(set(places))


@given(**sizes, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_repeated_steps_are_counted_and_follow_themselves(batch, steps, share, seed):
    x = numbered(batch, steps)
    longer = repeat_steps(x, share, seeded(seed)).input
    count = round(share * steps)
    assert longer.shape == (batch, steps + count, 2)
    for got, whole in zip(longer, x, strict=True):
        unique, counts = got.unique_consecutive(dim=0, return_counts=True)
        assert torch.equal(unique, whole)
        assert sorted(counts.tolist()) == [1] * (steps - count) + [2] * count


@pytest.mark.parametrize("change", [drop_steps, repeat_steps])
def test_every_step_is_as_likely_as_any_other(change):
    batch, steps, share = 4000, 5, 0.4
    x = torch.arange(steps).expand(batch, steps)  # symbols
    got = change(x, share, seeded()).input
    counts = got.flatten().bincount(minlength=steps).double() / batch
    mean = 1 - share if change is drop_steps else 1 + share
    assert (counts - mean).abs().max() < SIGMAS * math.sqrt(share * (1 - share) / batch)


@pytest.mark.parametrize("change", [drop_steps, repeat_steps, jitter_times])
def test_time_first_is_the_same_with_other_axes(change):
    x, dt = numbered(3, 7), 1 + torch.rand(3, 7, dtype=F64)
    first = change(x, 0.4, seeded(), dt=dt)
    other = change(x.transpose(0, 1), 0.4, seeded(), dt=dt.mT, batch_first=False)
    assert torch.equal(other.input.transpose(0, 1), first.input)
    assert torch.equal(other.dt.mT, first.dt)


def test_steps_take_their_times_along():
    x = numbered(3, 8, 1)
    dt = x.squeeze(-1) + 1
    for change in (drop_steps, repeat_steps):
        got = change(x, 0.5, seeded(), dt=dt)
        assert torch.equal(got.dt, got.input.squeeze(-1) + 1)
        assert change(x, 0.5, seeded()).dt is None
        assert change(x, 0.5, seeded(), dt=2.0).dt == 2.0
    by_step = drop_steps(x, 0.5, seeded(), dt=dt[0])
    assert torch.equal(by_step.dt, by_step.input.squeeze(-1) % 8 + 1)


@given(**sizes, seed=st.integers(0, 99), whole=st.booleans())
@settings(max_examples=40, deadline=None)
def test_held_steps_keep_the_total_time_to_their_place(batch, steps, share, seed, whole):
    x = numbered(batch, steps, 1)
    dt = torch.randint(1, 9, (batch, steps), generator=seeded(seed + 1)).double()
    got = drop_steps(x, share, seeded(seed), dt=dt if whole else None, hold=True)
    if not whole:
        dt = torch.ones(batch, steps, dtype=F64)
    assert torch.equal(got.dt.sum(1), dt.sum(1))  # integers: no rounding
    # a step starts where all steps before it end, whether they stayed or not
    place = (got.input.squeeze(-1) - x[:, :1, 0]).long()
    starts = (dt.cumsum(1) - dt).gather(1, place)
    assert torch.equal(got.dt.cumsum(1)[:, :-1], starts[:, 1:])


def integrator(**options):
    """h' = U x + b: its state is the integral of what it reads."""
    layer = LipschitzRNN(
        2, 3, alpha=0.0, gamma=0.0, init_std=0.0, nonlinearity="identity", dtype=F64, **options
    )
    assert not layer.weight_hh_l0.any()
    return layer.requires_grad_(False)


def test_a_unit_that_integrates_is_told_of_the_missing_time():
    """h_T = ε Σ dt_t (U x_t + b), whichever steps are missing."""
    layer = integrator(batch_first=True, step_size=0.1)
    x = torch.randn(4, 10, 2, dtype=F64)
    held = drop_steps(x, 0.5, seeded(), hold=True)
    h = layer(held.input, dt=held.dt)[1][0]
    expected = 0.1 * (held.dt[..., None] * (held.input @ layer.weight_ih_l0.mT + layer.bias_l0))
    assert_matches("state", h, expected.sum(1), steps=10)


def test_a_constant_input_is_not_missed_where_it_is_held():
    layer = integrator(batch_first=True, step_size=0.1)
    x = torch.randn(4, 1, 2, dtype=F64).expand(4, 10, 2)
    whole = layer(x)[1][0]
    held = drop_steps(x, 0.3, seeded(), hold=True)
    assert_matches("held", layer(held.input, dt=held.dt)[1][0], whole, steps=10)
    # and without being told, the unit has seen 7 steps of 10
    assert_matches("lost", layer(drop_steps(x, 0.3, seeded()).input)[1][0], 0.7 * whole, steps=10)


# -- times -----------------------------------------------------------------------------------------


@given(**sizes, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_jittered_times_are_positive_and_keep_the_total(batch, steps, share, seed):
    strength = min(share, 0.999)
    x = numbered(batch, steps)
    got = jitter_times(x, strength, seeded(seed))
    assert got.input is x
    assert got.dt.shape == (batch, steps)
    assert got.dt.min() > 0
    assert got.dt.min() >= 1 - strength
    eps = torch.finfo(F64).eps
    assert (got.dt.sum(1) - steps).abs().max() <= 2 * steps**2 * eps
    inner = got.dt.cumsum(1)[:, :-1]  # each time within half the strength of its place
    place = torch.arange(1, steps, dtype=F64)
    assert ((inner - place).abs() <= strength / 2 + 2 * steps**2 * eps).all()


def test_jittered_times_are_uniform_around_their_place():
    strength, n = 0.8, 20000
    got = jitter_times(torch.zeros(n, 2, 1, dtype=F64), strength, seeded())
    moved = got.dt[:, 0] - 1
    # of u in (-1/2, 1/2): variance 1/12, and of u²: 1/80 - 1/144 = 1/180
    assert abs(moved.mean()) < SIGMAS * strength / math.sqrt(12 * n)
    assert abs(moved.square().mean() - strength**2 / 12) < SIGMAS * strength**2 / math.sqrt(180 * n)


def test_jitter_multiplies_the_times_of_the_data():
    x, dt = numbered(3, 5), 1 + torch.rand(3, 5, dtype=F64)
    alone = jitter_times(x, 0.5, seeded()).dt
    assert torch.equal(jitter_times(x, 0.5, seeded(), dt=dt).dt, dt * alone)
    assert torch.equal(jitter_times(x, 0.5, seeded(), dt=2.0).dt, 2 * alone)
    assert torch.equal(jitter_times(x, 0.0, seeded(), dt=dt).dt, dt)


def test_times_of_symbols_and_of_half_precision_are_floating():
    assert (
        jitter_times(torch.zeros(2, 3, dtype=torch.long), 0.5, seeded()).dt.dtype == torch.float32
    )
    assert jitter_times(torch.zeros(2, 3, 1).half(), 0.5, seeded()).dt.dtype == torch.float32


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x, g: white_noise(x, -0.1, g), ValueError, "`std` >= 0"),
        (lambda x, g: white_noise(x.long(), 0.1, g), TypeError, "floating-point `input`"),
        (lambda x, g: salt_and_pepper(x, 1.5, g, 0, 1), ValueError, "0 <= `share` <= 1"),
        (lambda x, g: salt_and_pepper(x, 0.5, g, 1, 0), ValueError, "`low` <= 0"),
        (lambda x, g: salt_and_pepper(x.long(), 0.5, g, 0, 1), TypeError, "floating-point"),
        (lambda x, g: drop_steps(x, -0.1, g), ValueError, "0 <= `share` <= 1"),
        (lambda x, g: drop_steps(x[:, :0], 0.1, g), ValueError, "at least one step"),
        (lambda x, g: repeat_steps(x[0, 0], 0.1, g), ValueError, r"shape \(B, T, ...\)"),
        (lambda x, g: drop_steps(x, 0.1, g, dt=torch.ones(3)), ValueError, r"\(T,\) = \(4,\)"),
        (lambda x, g: drop_steps(x, 0.1, g, dt=torch.ones(4, 2)), ValueError, r"\(B, T\)"),
        (lambda x, g: jitter_times(x, 1.0, g), ValueError, "0 <= `strength` < 1"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.rand(2, 4, 3), seeded())
