"""The contract of ``torch.nn.RNN``, held by it and by our layers alike."""

import copy
import warnings

import pytest
import torch
from matching import assert_matches
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

from lipschitz_rnn.nn import LipschitzRNN, LipschitzRNNCell, RecurrentLayer

P, H = 3, 5


def cells_of(kind):
    """A factory with the signature of ``nn.RNN`` that builds a layer from single cells."""

    def build(input_size, hidden_size, num_layers=1, *, bidirectional=False, dtype=None, **options):
        directions = 2 if bidirectional else 1
        cells = [
            kind(hidden_size * directions if layer else input_size, hidden_size, dtype=dtype)
            for layer in range(num_layers)
            for _ in range(directions)
        ]
        return RecurrentLayer(cells, bidirectional=bidirectional, **options)

    return build


LAYERS = {
    "torch.nn.RNN": nn.RNN,
    "torch.nn.GRU": nn.GRU,
    "LipschitzRNN": LipschitzRNN,
    "RecurrentLayer of LipschitzRNNCell": cells_of(LipschitzRNNCell),
    "RecurrentLayer of GRUCell": cells_of(nn.GRUCell),
}


@pytest.fixture(params=LAYERS.values(), ids=LAYERS)
def make(request):
    """Build a layer in float64, large enough in scale that states differ visibly."""

    def build(*args, **options):
        layer = request.param(*(args or (P, H)), dtype=torch.float64, **options)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.normal_(std=0.5)
        return layer

    return build


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("batch", [1, 2, H], ids=lambda b: f"B={b}")
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_shapes(make, num_layers, bidirectional, batch):
    layer = make(P, H, num_layers, bidirectional=bidirectional)
    directions = 2 if bidirectional else 1
    output, h_n = layer(randn(7, batch, P))
    assert output.shape == (7, batch, directions * H)
    assert h_n.shape == (num_layers * directions, batch, H)


@pytest.mark.parametrize("batch", [1, 2, H, 7], ids=lambda b: f"B={b}")
def test_samples_of_a_batch_do_not_see_each_other(make, batch):
    """Also where the batch is as large as the state or the sequence."""
    layer, input, hx = make(), randn(7, batch, P), randn(1, batch, H)
    together, h_n = layer(input, hx)
    for n in range(batch):
        alone, h = layer(input[:, n : n + 1], hx[:, n : n + 1])
        assert_matches("output", together[:, n : n + 1], alone)
        assert_matches("h_n", h_n[:, n : n + 1], h)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_unbatched_is_a_batch_of_one(make, bidirectional):
    layer = make(P, H, 2, bidirectional=bidirectional)
    input, hx = randn(7, P), randn(4 if bidirectional else 2, H)
    output, h_n = layer(input, hx)
    expected, h = layer(input.unsqueeze(1), hx.unsqueeze(1))
    assert torch.equal(output, expected.squeeze(1))
    assert torch.equal(h_n, h.squeeze(1))


def test_unbatched_ignores_batch_first(make):
    layer = make(P, H, batch_first=True)
    input = randn(7, P)
    assert torch.equal(layer(input)[0], layer(input.unsqueeze(0))[0].squeeze(0))


def test_batch_first_moves_input_and_output_but_not_states(make):
    layer = make(P, H, 2)
    first = make(P, H, 2, batch_first=True)
    first.load_state_dict(layer.state_dict())
    input, hx = randn(7, 2, P), randn(2, 2, H)
    expected, h = layer(input, hx)
    output, h_n = first(input.transpose(0, 1), hx)
    assert_matches("output", output, expected.transpose(0, 1))
    assert_matches("h_n", h_n, h)


def test_initial_state_defaults_to_zero(make):
    layer, input = make(), randn(7, 2, P)
    assert torch.equal(layer(input)[0], layer(input, torch.zeros(1, 2, H).double())[0])


def test_a_sequence_can_be_run_in_two_parts(make):
    layer, input = make(P, H, 2), randn(8, 2, P)
    whole, h_n = layer(input)
    head, h = layer(input[:3])
    tail, h = layer(input[3:], h)
    assert_matches("output", torch.cat((head, tail)), whole)
    assert_matches("h_n", h, h_n)


