"""What an update of pixel MNIST costs beside the kernel's own calls."""

import statistics
import time

import pytest
import torch
from torch.nn import functional

from lipschitz_rnn import LipschitzRNN, SequenceClassifier
from lipschitz_rnn.ops import native_call, native_ops, variants


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.skipif(not variants(), reason="no native library here")
def test_an_update_takes_at_most_1_15_times_the_kernels_calls(monkeypatch):
    """For a quiet machine: the rest is a few per cent, and far more beside a busy process."""
    inside = []

    def timed(*arguments):
        start = time.perf_counter()
        native_call.run(*arguments)
        inside.append(time.perf_counter() - start)

    monkeypatch.setattr(native_ops, "run", timed)
    model = SequenceClassifier(LipschitzRNN(1, 128, batch_first=True), 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    input, target = torch.rand(128, 784, 1), torch.randint(10, (128,))
    ratios = []
    for _ in range(15):
        inside.clear()
        start = time.perf_counter()
        loss = functional.cross_entropy(model(input), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss.item()
        ratios.append((time.perf_counter() - start) / sum(inside))
    assert statistics.median(ratios) <= 1.15, f"{statistics.median(ratios):.3f}"
