"""The contract of ``torch.nn.RNN``, reduced, held by a layer of every unit."""

import copy

import pytest
import torch
from matching import assert_matches
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from lipschitz_rnn.nn import UNITS, GatedLipschitzRNNCell, RecurrentLayer, make_layer
from lipschitz_rnn.nn.state import map_state

P, H = 3, 5
SILENT = {"additive_noise": 0.0, "multiplicative_noise": 0.0}


def gated_cells(input_size, hidden_size, num_layers=1, *, bidirectional=False, dtype, **options):
    directions = 2 if bidirectional else 1
    cells = [
        GatedLipschitzRNNCell(
            hidden_size * directions if n >= directions else input_size, hidden_size, dtype=dtype
        )
        for n in range(num_layers * directions)
    ]
    return RecurrentLayer(cells, bidirectional=bidirectional, **options)


CELLS = "cells of lipschitz-gated"
OURS = [name for name in UNITS if name not in ("rnn", "gru", "lstm")] + [CELLS]


def builder(name):
    """Build a layer in float64, large enough in scale that states differ visibly."""

    def build(*args, **options):
        sizes = (P, H, *args)
        if name == CELLS:
            layer = gated_cells(*sizes, dtype=torch.float64, **options)
        else:
            noise = SILENT if name == "lipschitz-noisy" else {}
            layer = make_layer(name, *sizes, dtype=torch.float64, **noise, **options)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.normal_(std=0.5)
        return layer

    return build


@pytest.fixture(params=[*UNITS, CELLS])
def make(request):
    return builder(request.param)


@pytest.fixture(params=OURS)
def make_ours(request):
    """Without torch's own layers, which have no ``step`` and no ``need_output``."""
    return builder(request.param)


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def start(layer, batch):
    """An initial state of the layer's kind; batch is () for none."""
    _, like = layer(randn(2, *batch, P) if not layer.batch_first else randn(*batch, 2, P))
    return map_state(lambda part: torch.randn_like(part), like)


def parts(state):
    return (state,) if isinstance(state, torch.Tensor) else state


def assert_states(got, expected):
    assert len(parts(got)) == len(parts(expected))
    for g, e in zip(parts(got), parts(expected), strict=True):
        assert_matches("state", g, e, steps=7)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_shapes(make, num_layers, bidirectional):
    layer, directions = make(num_layers, bidirectional=bidirectional), 2 if bidirectional else 1
    output, h_n = layer(randn(7, 2, P))
    assert output.shape == (7, 2, directions * H)
    assert {part.shape for part in parts(h_n)} == {(num_layers * directions, 2, H)}


@pytest.mark.parametrize("batch", [1, 2, H, 7], ids=lambda b: f"B={b}")
def test_samples_of_a_batch_do_not_see_each_other(make, batch):
    layer, input = make(), randn(7, batch, P)
    hx = start(layer, (batch,))
    together, h_n = layer(input, hx)
    for n in range(batch):
        one = slice(n, n + 1)
        alone, h = layer(input[:, one], map_state(lambda part, one=one: part[:, one], hx))
        assert_matches("output", together[:, one], alone, steps=7)
        assert_states(map_state(lambda part, one=one: part[:, one], h_n), h)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_unbatched_is_a_batch_of_one(make, bidirectional):
    layer, input = make(2, bidirectional=bidirectional), randn(7, P)
    hx = start(layer, ())
    output, h_n = layer(input, hx)
    expected, h = layer(input.unsqueeze(1), map_state(lambda part: part.unsqueeze(1), hx))
    assert_matches("output", output, expected.squeeze(1), steps=7)
    assert_states(h_n, map_state(lambda part: part.squeeze(1), h))


def test_batch_first_moves_input_and_output_but_not_states(make):
    layer, first = make(2), make(2, batch_first=True)
    first.load_state_dict(layer.state_dict())
    input, hx = randn(7, 2, P), start(layer, (2,))
    expected, h = layer(input, hx)
    output, h_n = first(input.transpose(0, 1), hx)
    assert_matches("output", output, expected.transpose(0, 1), steps=7)
    assert_states(h_n, h)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_packed_sequences_are_run_each_by_itself(make, num_layers, bidirectional):
    layer, lengths = make(num_layers, bidirectional=bidirectional), [4, 1, 7, 4]
    sequences, hx = [randn(n, P) for n in lengths], start(layer, (4,))
    output, h_n = layer(pack_sequence(sequences, enforce_sorted=False), hx)
    padded, out_lengths = pad_packed_sequence(output)
    assert out_lengths.tolist() == lengths
    for n, sequence in enumerate(sequences):
        alone, h = layer(sequence, map_state(lambda part, n=n: part[:, n], hx))
        assert_matches("output", padded[: lengths[n], n], alone, steps=7)
        assert_states(map_state(lambda part, n=n: part[:, n], h_n), h)


