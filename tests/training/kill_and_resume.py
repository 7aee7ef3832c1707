"""Not a test: run by test_resume.py as a process of its own, which forks, kills and forks again.

usage: kill_and_resume.py FOLDER SEED PAUSE

Trains FOLDER/whole without interruption, then FOLDER/killed with a SIGKILL after a random time of
at most PAUSE times what the first took, again and again, until it is finished. Prints how often it
was killed, and how often after the first checkpoint.
"""

import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from lipschitz_rnn.data import SequenceDataset, Split
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier
from lipschitz_rnn.training import (
    DataConfig,
    ModelConfig,
    RunConfig,
    RunFolder,
    SeedConfig,
    TrainingConfig,
    fit,
    resume,
)

OPTIMIZERS = ("adam", "sgd", "rmsprop", "nadam")


def make_config(seed: int) -> RunConfig:
    optimizer = OPTIMIZERS[seed % len(OPTIMIZERS)]
    momentum = 0.9 if optimizer in {"sgd", "rmsprop"} else None
    return RunConfig(
        "toy",
        DataConfig("toy", 10, validation_size=100),
        ModelConfig(16, num_layers=2, dropout=0.3),
        TrainingConfig(
            6,
            0.01,
            batch_size=32,
            optimizer=optimizer,
            momentum=momentum,
            clip_norm=0.5,
            decay_epochs=(3,),
            checkpoint_seconds=0.005,
            threads=1,
        ),
        SeedConfig(seed, seed + 1, seed + 2),
    )


def work(config: RunConfig, folder: Path) -> None:
    generator = torch.Generator().manual_seed(config.seed.init)

    def samples(count: int) -> SequenceDataset:
        target = torch.randint(3, (count,), generator=generator)
        noise = torch.randn(count, 10, 2, generator=generator)
        return SequenceDataset(noise + target[:, None, None], target)

    split = Split("toy", samples(300), samples(100), samples(100), 3, "made here", "0" * 64)
    torch.manual_seed(config.seed.init)
    rnn = LipschitzRNN(2, 16, 2, step_size=0.2, dropout=0.3, batch_first=True)
    model = SequenceClassifier(rnn, 3, dropout=0.3)
    torch.manual_seed(time.perf_counter_ns())  # whatever the caller's random state is
    if (folder / "config.toml").exists():
        resume(folder, split, model)
    else:
        fit(config, split, model, folder)


def main() -> None:
    root, seed, pause = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    config, chance = make_config(seed), random.Random(seed)
    kills = late_kills = 0
    whole = 0.0  # seconds of the uninterrupted run
    folders = [RunFolder(root / "whole"), RunFolder(root / "killed")]
    for folder in folders:
        started = time.perf_counter()
        while not folder.is_finished:
            child = os.fork()
            if not child:
                try:
                    work(config, folder.path)
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(1)
            if folder is folders[1]:
                time.sleep(chance.uniform(0, pause * whole))
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if os.WIFSIGNALED(status):
                kills += 1
                late_kills += folder.last.exists()
            elif os.WEXITSTATUS(status):
                sys.exit("the child failed")
        if folder is folders[0]:
            whole = time.perf_counter() - started
    print(kills, late_kills)


if __name__ == "__main__":
    main()
