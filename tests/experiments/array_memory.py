"""Train on a file of 400 MB, all of it a hole, and tell how much memory of its own that took.

Run by test_array_runs.py: ``python array_memory.py FOLDER sequences|series``. What is mapped from
a file is not counted: the system takes those pages back whenever it wants to.
"""

import json
import sys
import threading
from pathlib import Path

import numpy as np

from lipschitz_rnn.experiments import load_preset, train_run

INPUTS, STEPS = 250, 100_000
SHAPES = {"sequences": (4, STEPS, INPUTS), "series": (4 * STEPS, INPUTS)}
CUT = {"sequences": "training.truncate_steps=500", "series": "data.steps=500"}


def anonymous():
    """Bytes of memory that belong to no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def make_hole(path, shape):
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 4 * int(np.prod(shape)))


def make_folder(folder, layout, steps):
    folder.mkdir(parents=True)
    for part in ("train", "validation", "test"):
        length = steps if part == "train" else 1000
        shape = (4, length, INPUTS) if layout == "sequences" else (4 * length, INPUTS)
        make_hole(folder / f"{part}_input.npy", shape)
        make_hole(folder / f"{part}_target.npy", (*shape[:-1], 1))
    return folder


def main(folder, layout):
    def train(name, steps):
        settings = ["model.hidden_size=8", "training.epochs=1", "training.threads=1"]
        settings += ["training.batch_size=2", "training.eval_batch_size=2", CUT[layout]]
        path = make_folder(folder / name, layout, steps)
        config = load_preset("arrays", [f"data.path='{path}'", *settings])
        train_run(config, folder / f"{name}_run")

    train("small", 1000)  # sets up what is there once, whatever the length
    before, most, done = anonymous(), 0, threading.Event()

    def watch():
        nonlocal most
        while not done.wait(0.002):
            most = max(most, anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    train("large", STEPS)
    done.set()
    watcher.join()
    size = (folder / "large/train_input.npy").stat().st_size
    sys.stdout.write(json.dumps({"size": size, "grown": most - before}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
