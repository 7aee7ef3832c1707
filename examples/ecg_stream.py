"""Watch an electrocardiogram sample by sample and say which heartbeats are not as usual.

A network learns from normal beats alone to tell the next samples. Then it is handed a stream, one
sample at a time, and an alarm is raised for a beat whose error is larger than those of normal beats
that were held back: nobody showed it what is wrong with the other ones.

What is to be seen: precision and recall, by beats, against known labels. The data is ECG5000 of the
UCR archive, a patient with heart failure, where a data folder has `ucr/ECG5000` (--data-dir or
LIPSCHITZ_RNN_DATA; nothing is downloaded). Elsewhere it is SYNTHETIC, sums of Gaussians after
McSharry et al. (2003) with ectopic and ischaemic beats put in, and the output says so. Some fifteen
seconds on one core; with --quick a few.
"""

import argparse
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lipschitz_rnn import LipschitzRNN, SequenceRegressor, Streamer
from lipschitz_rnn.data import DataUnavailableError
from lipschitz_rnn.data.ucr import load_ucr

AHEAD = 10  # how many samples before its time each is told
Beats = list[tuple[np.ndarray, bool]]  # samples, and whether it is one to find


def synthetic(count: int, share: float, random: np.random.Generator) -> Beats:
    """Beats, each of P, Q, R, S and T waves; a share of them is ectopic or ischaemic."""
    places = np.array([-1.2, -0.26, 0.0, 0.26, 1.7])
    heights, widths = np.array([0.6, -0.5, 5.0, -1.0, 1.5]), np.array([0.25, 0.1, 0.1, 0.1, 0.4])
    beats: Beats = []
    for kind in random.choice(3, count, p=[1 - share, share / 2, share / 2]):
        vary = 1 + 0.05 * random.standard_normal((2, 5))
        high, wide, steps = heights * vary[0], widths * vary[1], int(100 + 2 * random.normal())
        if kind == 1:  # ectopic: early, without a P wave, broad, the T wave upside down
            high, wide, steps = high * [0, 0, 1.2, 2, -1.2], wide * [1, 1, 2.5, 2, 1], steps - 20
        if kind == 2:  # ischaemic: the T wave upside down
            high = high * [1, 1, 1, 1.5, -1]
        phase = np.linspace(-np.pi, np.pi, steps, endpoint=False)[:, None]
        beat = (high * np.exp(-((phase - places) ** 2) / (2 * wide**2))).sum(1)
        beat += 0.1 * random.standard_normal(steps)
        beats.append((beat, bool(kind)))
    return beats


def recordings(data_dir: Path | None, count: int, kept: int) -> tuple[str, Beats, Beats, Beats]:
    """Where from; normal beats to learn from and to hold back; beats to watch."""
    random = np.random.default_rng(0)
    try:
        found = load_ucr("ECG5000", data_dir=data_dir)
    except DataUnavailableError:
        learn, held = synthetic(240, 0, random), synthetic(kept, 0, random)
        return "SYNTHETIC ECG (no ucr/ECG5000 at hand)", learn, held, synthetic(count, 0.2, random)
    normal = [(row, False) for row in found.train.values[found.train.labels == 1]]
    chosen = random.permutation(len(found.test))[:count]
    watched = [(found.test.values[i], bool(found.test.labels[i] != 1)) for i in chosen]
    return "ECG5000 of the UCR archive", normal[:-kept], normal[-kept:], watched


def train(signal: torch.Tensor, updates: int) -> SequenceRegressor:
    """Learn to tell a sample from all up to AHEAD before it."""
    torch.manual_seed(0)
    rnn = LipschitzRNN(1, 48, step_size=1.0, beta=0.65, gamma=0.1, batch_first=True)
    model = SequenceRegressor(rnn, output_size=1, every_step=True)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=updates)
    pieces = signal.unfold(0, 240 + AHEAD, 1)
    for _ in range(updates):
        piece = pieces[torch.randint(len(pieces), (24,))]
        told = model(piece[:, :-AHEAD, None])[..., 0]
        loss = (told - piece[:, AHEAD:])[:, 60:].square().mean()  # at first it has seen too little
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def watch(model: SequenceRegressor, beats: Beats) -> np.ndarray:
    """Mean squared error of each beat, known at its end; the model is handed sample by sample."""
    streamer, told, scores = Streamer(model), deque([0.0] * AHEAD), []
    for samples, _ in beats:
        errors = []
        for sample in samples:
            errors.append((told.popleft() - sample) ** 2)  # told AHEAD samples ago
            told.append(float(streamer.push([sample])))
        scores.append(np.mean(errors))
    return np.array(scores)


def main(arguments: Sequence[str] | None = None) -> dict[str, float | str]:
    """Learn, watch, and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, for a test")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="has ucr/ECG5000 in it")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    source, learn, held, watched = recordings(
        given.data_dir, *(60, 30) if given.quick else (200, 60)
    )
    signal = torch.tensor(np.concatenate([samples for samples, _ in learn]), dtype=torch.float32)
    model = train(signal, 400 if given.quick else 600)
    usual, found = watch(model, held), watch(model, watched)
    typical = np.median(usual)
    limit = typical + 5 * 1.4826 * np.median(abs(usual - typical))  # five robust deviations
    alarm, wrong = found > limit, np.array([wrong for _, wrong in watched])
    hits = (alarm & wrong).sum()
    precision, recall = float(hits / max(alarm.sum(), 1)), float(hits / wrong.sum())
    print(f"{source}: {len(wrong)} beats watched, {wrong.sum()} of them not as usual")
    print(f"alarm above a mean squared error of {limit:.3f}; {typical:.3f} is usual")
    print(f"{alarm.sum()} alarms: precision {100 * precision:.1f} %, recall {100 * recall:.1f} %")
    return {"source": source, "precision": precision, "recall": recall, "beats": len(wrong)}


if __name__ == "__main__":
    main()
