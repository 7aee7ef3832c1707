"""Small runs for several workers, in float64; and, started by torchrun, a worker that does them.

usage: torchrun ... distributed_runs.py FOLDER

Worker k of K does every run of ``RUNS`` into FOLDER/NAME-K, and leaves its last weights in
FOLDER/NAME-K.k.pt. Those of ``CUT`` are also done in two halves, the second one by K workers and
the first by as many or less, into FOLDER/half-NAME-L and FOLDER/NAME-L-then-K. What became of
``agreements`` is left in FOLDER/agreements-K.k.json.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import FrameDataset, SequenceDataset, Split, SymbolStream
from lipschitz_rnn.nn import (
    LanguageModel,
    LipschitzRNN,
    SequenceClassifier,
    SequenceRegressor,
    make_layer,
)
from lipschitz_rnn.training import (
    DataConfig,
    ModelConfig,
    RunConfig,
    SeedConfig,
    StopTraining,
    TrainingConfig,
    UpdateDone,
    fit,
    resume,
)
from lipschitz_rnn.training.distributed import (
    first_says,
    from_first,
    is_first,
    together,
    worker_count,
    worker_number,
)
from lipschitz_rnn.training.seeds import epoch_order


class Wide:
    """A data set whose batches are in float64."""

    def __init__(self, dataset):
        self._dataset = dataset

    def __getattr__(self, name):
        return getattr(self._dataset, name)

    def __len__(self):
        return len(self._dataset)

    def batch(self, index, epoch=0):
        batch = self._dataset.batch(index, epoch)
        parts = vars(batch).items()
        wide = {k: v.double() if v is not None and v.is_floating_point() else v for k, v in parts}
        return dataclasses.replace(batch, **wide)


class Rest(nn.Module):
    """A classifier with a parameter that nothing depends on."""

    def __init__(self, model):
        super().__init__()
        self.model, self.idle = model, nn.Parameter(torch.ones(2))

    def forward(self, input):
        return self.model(input)


def generator():
    return torch.Generator().manual_seed(0)


def class_split(counts=(49, 21, 22), timed=False):
    chance = generator()

    def samples(count):
        target = torch.randint(3, (count,), generator=chance)
        noise = torch.randn(count, 5, 2, generator=chance, dtype=torch.float64)
        dt = torch.rand(count, 5, generator=chance) if timed else None
        return Wide(SequenceDataset(noise + target[:, None, None], target, dt=dt))

    parts = [samples(count) for count in counts]
    return Split("toy", *parts, 3, "made here", "0" * 64)


def frame_split():
    chance = generator()

    def sequences(count):
        counts = torch.randint(2, 12, (count,), generator=chance)
        frames = torch.randn(int(counts.sum()), 2, generator=chance, dtype=torch.float64)
        return Wide(FrameDataset(frames, counts.cumsum(0) - counts, counts))

    parts = [sequences(count) for count in (21, 9, 10)]
    return Split("toy", *parts, 2, "made here", "0" * 64, kind="frames")


def text_split():
    text = torch.randint(5, (400,), generator=generator()).cumsum(0) % 5
    parts = (SymbolStream(part, 5, 7) for part in (text[:250], text[250:320], text[320:]))
    return Split("toy", *parts, 5, "made here", "0" * 64, kind="characters")


def classifier(dropout=0.0, **options):
    rnn = LipschitzRNN(2, 6, 2, step_size=0.2, dropout=dropout, batch_first=True, **options)
    return SequenceClassifier(rnn, 3, dropout=dropout)


def regressor():
    return SequenceRegressor(make_layer("gru", 2, 6, batch_first=True), 2, every_step=True)


def language_model(unit):
    return lambda: LanguageModel(make_layer(unit, 6, 6, batch_first=True), 5)


CONTRACTIVE = {"constraint": "contractive", "rate": 0.1}
# name: samples, model, settings of training
RUNS = {
    "classes": (lambda: class_split((51, 21, 22)), classifier, {"clip_norm": 0.5, "momentum": 0.9}),
    "times": (lambda: class_split(timed=True), classifier, {"contraction_penalty": 0.1}),
    "certified": (class_split, lambda: classifier(**CONTRACTIVE), {"certified_radius": 0.1}),
    "idle": (class_split, lambda: Rest(classifier()), {"weight_decay": 0.1}),
    "late": (class_split, classifier, {"truncate_steps": 2}),
    "frames": (frame_split, regressor, {"batch_size": 4}),
    "pieces": (frame_split, regressor, {"batch_size": 4, "truncate_steps": 3}),
    "grouped": (frame_split, regressor, {"batch_size": 4, "group_by_length": True}),
    "text": (text_split, language_model("lipschitz"), {"batch_size": 4}),
    "lstm": (text_split, language_model("lstm"), {"batch_size": 3, "eval_batch_size": 4}),
    "row": (text_split, language_model("gru"), {"batch_size": 1, "eval_batch_size": 1}),
    "dropout": (class_split, lambda: classifier(0.3), {"optimizer": "adam"}),
}
CUT = {"classes": 9, "text": 5, "lstm": 4, "dropout": 9}  # after so many updates


def make_run(name):
    """Configuration, samples and model."""
    samples, model, settings = RUNS[name]
    settings = {"optimizer": "sgd", "batch_size": 8, "eval_batch_size": 4, **settings}
    training = TrainingConfig(2, 0.05, test_every_epoch=True, **settings)
    torch.manual_seed(1)
    config = RunConfig("toy", DataConfig("toy", 5), ModelConfig(6), training, SeedConfig(1, 2, 3))
    return config, samples(), model().double()


def stop_within_an_epoch(name, folder):
    """Leave half a run."""
    config, split, model = make_run(name)
    seen = []

    def stop(event):
        seen.append(isinstance(event, UpdateDone))
        if sum(seen) == CUT[name]:
            raise StopTraining

    with contextlib.suppress(StopTraining):  # on every worker
        fit(config, split, model, folder, hooks=[stop])


def go_on(name, half, folder):
    """Finish a copy of half a run."""
    _, split, model = make_run(name)
    if is_first():
        shutil.copytree(half, folder)
    resume(folder, split, model)


def outcome(work, *arguments):
    """What it returns, or what error it ends with."""
    try:
        return repr(work(*arguments))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def fit_a_sample_of(value, folder):
    """The last sample of the first batch, of the last worker therefore, is of such values."""
    config, split, model = make_run("classes")
    values = split.train.values.clone()
    values[epoch_order(2, 1, len(values))[7]] = value
    train = Wide(SequenceDataset(values, split.train.target))
    fit(config, dataclasses.replace(split, train=train), model, folder)


def fit_other_samples(folder):
    """Every worker has samples of its own."""
    config, split, model = make_run("classes")
    fit(config, dataclasses.replace(split, digest=str(worker_number()) * 64), model, folder)


class LocalError(Exception):
    """An error that cannot be sent as it is."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def fails_on(number, error):
    if worker_number() == number:
        raise error
    return number