def test_final_state_is_the_last_output(make):
    output, h_n = make()(randn(7, 2, P))
    assert torch.equal(output[-1], h_n[0])


def other_direction(name):
    """The name of the same parameter of the other direction."""
    if name.startswith("cells."):
        return (
            name.replace("cells.0.", "@").replace("cells.1.", "cells.0.").replace("@", "cells.1.")
        )
    if "_reverse" in name:
        return name.replace("_reverse", "")
    return name.replace("_l0", "_l0_reverse", 1)


def test_reverse_direction_is_the_forward_one_on_the_reversed_sequence(make):
    layer, input = make(P, H, bidirectional=True), randn(7, 2, P)
    swapped = copy.deepcopy(layer)
    swapped.load_state_dict({other_direction(k): v for k, v in layer.state_dict().items()})
    output, h_n = layer(input)
    mirrored, h_mirrored = swapped(input.flip(0))
    assert_matches("reverse half", output[..., H:], mirrored.flip(0)[..., :H])
    assert_matches("forward half", output[..., :H], mirrored.flip(0)[..., H:])
    assert_matches("h_n", h_n, h_mirrored.flip(0))


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_packed_sequences_are_run_each_by_itself(make, num_layers, bidirectional, enforce_sorted):
    layer = make(P, H, num_layers, bidirectional=bidirectional)
    lengths = [7, 4, 4, 1] if enforce_sorted else [4, 1, 7, 4]
    sequences = [randn(n, P) for n in lengths]
    packed = pack_sequence(sequences, enforce_sorted=enforce_sorted)
    hx = randn(num_layers * (2 if bidirectional else 1), 4, H)
    output, h_n = layer(packed, hx)
    assert isinstance(output, PackedSequence)
    assert torch.equal(output.batch_sizes, packed.batch_sizes)
    for field in ("sorted_indices", "unsorted_indices"):
        got, expected = getattr(output, field), getattr(packed, field)
        assert (got is None and expected is None) or torch.equal(got, expected)
    padded, out_lengths = nn.utils.rnn.pad_packed_sequence(output)
    assert out_lengths.tolist() == lengths
    for n, sequence in enumerate(sequences):
        alone, h = layer(sequence, hx[:, n])
        assert_matches("output", padded[: lengths[n], n], alone)
        assert_matches("h_n", h_n[:, n], h)


def test_packed_input_of_a_batch_first_layer(make):
    layer = make(P, H, batch_first=True)
    batch = randn(3, 6, P)
    packed = pack_padded_sequence(batch, [6, 2, 3], batch_first=True, enforce_sorted=False)
    _, h_n = layer(packed)
    assert_matches("h_n", h_n[:, 1], layer(batch[1:2, :2])[1][:, 0])


def test_dropout_acts_between_layers_and_only_in_training(make):
    layer, input = make(P, H, 2, dropout=0.5), randn(7, 2, P)
    first, second = layer(input)[0], layer(input)[0]
    assert not torch.equal(first, second)
    layer.eval()
    assert torch.equal(layer(input)[0], layer(input)[0])
    certain = make(P, H, 2, dropout=1.0)
    blind = certain(input)[0]
    assert_matches("nothing of the input passes", blind[:, 0], blind[:, 1])


def test_dropout_without_a_place_to_act_warns(make):
    with pytest.warns(UserWarning, match="dropout"):
        make(P, H, 1, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(P, H, 2, dropout=0.5)


def test_state_dict_round_trip(make):
    layer, input = make(P, H, 2, bidirectional=True), randn(7, 2, P)
    other = make(P, H, 2, bidirectional=True)
    assert not torch.allclose(layer(input)[0], other(input)[0])
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer(input)[0], other(input)[0])


