"""Time a training pass of the recurrence against torch's own layers, in one run, alternating.

    python benchmarks/run.py [--repeats 7] [--threads 1] [--output FILE]

Forward and backward over a batch, float32, all weights trained, the input not. Medians over the
repeats, and the spread as the range of the middle half. Quote ratios, not seconds: machines differ
and are shared.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import lipschitz_rnn
from lipschitz_rnn import LipschitzRNN
from lipschitz_rnn.ops import available_backends

SHAPES = {  # task: B, T, H, P
    "mnist-rows": (128, 28, 128, 28),
    "mnist-8px": (128, 98, 64, 8),
    "smnist": (128, 784, 128, 1),
}
LAYERS = {
    "LipschitzRNN euler": LipschitzRNN,
    "LipschitzRNN midpoint": lambda p, h: LipschitzRNN(p, h, method="midpoint"),
    "nn.RNN": nn.RNN,
    "nn.GRU": nn.GRU,
    "nn.LSTM": nn.LSTM,
}


def seconds(layer, input):
    """One training pass, the loss on the last output."""
    start = time.perf_counter()
    output, _ = layer(input)
    output[-1].square().mean().backward()
    layer.zero_grad(set_to_none=True)
    return time.perf_counter() - start


def measure(shape, repeats):
    """Medians and quartiles of every layer, measured in turn so that all share the same weather."""
    batch, steps, hidden, features = shape
    input = torch.randn(steps, batch, features)
    layers = {name: make(features, hidden) for name, make in LAYERS.items()}
    times = {name: [] for name in layers}
    for repeat in range(repeats + 1):
        for name, layer in layers.items():
            elapsed = seconds(layer, input)
            if repeat:  # the first round warms up
                times[name].append(elapsed)
    return {name: summarize(values) for name, values in times.items()}


def summarize(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median_s": middle, "quartiles_s": [low, high], "repeats": len(values)}


def conditions():
    return {
        "lipschitz_rnn": lipschitz_rnn.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "backends": list(available_backends()),
        "pass": "forward and backward, float32, gradients of all weights",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="as the presets train")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/recurrence.json"))
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    results = {task: measure(shape, options.repeats) for task, shape in SHAPES.items()}
    table = Table(title=f"Training pass, {options.threads} thread(s), median (middle half)")
    for column in ("layer", *(f"{task}\nB, T, H, P = {SHAPES[task]}" for task in SHAPES)):
        table.add_column(column, justify="left" if column == "layer" else "right")
    for name in LAYERS:
        cells = []
        for task in SHAPES:
            item, base = results[task][name], results[task]["LipschitzRNN euler"]
            low, high = (1000 * x for x in item["quartiles_s"])
            ratio = item["median_s"] / base["median_s"]
            cells.append(f"{1000 * item['median_s']:.1f} ms ({low:.1f}-{high:.1f})  x{ratio:.2f}")
        table.add_row(name, *cells)
    Console(width=140).print(table)
    record = {"conditions": conditions(), "shapes": SHAPES, "results": results}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=2) + "\n")
    Console().print(f"written to {options.output}")


if __name__ == "__main__":
    main()
