"""The layer on a GPU, against itself on the CPU, in float64."""

import copy

import pytest
import torch
from matching import assert_matches
from torch.nn.utils.rnn import pack_padded_sequence

from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]


def test_everything_at_once():
    """Packed input, irregular times, gaps, directions, layers, learned scalars, gradients."""
    rnn = LipschitzRNN(
        3, 5, 2, bidirectional=True, trainable=("step_size", "beta_a"), dtype=torch.float64
    )
    there = copy.deepcopy(rnn).cuda()
    input, dt = torch.randn(7, 4, 3).double(), torch.rand(7, 4).double()
    mask, lengths = torch.rand(7, 4) > 0.3, [4, 1, 7, 4]

    def run(layer, *tensors):
        packed = [pack_padded_sequence(x, lengths, enforce_sorted=False) for x in tensors]
        output, h_n = layer(packed[0], dt=packed[1], mask=packed[2])
        output.data.square().sum().backward()
        return [output.data, h_n, *(p.grad for p in layer.parameters())]

    got = run(there, input.cuda(), dt.cuda(), mask.cuda())
    for g, e in zip(got, run(rnn, input, dt, mask), strict=True):
        assert g.device.type == "cuda"
        assert_matches("value", g.cpu(), e, steps=7)


def test_stream_and_classifier():
    rnn = LipschitzRNN(3, 5, device="cuda")
    output, state = rnn.step(torch.randn(2, 3, device="cuda"), None, 0.5)
    assert output.device.type == state.device.type == "cuda"
    model = SequenceClassifier(rnn, 4)
    logits = model(torch.randn(6, 2, 3, device="cuda"), lengths=torch.tensor([6, 2]))
    assert logits.device.type == "cuda"


def test_autocast_returns_float32():
    rnn = LipschitzRNN(3, 5, device="cuda")
    with torch.autocast("cuda", dtype=torch.bfloat16):
        assert rnn(torch.randn(6, 2, 3, device="cuda"))[0].dtype == torch.float32
