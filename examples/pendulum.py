"""Learn how a pendulum moves from its angle alone, seen at irregular times.

Looks at the pendulum are 0.02 to 0.18 s apart. The network reads the angle, the torque and, as
`dt`, how long it is until the next look, and adds to a straight line what it finds is missing.
What is to be seen: on new trajectories its errors are far below those of "as it was" and of the
straight line, and a twin that is trained alike but not told the times stays behind.
Some twenty seconds on one core; with --quick a few.
"""

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor

from lipschitz_rnn import LipschitzRNN, SequenceRegressor
from lipschitz_rnn.data import SequenceDataset, load_split


def looks(part: SequenceDataset) -> tuple[Tensor, Tensor, Tensor]:
    """What is read, how long it is held, what comes next: sine and cosine of the angle."""
    after = part.target[:, :, :2]
    start = torch.tensor([0.0, 1.0]).expand(len(part), 1, 2)  # at rest, hanging down
    return torch.cat((part.values, torch.cat((start, after[:, :-1]), 1)), -1), part.dt, after


class NextLook(torch.nn.Module):
    """The angle at the next look: a straight line, and what a recurrent network adds."""

    def __init__(self) -> None:
        super().__init__()
        unit = {"step_size": 1.0, "method": "midpoint", "beta": 0.5, "gamma": 0.5}  # 0.1 s a step
        rnn = LipschitzRNN(3, 48, batch_first=True, **unit)
        self.change = SequenceRegressor(rnn, output_size=2, every_step=True)

    def forward(self, input: Tensor, dt: Tensor) -> Tensor:
        """Answers after every step, (B, T, 2), each for the end of its interval."""
        line = straight_on(input, dt)
        return torch.stack((line.sin(), line.cos()), -1) + self.change(input, dt=dt)


def train(parts: tuple[Tensor, Tensor, Tensor], epochs: int) -> NextLook:
    """Learn from what is read, the times, and what came next."""
    torch.manual_seed(0)
    model, batch = NextLook(), 20
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    updates = epochs * (len(parts[0]) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=updates)
    for _ in range(epochs):
        for rows in torch.randperm(len(parts[0])).split(batch):
            input, dt, target = (part[rows] for part in parts)
            loss = (model(input, dt) - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return model.requires_grad_(False).eval()


def angle(pair: Tensor) -> Tensor:
    """In rad, from sine and cosine."""
    return torch.atan2(pair[..., 0], pair[..., 1])


def apart(one: Tensor, other: Tensor) -> Tensor:
    """Difference of two angles, the short way round."""
    return torch.remainder(one - other + torch.pi, 2 * torch.pi) - torch.pi


def straight_on(input: Tensor, dt: Tensor) -> Tensor:
    """Angles if the velocity stays what it was between the last two looks."""
    seen = angle(input[:, :, 1:])
    moved = torch.cat((torch.zeros_like(seen[:, :1]), apart(seen[:, 1:], seen[:, :-1])), 1)
    return seen + moved * dt / torch.cat((dt[:, :1], dt[:, :-1]), 1)


def error(found: Tensor, truth: Tensor) -> float:
    """Root mean square of the difference of two angles, in degrees."""
    return float(apart(found, truth).square().mean().sqrt().rad2deg())


def plot(path: str, time: Tensor, truth: Tensor, told: Tensor) -> None:
    """Draw angles over time."""
    from matplotlib.figure import Figure

    axes = Figure((7, 2.8), layout="constrained").subplots()
    axes.plot(time, truth.rad2deg(), "k-", linewidth=0.8, label="the pendulum")
    axes.plot(time, told.rad2deg(), "C0.", markersize=5, label="predicted")
    axes.set(xlabel="time (s)", ylabel="angle (degrees)")
    axes.legend(loc="lower right", fontsize="small")
    axes.figure.savefig(path)


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train both networks; errors in degrees by name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, for a test")
    parser.add_argument("--plot", metavar="FILE", help="draw a trajectory: .svg or .png")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    count, epochs = (300, 15) if given.quick else (1000, 24)
    split = load_split("pendulum", steps=100, sample_count=count, validation_size=200)
    parts, (input, dt, after) = looks(split.train), looks(split.test)
    truth = angle(after)
    found = {"as it was": angle(input[:, :, 1:]), "straight on": straight_on(input, dt)}
    for name, say in (("not told the times", torch.ones_like), ("told the times", torch.clone)):
        model = train((parts[0], say(parts[1]), parts[2]), epochs)
        found[name] = angles = angle(model(input, say(dt)))
    errors = {name: error(angles, truth) for name, angles in found.items()}
    print(f"error of the angle at the next look, {truth.numel():,} looks of 200 new trajectories")
    for name, value in errors.items():
        print(f"  {name:20s}{value:7.2f} degrees")
    if given.plot:
        plot(given.plot, 0.1 * dt[0].cumsum(0), truth[0], angles[0])
    return errors


if __name__ == "__main__":
    main()
