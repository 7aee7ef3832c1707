"""Packed sequences through torch's layers in pieces, against torch's own way."""

import pytest
import torch
from matching import assert_matches
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from lipschitz_rnn.nn import SequenceRegressor
from lipschitz_rnn.nn.packed import PIECE, run_packed

LAYERS = {
    "rnn": (nn.RNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, {"num_layers": 2, "batch_first": True}),
    "lstm": (nn.LSTM, {"num_layers": 2}),
    "projected": (nn.LSTM, {"proj_size": 2}),
    "both ways": (nn.LSTM, {"bidirectional": True}),
}


def make(name):
    kind, options = LAYERS[name]
    return kind(3, 4, dtype=torch.float64, **options)


def given(lengths):
    input = torch.randn(max(lengths), len(lengths), 3, dtype=torch.float64, requires_grad=True)
    return input, pack_padded_sequence(input, torch.tensor(lengths), enforce_sorted=False)


def initial(layer, batch):
    def part(size):
        layers = layer.num_layers * (2 if layer.bidirectional else 1)
        return torch.randn(layers, batch, size, dtype=torch.float64, requires_grad=True)

    h = part(layer.proj_size or layer.hidden_size)
    return (h, part(layer.hidden_size)) if isinstance(layer, nn.LSTM) else h


def parts(state):
    return (state,) if isinstance(state, torch.Tensor) else state


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize(
    "lengths",
    [
        [5, 2],
        [PIECE],
        [PIECE + 1, PIECE, 1],
        [PIECE, 2 * PIECE, 3 * PIECE],
        [7, 3 * PIECE + 2, 1, PIECE + 1, 2 * PIECE, 3 * PIECE + 2],
    ],
    ids=lambda lengths: "-".join(map(str, lengths)),
)
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_states_and_gradients_are_those_of_torch(name, lengths, with_state):
    layer = make(name)
    input, packed = given(lengths)
    hx = initial(layer, len(lengths)) if with_state else None
    leaves = [input, *layer.parameters(), *(parts(hx) if with_state else ())]
    found = {}
    for way, (output, h_n) in {
        "torch": layer(packed, hx),
        "pieces": run_packed(layer, packed, hx),
    }.items():
        values = (output.data, *parts(h_n))
        loss = sum((x * x.detach().cos()).sum() for x in values)
        found[way] = output, values, torch.autograd.grad(loss, leaves, retain_graph=True)
    wanted, got = found["torch"], found["pieces"]
    assert isinstance(got[0], PackedSequence)
    for name_, field in wanted[0]._asdict().items():
        if name_ != "data" and field is not None:
            assert torch.equal(getattr(got[0], name_), field)
    for k, (one, other) in enumerate(zip(got[1] + got[2], wanted[1] + wanted[2], strict=True)):
        assert_matches(f"tensor {k}", one, other)


@pytest.fixture
def count_calls(monkeypatch):
    """Steps of every call of torch's GRU."""
    calls, forward = [], nn.GRU.forward

    def spy(self, input, hx=None):
        calls.append(len(input.batch_sizes))
        return forward(self, input, hx)

    monkeypatch.setattr(nn.GRU, "forward", spy)
    return calls


LONG = [3 * PIECE + 2, 5]


def test_the_graph_is_cut_into_pieces(count_calls):
    """What is quadratic in torch is so within a piece: no call has more steps."""
    run_packed(make("gru"), given(LONG)[1], None)
    assert count_calls == [PIECE, PIECE, PIECE, 2]


class Subclass(nn.GRU):
    pass


def parametrized():
    return nn.utils.parametrizations.weight_norm(nn.GRU(3, 4).double(), "weight_hh_l0")


def hooked():
    layer = nn.GRU(3, 4).double()
    layer.register_forward_hook(lambda *_: None)
    return layer


def spectral():
    return nn.utils.spectral_norm(nn.GRU(3, 4).double(), "weight_hh_l0")


@pytest.mark.filterwarnings("ignore:.*spectral_norm.*is deprecated:FutureWarning")
@pytest.mark.parametrize("layer", [lambda: Subclass(3, 4).double(), parametrized, hooked, spectral])
def test_layers_that_may_be_more_than_torchs_run_at_once(count_calls, layer):
    run_packed(layer(), given(LONG)[1], None)
    assert count_calls == [max(LONG)]


def test_without_gradients_layers_run_at_once(count_calls):
    with torch.no_grad():
        run_packed(make("gru"), given(LONG)[1], None)
    assert count_calls == [max(LONG)]


@pytest.mark.parametrize("name", LAYERS)
def test_single_precision_and_sequences_that_were_sorted(name):
    """oneDNN runs the pieces of some layers in float32."""
    layer = make(name).float()
    input = torch.randn(max(LONG), 2, 3)
    packed = pack_padded_sequence(input, torch.tensor(LONG))
    output, state = run_packed(layer, packed, None)
    wanted, last = layer.double()(packed._replace(data=packed.data.double()))
    assert_matches("output", output.data, wanted.data, steps=max(LONG))
    for one, other in zip(parts(state), parts(last), strict=True):
        assert_matches("state", one, other, steps=max(LONG))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # dynamo, where a graph ends
def test_a_compiled_model_does_not_compile_anew_for_each_length():
    model = SequenceRegressor(nn.GRU(3, 4, batch_first=True), 2)
    compiled = torch.compile(model, backend="eager")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    seen = []
    for steps in (50, 90, 130, 170):
        input, lengths = torch.randn(2, steps, 3), torch.tensor([steps, 5])
        assert_matches("answers", compiled(input, lengths=lengths), model(input, lengths=lengths))
        seen.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert seen[1] == seen[2] == seen[3]  # the second length makes the number of steps a symbol


def test_whole_models_use_it(monkeypatch):
    from lipschitz_rnn.nn import heads

    seen = []

    def spy(*arguments):
        seen.append(arguments)
        return run_packed(*arguments)

    monkeypatch.setattr(heads, "run_packed", spy)
    model = SequenceRegressor(make("lstm"), 2, every_step=True)
    input, packed = given([2 * PIECE, 5])
    padded = model(input, lengths=torch.tensor([2 * PIECE, 5]))
    assert_matches("packed", model(packed).data, pack(padded, [2 * PIECE, 5]))
    assert len(seen) == 2
    model(input)
    assert len(seen) == 2


def pack(padded, lengths):
    return pack_padded_sequence(padded, torch.tensor(lengths), enforce_sorted=False).data


def test_a_layer_without_times_refuses_them_as_before():
    model = SequenceRegressor(make("rnn"), 2)
    with pytest.raises(TypeError, match="unexpected keyword argument 'dt'"):
        model(given([2 * PIECE])[1], dt=0.5)
