"""Units by name."""

import inspect

import pytest
import torch
from matching import assert_matches
from torch import nn

from lipschitz_rnn.nn import (
    UNITS,
    LipschitzRNN,
    RecurrentLayer,
    SequenceClassifier,
    make_layer,
    unit_options,
)

NAMES = ["lipschitz", "lipschitz-gated", "lipschitz-noisy", "residual", "antisymmetric"]
NAMES += ["antisymmetric-gated", "cayley", "exponential", "cornn", "lem", "rnn", "gru", "lstm"]


def test_names():
    assert list(UNITS) == NAMES
    for name, unit in UNITS.items():
        assert unit.name == name
        assert unit.title
        assert unit.source
        assert 1985 < unit.year < 2030
    assert len({unit.title for unit in UNITS.values()}) == len(UNITS)


@pytest.mark.parametrize("name", NAMES)
def test_layer_has_the_contract(name):
    layer = make_layer(
        name, 3, 5, 2, batch_first=True, dropout=0.1, bidirectional=True, dtype=torch.float64
    )
    for attribute, value in {
        "input_size": 3,
        "hidden_size": 5,
        "num_layers": 2,
        "batch_first": True,
        "dropout": 0.1,
        "bidirectional": True,
    }.items():
        assert getattr(layer, attribute) == value
    assert {p.dtype for p in layer.parameters()} == {torch.float64}
    output, h_n = layer(torch.randn(4, 7, 3).double())
    assert output.shape == (4, 7, 10)
    assert (h_n if isinstance(h_n, torch.Tensor) else h_n[0]).shape == (4, 4, 5)
    meta = make_layer(name, 3, 5, device="meta")
    assert {p.device.type for p in meta.parameters()} == {"meta"}


@pytest.mark.parametrize("name", NAMES)
def test_options_are_those_that_it_takes(name):
    """Every option can be given, at its default, and is the default."""
    options = unit_options(name)
    layer_wide = {"input_size", "hidden_size", "num_layers", "batch_first", "dropout"}
    layer_wide |= {"bidirectional", "missing", "device", "dtype"}
    assert not options.keys() & layer_wide
    assert inspect.Parameter.empty not in options.values()
    plain, explicit = make_layer(name, 3, 5), make_layer(name, 3, 5, **options)
    assert repr(plain) == repr(explicit)
    if name not in ("rnn", "gru", "lstm"):
        assert set(options) | UNITS[name].fixed.keys() | layer_wide >= set(
            inspect.signature(UNITS[name].kind).parameters
        )


def test_options_by_hand():
    assert unit_options("lstm") == {"bias": True}
    assert unit_options("rnn") == {"nonlinearity": "tanh", "bias": True}
    assert unit_options("lem") == {"step_size": 1.0, "bias": True}
    assert unit_options("cornn")["step_size"] == 0.042
    assert "gated" in unit_options("lipschitz")
    assert "gated" not in unit_options("lipschitz-gated")
    assert "gated" not in unit_options("antisymmetric-gated")


def test_options_reach_the_unit():
    assert make_layer("lipschitz", 3, 5, step_size=0.5).options.step_size == 0.5
    assert make_layer("lipschitz-gated", 3, 5).options.gated
    assert make_layer("antisymmetric-gated", 3, 5).cells[0].options["gated"]
    assert make_layer("residual", 3, 5, method="rk4").cells[0].options["method"] == "rk4"
    assert make_layer("rnn", 3, 5, nonlinearity="relu").nonlinearity == "relu"
    assert make_layer("gru", 3, 5, bias=False).bias is False


def test_the_kinds_of_layers():
    assert type(make_layer("lstm", 3, 5)) is nn.LSTM
    assert isinstance(make_layer("lipschitz", 3, 5), LipschitzRNN)
    assert type(make_layer("exponential", 3, 5)) is RecurrentLayer


@pytest.mark.parametrize("name", NAMES)
def test_model_of_any_unit_learns(name):
    """A few updates on one batch, unequal lengths and all, lower its loss."""
    model = SequenceClassifier(make_layer(name, 3, 16, batch_first=True), num_classes=2)
    target = torch.arange(8) % 2
    input = torch.randn(8, 6, 3) + (4 * target - 2).view(8, 1, 1)  # the sign tells the class
    lengths = torch.tensor([6, 6, 3, 1, 5, 6, 2, 4])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(input, lengths=lengths), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


BAD = [
    (
        ("lipshitz",),
        {},
        r"expected `unit` to be one of lipschitz, .* got 'lipshitz'\. Did you mean",
    ),
    (("nothing like it",), {}, r"got 'nothing like it'\.$"),
    (
        ("cornn",),
        {"gama": 1.0},
        r"expected options of 'cornn', any of gamma, epsilon, step_size, bias, got 'gama'\. "
        r"Did you mean 'gamma'",
    ),
    (("lstm",), {"proj_size": 2}, r"expected options of 'lstm', any of bias, got 'proj_size'\.$"),
    (("lipschitz-gated",), {"gated": False}, "got 'gated'"),
    (("lipschitz",), {"missing": "zero"}, "got 'missing'"),
    (("lem", 3, 5, 0), {}, "expected `num_layers` >= 1, got 0"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), BAD, ids=[b[0][0] for b in BAD])
def test_bad_arguments(arguments, options, message):
    sizes = (3, 5) if len(arguments) == 1 else ()
    with pytest.raises(ValueError, match=message) as caught:
        make_layer(*arguments, *sizes, **options)
    assert str(caught.value).startswith("make_layer: ")


def test_unknown_unit_of_options():
    with pytest.raises(ValueError, match=r"unit_options: expected `unit` to be one of .*'lstm'"):
        unit_options("lstmm")


def test_dropout_without_a_place_to_act_warns():
    with pytest.warns(UserWarning, match="dropout"):
        make_layer("lem", 3, 5, dropout=0.5)


def test_layers_of_a_unit_have_each_their_own_weights():
    layer, input = make_layer("lem", 3, 5, 2, dtype=torch.float64), torch.randn(7, 2, 3).double()
    first, second = layer.cells
    assert first.input_size == 3
    assert second.input_size == 5
    inner, _ = RecurrentLayer(first)(input)
    assert_matches("output", layer(input)[0], RecurrentLayer(second)(inner)[0])