def agreements(root):
    """How the workers agree, one outcome a line."""
    return {
        "value": outcome(from_first, lambda: {"from": worker_number()}),
        "nothing": outcome(from_first, lambda: None),
        "time": outcome(first_says, is_first()),
        "no time": outcome(first_says, not is_first()),
        "error of the first": outcome(from_first, lambda: fails_on(0, InputError("no file"))),
        "odd error": outcome(from_first, lambda: fails_on(0, LocalError(1, 2))),
        "together": outcome(together, lambda: worker_number()),
        "error of the last": outcome(together, lambda: fails_on(1, InputError("no data"))),
        "error of all": outcome(together, lambda: fails_on(worker_number(), OSError("no disk"))),
        "bug of the last": outcome(together, lambda: fails_on(1, KeyError("x"))),
        "infinite sample": outcome(fit_a_sample_of, float("inf"), root / "infinite"),
        "other samples": outcome(fit_other_samples, root / "other"),
        "full folder": outcome(fit_a_sample_of, 1.0, root / "infinite"),
    }


def main():
    root = Path(sys.argv[1])
    dist.init_process_group("gloo")
    number, count = worker_number(), worker_count()
    try:
        for name in RUNS:
            config, split, model = make_run(name)
            fit(config, split, model, root / f"{name}-{count}")
            torch.save(model.state_dict(), root / f"{name}-{count}.{number}.pt")
        for name in CUT:
            stop_within_an_epoch(name, root / f"half-{name}-{count}")
            for before in range(1, count + 1):
                half = root / f"half-{name}-{before}"
                go_on(name, half, root / f"{name}-{before}-then-{count}")
        lines = json.dumps(agreements(root / f"agreements-{count}"))
        (root / f"agreements-{count}.{number}.json").write_text(lines)
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
    # gloo's threads may outlive their process group, and abort an interpreter that is ending
    sys.stdout.flush()
    os._exit(0)