def test_deepcopy_is_equal_and_independent(make):
    layer, input = make(P, H, 2), randn(7, 2, P)
    before = layer(input)[0]
    twin = copy.deepcopy(layer)
    assert torch.equal(twin(input)[0], before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(layer(input)[0], before)


def test_every_parameter_gets_a_gradient(make):
    layer = make(P, H, 2, bidirectional=True)
    layer(randn(7, 2, P))[0].sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_gradient_reaches_input_and_initial_state_also_in_eval_mode(make):
    layer = make().eval()
    input, hx = randn(7, 2, P).requires_grad_(), randn(1, 2, H).requires_grad_()
    layer(input, hx)[0].sum().backward()
    assert input.grad.abs().sum(2).min() > 0
    assert hx.grad.abs().sum() > 0


def test_functional_call(make):
    layer, input = make(), randn(7, 2, P)
    other = make()
    parameters = dict(other.named_parameters())
    output, _ = torch.func.functional_call(layer, parameters, (input,))
    assert torch.equal(output, other(input)[0])
    assert not torch.allclose(output, layer(input)[0])


def test_device_and_dtype_move(make):
    layer = make().to(torch.float32)
    assert {p.dtype for p in layer.parameters()} == {torch.float32}
    output, h_n = layer(torch.randn(7, 2, P))
    assert output.dtype == h_n.dtype == torch.float32
    assert {p.device.type for p in layer.to("meta").parameters()} == {"meta"}


def test_inputs_need_not_be_contiguous(make):
    layer, input = make(), randn(2, P, 7)
    strided = input.permute(2, 0, 1)
    assert_matches("output", layer(strided)[0], layer(strided.contiguous())[0])


def test_flatten_parameters_can_be_called(make):
    make().flatten_parameters()


BAD = {
    "wrong input size": lambda: (randn(7, 2, P + 1),),
    "no batch and no time": lambda: (randn(P),),
    "four dimensions": lambda: (randn(1, 7, 2, P),),
    "no steps": lambda: (randn(0, 2, P),),
    "wrong batch of hx": lambda: (randn(7, 2, P), randn(1, 3, H)),
    "wrong layers of hx": lambda: (randn(7, 2, P), randn(2, 2, H)),
    "wrong size of hx": lambda: (randn(7, 2, P), randn(1, 2, H + 1)),
    "unbatched hx": lambda: (randn(7, 2, P), randn(1, H)),
    "batched hx": lambda: (randn(7, P), randn(1, 2, H)),
    "integers": lambda: (torch.ones(7, 2, P).long(),),
    "wrong dtype": lambda: (torch.ones(7, 2, P),),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_raises(make, case):
    """torch says RuntimeError here and there; from ours it comes only out of a cell of torch's."""
    layer, arguments = make(), BAD[case]()
    ours = isinstance(layer, RecurrentLayer) and not (
        case == "wrong dtype" and isinstance(getattr(layer, "cells", [None])[0], nn.GRUCell)
    )
    with pytest.raises((TypeError, ValueError) if ours else (TypeError, ValueError, RuntimeError)):
        layer(*arguments)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("layer", "cell"), [(nn.GRU, nn.GRUCell), (nn.RNN, nn.RNNCell)])
def test_recurrent_layer_of_torch_cells_is_torchs_layer(layer, cell, num_layers, bidirectional):
    """RecurrentLayer is held to torch's own implementation of the same equations."""
    options = {"bidirectional": bidirectional}
    expected = layer(P, H, num_layers, dtype=torch.float64, **options)
    ours = cells_of(cell)(P, H, num_layers, dtype=torch.float64, **options)
    for flat, one in zip(expected.all_weights, ours.cells, strict=True):
        for name, value in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), flat, strict=True):
            one.load_state_dict({**one.state_dict(), name: value})
    packed = pack_sequence([randn(n, P) for n in (3, 6, 1)], enforce_sorted=False)
    hx = randn(num_layers * (2 if bidirectional else 1), 3, H)
    for input in (randn(7, 3, P), packed):
        got, want = ours(input, hx), expected(input, hx)
        got_data, want_data = (
            x[0] if isinstance(x[0], torch.Tensor) else x[0].data for x in (got, want)
        )
        assert_matches("output", got_data, want_data, steps=7)
        assert_matches("h_n", got[1], want[1], steps=7)
