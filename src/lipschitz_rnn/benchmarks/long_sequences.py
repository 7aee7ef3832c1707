"""What training on long sequences costs, in seconds and memory, by each option for it."""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.markdown import markdown_table
from lipschitz_rnn.benchmarks.report import milliseconds
from lipschitz_rnn.data import ArrayDataset, Split
from lipschitz_rnn.data.npy import map_array
from lipschitz_rnn.nn import LipschitzRNN, SequenceRegressor
from lipschitz_rnn.training import DataConfig, ModelConfig, RunConfig, TrainingConfig
from lipschitz_rnn.training.environment import describe_environment
from lipschitz_rnn.training.state import RunState
from lipschitz_rnn.training.update import update

STEPS = (784, 10_000)
BATCH, INPUTS, HIDDEN, BATCHES = 32, 4, 64, 4
_STATUS = Path("/proc/self/status")

Report = Callable[[str], None]


@dataclass(frozen=True)
class Way:
    """One way to train.

    Attributes:
        every_step: Whether every step has an answer, and not the last one alone.
        truncate_steps: Of the training.
        memory: Of the model.
        mapped: Whether the samples are mapped from a file, and not in memory.
    """

    every_step: bool = False
    truncate_steps: int | None = None
    memory: str = "store"
    mapped: bool = True


WAYS = (
    Way(mapped=False),
    Way(),
    Way(memory="recompute"),
    Way(truncate_steps=1000),
    Way(truncate_steps=100),
    Way(every_step=True),
    Way(every_step=True, memory="recompute"),
    Way(every_step=True, truncate_steps=1000),
    Way(every_step=True, truncate_steps=100),
)
"""What is measured."""


def run_long(report: Report | None = None) -> dict[str, Any]:
    """Measure every way, each in a process of its own; some minutes.

    Args:
        report: Takes a line of progress.

    Returns:
        Processor seconds of a batch on one thread (median of three, after one that is not counted)
        and the most memory of its own that the process held, beyond what it held before it opened
        the samples; and the machine. JSON can hold it.

    Raises:
        InputError: If the system does not tell how much memory that is.
    """
    if not _STATUS.exists():
        raise InputError(f"bench-long: expected a system with {_STATUS}, such as Linux, got none.")
    sizes = {"batch": BATCH, "inputs": INPUTS, "hidden": HIDDEN}
    results, context = [], multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for steps in STEPS:
            _write(Path(folder), steps)
            for way in WAYS:
                if way.truncate_steps and way.truncate_steps >= steps:
                    continue
                if report is not None:
                    report(f"{steps:,} steps: {describe(way)}")
                with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
                    found = pool.submit(measure, Path(folder), way).result()
                results.append({"steps": steps, **dataclasses.asdict(way), **found})
    machine = describe_environment() | {"threads": 1, "load_average": list(os.getloadavg())}
    return {"environment": machine, "sizes": sizes, "results": results}


def describe(way: Way) -> str:
    """A way in words.

    Args:
        way: It.

    Returns:
        Such as ``"an answer at the end, cut after 100 steps"``.
    """
    parts = ["an answer at every step" if way.every_step else "an answer at the end"]
    if way.truncate_steps is not None:
        parts.append(f"cut after {way.truncate_steps:,} steps")
    if way.memory != "store":
        parts.append(f'`memory="{way.memory}"`')
    if not way.mapped:
        parts.append("samples in memory")
    return ", ".join(parts)


def long_table(results: dict[str, Any]) -> str:
    """The results as a table.

    Args:
        results: What :func:`run_long` returned.

    Returns:
        Markdown.
    """
    rows = []
    for result in results["results"]:
        way = Way(**{field.name: result[field.name] for field in dataclasses.fields(Way)})
        size = f"{result['bytes'] / 1e6:,.0f} MB"
        rows.append([f"{result['steps']:,}", describe(way), milliseconds(result["seconds"]), size])
    return "\n".join(markdown_table(["steps", "way", "ms a batch", "memory"], rows, ["way"]))


def measure(folder: Path, way: Way) -> dict[str, float]:
    """Train on a few batches in this process.

    Args:
        folder: Where the samples are.
        way: How.

    Returns:
        Median of the processor seconds of a batch, and the most bytes held.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    _train(folder, way, rows=2)  # sets up what is there once
    before = _anonymous()
    with _highest() as highest:
        seconds = _train(folder, way, rows=BATCH)
    return {"seconds": statistics.median(seconds[1:]), "bytes": highest[0] - before}


def _train(folder: Path, way: Way, rows: int) -> list[float]:
    name = "every" if way.every_step else "last"
    values, target = map_array(folder / "input.npy"), map_array(folder / f"{name}.npy")
    count = rows * BATCHES
    if rows < BATCH:
        values, target = values[:count, :200], target[:count]
        target = target[:, :200] if way.every_step else target
    if not way.mapped:
        values, target = values.copy(), target.copy()
    train = ArrayDataset(values, target)
    split = Split("long", train, train, train, 1, "made here", "", "values")
    settings = TrainingConfig(1, 0.001, batch_size=rows, truncate_steps=way.truncate_steps)
    config = RunConfig("long", DataConfig("arrays"), ModelConfig(HIDDEN), settings)
    rnn = LipschitzRNN(INPUTS, HIDDEN, step_size=0.1, batch_first=True, memory=way.memory)
    state = RunState(config, SequenceRegressor(rnn, 1, every_step=way.every_step), split)
    seconds = []
    for index in train.plan(rows):
        started = time.process_time()  # another process's share of the machine does not count
        update(state, train, index)
        seconds.append(time.process_time() - started)
    return seconds


def _write(folder: Path, steps: int) -> None:
    random, count = np.random.default_rng(0), BATCH * BATCHES
    shapes = {"input": (count, steps, INPUTS), "every": (count, steps, 1), "last": (count, 1)}
    for name, shape in shapes.items():
        np.save(folder / f"{name}.npy", random.standard_normal(shape, np.float32))


def _anonymous() -> int:
    """Bytes of this process's memory that belong to no file."""
    lines = _STATUS.read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


@contextmanager
def _highest() -> Iterator[list[int]]:
    """Looks at the memory every few milliseconds; holds the most there was."""
    most, done = [_anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], _anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()
