"""Train a classifier of handwritten digits of which it is proved how far inputs may be moved.

Its unit contracts by construction, and its loss is that of the worst logits that a change of the
image by `--radius` may lead to. Then the unit is certified, the certificate goes into a file, and
whoever has the file and the weights proves it again, without the search or the training.

What is to be seen: the share of test images that are right and proved to stay so whatever is added
to their pixels, up to l2 norms of 0 to 1 (a pixel is between 0 and 1). It lies below the share that
withstands an attack (PGD), and the truth lies between the two. The digits come with scikit-learn.
Some fifteen seconds on one core; with --quick a few.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.nn.functional import cross_entropy

from lipschitz_rnn import LipschitzRNN, SequenceClassifier
from lipschitz_rnn.analysis import (
    certified_accuracy,
    certified_radii,
    certify,
    empirical_accuracy,
    save_certificate,
    verify_certificate,
)
from lipschitz_rnn.data import Dataset, load_split
from lipschitz_rnn.nn import logit_gains, margin_logits

RADII = [0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
STEPS = 8  # an image is read row by row


def train(data: Dataset, epochs: int, radius: float) -> SequenceClassifier:
    """Learn so that margins are kept at ``radius``; it grows to there while the model learns."""
    torch.manual_seed(0)
    rnn = LipschitzRNN(8, 32, step_size=0.5, constraint="contractive", rate=0.05, batch_first=True)
    model = SequenceClassifier(rnn, num_classes=10)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    updates = epochs * -(-len(data) // 50)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=updates)
    for epoch in range(epochs):
        for rows in torch.randperm(len(data)).split(50):
            batch = data.batch(rows)
            logits, gains = model(batch.input), logit_gains(model, horizon=STEPS)
            near = radius * min(1.0, 2 * epoch / epochs)
            worst = margin_logits(logits, batch.target, gains, radius=near)
            optimizer.zero_grad()
            cross_entropy(worst, batch.target).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return model.eval()


def plot(path: str, proved: Sequence[float], attacked: Sequence[float]) -> None:
    """Draw both curves."""
    from matplotlib.figure import Figure

    figure = Figure((5, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(RADII, attacked, "C0--", label="withstood PGD")
    axes.plot(RADII, proved, "C0-", label="proved")
    axes.set(xlabel="l2 norm of the change", ylabel="right, of all test images", ylim=(0, 1))
    axes.legend(frameon=False)
    figure.savefig(path)


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train, certify, attack, verify."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, for a test")
    parser.add_argument("--radius", type=float, default=0.3, help="where margins are kept")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="keep the certificate")
    parser.add_argument("--plot", metavar="FILE", help="draw the curves: .svg or .png")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    split = load_split("digits", steps=STEPS, validation_size=137)
    # in double precision what rounding may do, which is set aside, is next to nothing
    model = train(split.train, 10 if given.quick else 30, given.radius).double()
    certificate = certify(model)
    print(certificate)
    batch = split.test.batch(slice(0, 100 if given.quick else None))
    images, digits = batch.input.double(), batch.target
    radii = certified_radii(certificate, model, images, digits)
    proved = certified_accuracy(radii, RADII).tolist()
    attack = {"norm": "l2", "steps": 20, "low": 0.0, "high": 1.0}
    attacked = empirical_accuracy(model, images, digits, radii=RADII, **attack).tolist()
    print(f"right, of {len(digits)} test images, if changed by up to")
    for radius, sure, likely in zip(RADII, proved, attacked, strict=True):
        print(f"  {radius:3.1f}:  proved {100 * sure:5.1f} %,  under PGD {100 * likely:5.1f} %")
    with TemporaryDirectory() as folder:
        path = given.certificate or Path(folder) / "certificate.json"
        save_certificate(certificate, path, model=model)
        again = verify_certificate(path, model)
        print(f"verified from the file: {again}")
        with torch.no_grad():
            model.head.bias[0] += 1  # the file is of the weights as they were
        other = verify_certificate(path, model)
        print(f"with another bias:      {other}")
    if given.plot:
        plot(given.plot, proved, attacked)
    return {
        "accuracy": proved[0],
        "proved at 0.2": proved[2],
        "under PGD at 0.2": attacked[2],
        "rate": certificate.rate,
        "verified": again.holds,
        "verified of another model": other.holds,
    }


if __name__ == "__main__":
    main()