def test_padding_gets_no_gradient(make):
    """The same gradients as from the sequences one by one."""
    layer, lengths = make(), [4, 1, 7]
    sequences = [randn(n, P).requires_grad_() for n in lengths]
    parameters = list(layer.parameters())
    output, h_n = layer(pack_sequence(sequences, enforce_sorted=False))
    loss = output.data.square().sum() + sum(part.sum() for part in parts(h_n))
    got = torch.autograd.grad(loss, [*parameters, *sequences])
    single = [layer(sequence) for sequence in sequences]
    loss = sum(o.square().sum() + sum(part.sum() for part in parts(h)) for o, h in single)
    expected = torch.autograd.grad(loss, [*parameters, *sequences])
    for g, e in zip(got, expected, strict=True):
        assert_matches("gradient", g, e, steps=7, factor=64)


def test_a_sequence_can_be_run_in_two_parts(make):
    layer, input = make(2), randn(8, 2, P)
    whole, h_n = layer(input)
    head, h = layer(input[:3])
    tail, h = layer(input[3:], h)
    assert_matches("output", torch.cat((head, tail)), whole, steps=7)
    assert_states(h, h_n)


def test_streaming_is_the_whole(make_ours):
    layer, input = make_ours(2), randn(6, 2, P)
    whole, h_n = layer(input)
    state, outputs = None, []
    for x in input:
        output, state = layer.step(x, state)
        outputs.append(output)
    assert_matches("output", torch.stack(outputs), whole, steps=7)
    assert_states(state, h_n)
    alone, _ = layer.step(input[0, 0])
    assert_matches("unbatched", alone, whole[0, 0])


def test_last_state_alone(make_ours):
    layer, input = make_ours(2), randn(6, 2, P)
    output, h_n = layer(input, need_output=False)
    assert output is None
    assert_states(h_n, layer(input)[1])


def test_final_state_is_the_last_output(make):
    output, h_n = make()(randn(7, 2, P))
    assert_matches("output", output[-1], parts(h_n)[0][0])


def test_dropout_acts_between_layers_and_only_in_training(make):
    layer, input = make(2, dropout=0.5), randn(7, 2, P)
    assert not torch.equal(layer(input)[0], layer(input)[0])
    layer.eval()
    assert torch.equal(layer(input)[0], layer(input)[0])


def test_state_dict_round_trip(make):
    layer, other = make(2, bidirectional=True), make(2, bidirectional=True)
    input = randn(7, 2, P)
    assert not torch.allclose(layer(input)[0], other(input)[0])
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer(input)[0], other(input)[0])


def test_deepcopy_is_equal_and_independent(make):
    layer, input = make(2), randn(7, 2, P)
    before = layer(input)[0]
    twin = copy.deepcopy(layer)
    assert torch.equal(twin(input)[0], before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(layer(input)[0], before)


def test_every_parameter_gets_a_gradient(make):
    layer = make(2, bidirectional=True)
    layer(randn(7, 2, P))[0].square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_functional_call(make):
    layer, other, input = make(), make(), randn(7, 2, P)
    output, _ = torch.func.functional_call(layer, dict(other.named_parameters()), (input,))
    assert torch.equal(output, other(input)[0])
    assert not torch.allclose(output, layer(input)[0])


def test_second_derivatives(make):
    """gradgradcheck would be slow: a Hessian-vector product against a difference of gradients."""
    layer, input = make(), randn(4, 2, P)
    parameters = list(layer.parameters())
    v = [torch.randn_like(parameter) for parameter in parameters]

    def gradient(create_graph=False):
        loss = layer(input)[0].square().sum()
        return torch.autograd.grad(loss, parameters, create_graph=create_graph)

    product = sum((g * w).sum() for g, w in zip(gradient(True), v, strict=True))
    got = torch.autograd.grad(product, parameters)
    ends, h = [], 1e-5
    for sign in (1, -2):
        with torch.no_grad():
            for parameter, w in zip(parameters, v, strict=True):
                parameter.add_(w, alpha=sign * h)
        ends.append(gradient())
    for g, up, down in zip(got, *ends, strict=True):
        expected = (up - down) / (2 * h)
        scale = sum(e.square().sum() for e in ends[0]).sqrt()
        assert (g - expected).norm() < 1e-6 * (1 + scale)  # h² and eps/h are both about 1e-10
