r"""A driven, damped pendulum watched at irregular times: identification against simulated truth."""

from pathlib import Path

import numpy as np
import torch

from lipschitz_rnn.data.files import sha256
from lipschitz_rnn.data.sequence import SequenceDataset
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.split import Split
from lipschitz_rnn.data.synthetic import draw_parts, require_counts

GRAVITY = 9.81  # m/s^2
LENGTH = 1.0  # m
DAMPING = 0.3  # 1/s
MEAN_STEP = 0.1  # s, mean time between observations
_FINE = 16  # Runge-Kutta steps between two observations


def pendulum_field(state: np.ndarray, torque: np.ndarray) -> np.ndarray:
    r"""Right-hand side of the pendulum.

    .. math:: \ddot\theta = -\frac{g}{l} \sin\theta - d \, \dot\theta + u

    Args:
        state: Angle in rad and angular velocity in rad/s, shape ``(2, n)``.
        torque: u, torque by moment of inertia in 1/s^2, shape ``(n,)``.

    Returns:
        Time derivative of the state, shape ``(2, n)``.
    """
    angle, velocity = state
    return np.stack((velocity, -GRAVITY / LENGTH * np.sin(angle) - DAMPING * velocity + torque))


def simulate(start: np.ndarray, torque: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Integrate the pendulum by the classical Runge-Kutta method, torque held between times.

    Args:
        start: Shape ``(2, n)``.
        torque: Over each interval, shape ``(n, T)``, in 1/s^2.
        times: Length of each interval, shape ``(n, T)``, in s.

    Returns:
        States at the end of each interval, shape ``(n, T, 2)``.
    """
    state, states = start, []
    for held, length in zip(torque.T, times.T, strict=True):
        step = length / _FINE
        for _ in range(_FINE):
            k1 = pendulum_field(state, held)
            k2 = pendulum_field(state + step / 2 * k1, held)
            k3 = pendulum_field(state + step / 2 * k2, held)
            k4 = pendulum_field(state + step * k3, held)
            state = state + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(state.T)
    return np.stack(states, axis=1)


def load_pendulum(
    *,
    steps: int = 100,
    sample_count: int = 2_000,
    validation_size: int = 250,
    split_seed: int = 1234,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> Split:
    r"""System identification: from the torque alone to where the pendulum is.

    The pendulum starts at rest. The torque is piecewise constant, held over each interval; the
    intervals are irregular, between 0.2 and 1.8 times 0.1 s. The model reads the torque of an
    interval and is told the interval's length as ``dt``, in multiples of 0.1 s; it answers with
    :math:`\sin\theta`, :math:`\cos\theta` and :math:`\dot\theta` / 5 (1/s) at its end. The
    truth is the simulation, accurate to about 1e-9.

    Args:
        steps: T, intervals.
        sample_count: Trajectories for training; the validation and test parts come on top.
        validation_size: Trajectories for validation, and as many for the test.
        split_seed: Seed of torques and times; the three parts are drawn from unrelated streams.
        data_dir: Not looked at.
        report: Not called.

    Returns:
        The three parts.

    Raises:
        InputError: If a number is too small.
    """
    require_counts(
        "pendulum", steps=steps, sample_count=sample_count, validation_size=validation_size
    )
    train, validation, test = draw_parts(
        lambda count, seed: _draw(count, steps, seed), (sample_count, validation_size), split_seed
    )
    constant = train.target.mean((0, 1))
    mean = float((test.target - constant).square().mean())
    persistence = float((test.target[:, 1:] - test.target[:, :-1]).square().mean())
    return Split(
        name="pendulum",
        train=train,
        validation=validation,
        test=test,
        output_size=3,
        source="simulated from the seed",
        digest=_digest(train, validation, test),
        kind="frames",
        trivial={"mean": mean, "same as before (knows the truth)": persistence},
        notes={"units": "sin and cos of the angle; angular velocity by 5/s; times by 0.1 s"},
    )


def _digest(*parts: SequenceDataset) -> str:
    """Of what is drawn, and of what the states follow from: those differ in their last bits."""
    constants = np.array([GRAVITY, LENGTH, DAMPING, MEAN_STEP, _FINE])
    drawn = (tensor for part in parts for tensor in (part.values, part.dt) if tensor is not None)
    return sha256(constants.tobytes() + b"".join(tensor.numpy().tobytes() for tensor in drawn))


def _draw(count: int, steps: int, seed: int) -> SequenceDataset:
    random = np.random.Generator(np.random.PCG64(seed))
    # A level is held for several intervals, so that the pendulum has time to answer.
    level = random.uniform(-6, 6, (count, -(-steps // 8)))
    torque = np.repeat(level, 8, axis=1)[:, :steps]
    dt = random.uniform(0.2, 1.8, (count, steps))
    states = simulate(np.zeros((2, count)), torque, dt * MEAN_STEP)
    angle, velocity = states[..., 0], states[..., 1]
    target = np.stack((np.sin(angle), np.cos(angle), velocity / 5), -1)
    return SequenceDataset(
        torch.from_numpy(torque[..., None] / 6).float(),
        torch.from_numpy(target).float(),
        dt=torch.from_numpy(dt).float(),
    )
