"""What the kernel holds, measured by the system's own count of a process's pages."""

import gc
import json
import subprocess
import sys

import pytest
import torch

from lipschitz_rnn.ops import buffers, lipschitz_scan, release_memory, use_backend, variants

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(not variants(), reason="no native library here"),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

CHILD = """
import json, sys
import torch
from lipschitz_rnn.ops import lipschitz_scan
T, B, N, P, options, train = json.loads(sys.argv[1])
step_size = torch.tensor(0.03, requires_grad=options.pop("learned_step", False))
torch.set_num_threads(2)

def pages(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))

def run(T):
    square, state = 0.01 * torch.randn(N, N), torch.zeros(B, N)
    tensors = [state, square, square.clone(), torch.randn(N, P), torch.zeros(N)]
    input = torch.zeros(T, B, P)
    for x in tensors:
        x.requires_grad_(train)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts from here
    before = pages("VmRSS")
    out = lipschitz_scan(input, *tensors, step_size=step_size, backend="native", **options)
    if train:
        (out if out.dim() == 2 else out[-1]).sum().backward()
    return pages("VmHWM") - before

run(2)  # loads what is loaded once
print(run(T))
"""


def peak(T, B, N, P, *, train=True, **options):
    """Bytes beyond the arguments at the worst moment of a call and its backward pass."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps([T, B, N, P, options, train])],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


# Gradients, packed weights and each thread's sums, at N = 128; and two pages of 2 MiB for each of
# the arrays, which are whole huge pages.
OVERHEAD = 12 << 20


@pytest.mark.parametrize("method", ["euler", "midpoint"])
@pytest.mark.parametrize("output", ["all", "last"])
def test_training_holds_little_more_than_twice_the_states(method, output):
    T, B, N = 800, 128, 128
    unit = T * B * N * 4
    # With all states as the output, torch makes their gradient besides: also an output's size.
    outputs = 2 * unit if output == "all" else 0
    assert peak(T, B, N, 1, method=method, output=output) <= 2.2 * unit + outputs + OVERHEAD


@pytest.mark.parametrize("method", ["euler", "midpoint"])
def test_learned_steps_hold_a_sixteenth_of_the_states_for_the_last_one(method):
    T, B, N = 1600, 128, 128
    used = peak(T, B, N, 1, method=method, output="last", learned_step=True)
    assert used <= 1.2 * T * B * N * 4 / 16 + OVERHEAD


def test_inference_of_the_last_state_does_not_grow_with_length():
    assert peak(4000, 64, 128, 1, train=False, output="last") <= 4 << 20


def test_long_sequences_train_in_little_memory():
    """T = 16,000 at B = 64, N = 128: stored, the states alone would take 500 MiB."""
    used = peak(16_000, 64, 128, 1, output="last", memory="recompute")
    assert used <= 128 << 20, f"{used / 2**20:.0f} MiB"


def test_blocks_are_used_again_and_given_back():
    release_memory()
    first = buffers.take((1 << 20,), torch.float32)
    address = first.data_ptr()
    part = first[3:]
    del first
    assert not buffers._free  # a view keeps the block
    del part
    gc.collect()
    assert len(buffers._free) == 1
    again = buffers.take((1000, 1000), torch.float32)
    assert again.data_ptr() == address
    other = buffers.take((1 << 20,), torch.float32)
    assert other.data_ptr() != address
    del again, other
    release_memory()
    assert not buffers._free


def test_few_blocks_are_kept():
    release_memory()
    held = [buffers.take((1 << 20,), torch.float32) for _ in range(10)]
    held.clear()
    assert len(buffers._free) == buffers._KEPT
    release_memory()


def test_a_much_smaller_array_does_not_take_a_large_block():
    release_memory()
    buffers.take((64 << 20,), torch.uint8)
    small = buffers.take((2 << 20,), torch.uint8)
    assert len(buffers._free) == 1
    assert small.numel() == 2 << 20
    release_memory()


def test_an_output_stays_as_it_is_while_others_are_made():
    """The caller owns what it was given, pooled or not."""
    w = 0.01 * torch.randn(64, 64)
    args = torch.zeros(100, 64, 1), torch.ones(64, 64), w, w, torch.ones(64, 1), None
    with use_backend("native"):
        kept = lipschitz_scan(*args, step_size=0.1)
        copy = kept.clone()
        for _ in range(4):
            lipschitz_scan(*args, step_size=0.2)
    assert torch.equal(kept, copy)
