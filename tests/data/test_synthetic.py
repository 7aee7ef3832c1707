import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import load_split
from lipschitz_rnn.data.pendulum import DAMPING, GRAVITY, LENGTH, MEAN_STEP, simulate
from lipschitz_rnn.data.synthetic import adding_problem, copying_problem


def test_adding_marks_one_number_in_either_half_and_asks_for_their_sum():
    values, target = adding_problem(200, 11, seed=3)
    numbers, markers = values.double().unbind(-1)
    assert values.shape == (200, 11, 2)
    assert set(markers.unique().tolist()) == {0.0, 1.0}
    assert (markers[:, :5].sum(1) == 1).all()
    assert (markers[:, 5:].sum(1) == 1).all()
    assert ((numbers >= 0) & (numbers < 1)).all()
    # two float32 numbers below 1, added: half a unit in the last place of 2
    torch.testing.assert_close((numbers * markers).sum(1), target[:, 0].double(), rtol=0, atol=2e-7)


def test_the_trivial_loss_of_adding_is_the_variance_of_the_sum():
    split = load_split("adding", steps=10, sample_count=10, validation_size=20_000)
    loss = float((split.test.target.double() - 1).square().mean())
    # Var((S - 1)^2) = E S4 - (1/6)^2 with E (x + y - 1)^4 = 1/15 for uniform x and y
    error = math.sqrt((1 / 15 - 1 / 36) / 20_000)
    assert split.trivial == {"mean": 1 / 6}
    assert abs(loss - 1 / 6) < 4 * error


def test_copying_shows_waits_and_asks_again():
    shown, wanted = copying_problem(50, 7, seed=1)
    assert shown.shape == (50, 27, 10)
    assert (shown.sum(-1) == 1).all()
    symbols = shown.argmax(-1)
    assert (symbols[:, :10] < 8).all()
    assert (symbols[:, 10:16] == 8).all()
    assert (symbols[:, 16] == 9).all()  # 7 steps after the last symbol
    assert (symbols[:, 17:] == 8).all()
    assert torch.equal(wanted[:, -10:], symbols[:, :10])
    assert (wanted[:, :17] == 8).all()


def test_the_trivial_loss_of_copying_is_that_of_a_model_without_memory():
    split = load_split("copying", steps=30, sample_count=4, validation_size=4)
    logits = torch.full((4, 50, 9), -50.0, dtype=torch.float64)
    logits[:, :-10, 8] = 50
    logits[:, -10:, :8] = 0
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), split.test.target.flatten())
    assert float(loss) == pytest.approx(split.trivial["memoryless"], rel=1e-12)


@pytest.mark.parametrize("name", ["adding", "copying", "pendulum"])
def test_parts_are_different_and_a_function_of_the_seed(name):
    small = {"steps": 20, "sample_count": 6, "validation_size": 6}
    one, same = load_split(name, **small), load_split(name, **small, split_seed=1234)
    other = load_split(name, **small, split_seed=1235)
    assert torch.equal(one.train.values, same.train.values)
    assert torch.equal(one.test.target, same.test.target)
    assert one.digest == same.digest != other.digest
    parts = [*(part.values for part in (one.train, one.validation, one.test)), other.train.values]
    assert all(not torch.equal(a, b) for i, a in enumerate(parts) for b in parts[:i])


@pytest.mark.parametrize("name", ["adding", "copying", "pendulum"])
@pytest.mark.parametrize("key", ["steps", "sample_count", "validation_size"])
def test_numbers_too_small_are_refused(name, key):
    with pytest.raises(InputError, match=f"{name}: expected `{key}` of at least"):
        load_split(name, **{key: 0})


def test_the_pendulum_is_what_scipy_says():
    random = np.random.default_rng(0)
    torque, times = random.uniform(-6, 6, (3, 12)), random.uniform(0.02, 0.18, (3, 12))
    got = simulate(np.zeros((2, 3)), torque, times)
    for trajectory in range(3):
        state = np.zeros(2)
        for k in range(12):
            held = torque[trajectory, k]

            def field(_, y, held=held):
                return [y[1], -GRAVITY / LENGTH * np.sin(y[0]) - DAMPING * y[1] + held]

            span = (0, times[trajectory, k])
            state = solve_ivp(field, span, state, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
            # RK4 with h <= 0.18/16 s: global error about T h^4 |f^(4)| / 120 < 1e-7
            np.testing.assert_allclose(got[trajectory, k], state, rtol=0, atol=1e-7)


def test_small_swings_follow_the_closed_form():
    """A constant small torque: theta(t) = u/w0^2 (1 - e^(-d t/2)(cos wt + d/(2w) sin wt))."""
    torque, times = np.full((1, 200), 1e-6), np.full((1, 200), 0.05)
    angle = simulate(np.zeros((2, 1)), torque, times)[0, :, 0]
    t, w0 = np.cumsum(times[0]), math.sqrt(GRAVITY / LENGTH)
    w = math.sqrt(w0**2 - DAMPING**2 / 4)
    decay = np.exp(-DAMPING * t / 2)
    exact = 1e-6 / w0**2 * (1 - decay * (np.cos(w * t) + DAMPING / (2 * w) * np.sin(w * t)))
    np.testing.assert_allclose(angle, exact, rtol=0, atol=1e-6 * 1e-6)


def test_the_pendulum_comes_with_irregular_times_and_its_truth():
    split = load_split("pendulum", steps=40, sample_count=5, validation_size=4)
    batch = split.train.batch(torch.arange(5))
    assert (batch.input.shape, batch.target.shape, batch.dt.shape) == (
        (5, 40, 1),
        (5, 40, 3),
        (5, 40),
    )
    assert ((batch.dt > 0.2 - 1e-6) & (batch.dt < 1.8 + 1e-6)).all()
    torque, times = batch.input[..., 0].double() * 6, batch.dt.double() * MEAN_STEP
    states = simulate(np.zeros((2, 5)), torque.numpy(), times.numpy())
    wanted = np.stack((np.sin(states[..., 0]), np.cos(states[..., 0]), states[..., 1] / 5), -1)
    np.testing.assert_allclose(batch.target, wanted, rtol=0, atol=1e-4)  # inputs in float32
    constant = split.train.target.double().mean((0, 1))
    mean = (split.test.target.double() - constant).square().mean()
    assert split.trivial["mean"] == pytest.approx(float(mean), rel=1e-5)


def test_the_pendulums_digest_names_its_laws_too(monkeypatch):
    small = {"steps": 5, "sample_count": 3, "validation_size": 2}
    before = load_split("pendulum", **small).digest
    assert load_split("pendulum", **small).digest == before
    monkeypatch.setattr("lipschitz_rnn.data.pendulum.DAMPING", 0.31)
    assert load_split("pendulum", **small).digest != before
