"""Weights in the authors' names and convention, on made tensors."""

import pytest
import torch
from matching import assert_matches
from torch import nn

from lipschitz_rnn.nn import LipschitzRNN, RecurrentLayer, SequenceClassifier
from lipschitz_rnn.nn.authors import load_authors_tensors

P, H, C, T, B = 3, 5, 4, 6, 2
BETA, GAMMA, EPS, ALPHA = 0.8, 0.01, 0.1, 0.7


def made(gate=None):
    """Tensors that no symmetry helps."""
    shapes = {"B": (H, H), "C": (H, H), "E.weight": (H, P), "E.bias": (H,)}
    shapes |= {"D.weight": (C, H), "D.bias": (C,)}
    if gate is not None:
        shapes |= {f"{gate}.weight": (H, P), f"{gate}.bias": (H,)}
    return {name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}


def model(gated=False, **options):
    options = {"beta": BETA, "gamma": GAMMA, "step_size": EPS, "alpha": ALPHA} | options
    rnn = LipschitzRNN(P, H, gated=gated, batch_first=True, dtype=torch.float64, **options)
    return SequenceClassifier(rnn, C)


def scheme(m):
    return (1 - BETA) * (m + m.T) + BETA * (m - m.T) - GAMMA * torch.eye(H, dtype=torch.float64)


def in_rows(tensors, x, gate=None):
    """The authors' recurrence, on row vectors."""
    a, w = scheme(tensors["B"]), scheme(tensors["C"])
    h = torch.zeros(x.shape[0], H, dtype=torch.float64)
    for t in range(x.shape[1]):
        z = x[:, t] @ tensors["E.weight"].T + tensors["E.bias"]
        slope = ALPHA * h @ a + torch.tanh(h @ w + z)
        if gate is not None:
            extra = x[:, t] @ tensors[f"{gate}.weight"].T + tensors[f"{gate}.bias"]
            slope = slope * torch.sigmoid(h @ w + extra)
        h = h + EPS * slope
    return h @ tensors["D.weight"].T + tensors["D.bias"]


@pytest.mark.parametrize("gate", [None, "E_gate"])
def test_logits_are_those_of_the_row_vector_form(gate):
    tensors, x = made(gate), torch.randn(B, T, P, dtype=torch.float64)
    loaded = model(gated=gate is not None)
    load_authors_tensors(loaded, tensors, gate=gate)
    assert_matches("logits", loaded(x), in_rows(tensors, x, gate), steps=T)
    flipped = dict(tensors, B=tensors["B"].T, C=tensors["C"].T)
    assert not torch.allclose(loaded(x), in_rows(flipped, x, gate))  # the transposition matters


def test_parameters_stay_parameters_and_values_are_copied():
    loaded, tensors = model(), made()
    before = {name: id(p) for name, p in loaded.named_parameters()}
    load_authors_tensors(loaded, tensors)
    assert {name: id(p) for name, p in loaded.named_parameters()} == before
    assert torch.equal(loaded.rnn.parametrizations.weight_a_l0.original, tensors["B"].T)
    tensors["B"].zero_()
    assert loaded.rnn.parametrizations.weight_a_l0.original.abs().sum() > 0


def test_float32_tensors_into_a_float64_model():
    loaded, tensors = model(), {name: x.float() for name, x in made().items()}
    load_authors_tensors(loaded, tensors)
    assert torch.equal(loaded.head.weight, tensors["D.weight"].double())


def without(name):
    tensors = made()
    del tensors[name]
    return tensors


BAD_TENSORS = [
    (lambda: without("C"), ValueError, r"expected tensors named B, C, E.weight.*missing: C\."),
    (lambda: made() | {"F": torch.zeros(1)}, ValueError, r"unknown: F\."),
    (lambda: made("G"), ValueError, r"unknown: G.weight, G.bias\."),
    (
        lambda: made() | {"B": torch.zeros(H, H + 1)},
        ValueError,
        r"`B` of shape \(H, H\) = \(5, 5\)",
    ),
    (lambda: made() | {"E.weight": torch.zeros(P, H)}, ValueError, r"`E.weight` .*\(H, P\)"),
    (lambda: made() | {"D.bias": torch.zeros(9)}, ValueError, r"`D.bias` of shape \(classes,\)"),
    (lambda: made() | {"B": [1.0]}, TypeError, "`B` to be a torch.Tensor, got list"),
    (lambda: made() | {"C": torch.zeros(H, H).long()}, TypeError, "a floating-point `C`"),
]


@pytest.mark.parametrize(
    ("tensors", "error", "message"), BAD_TENSORS, ids=[b[2] for b in BAD_TENSORS]
)
def test_tensors_that_do_not_fit_change_nothing(tensors, error, message):
    loaded = model()
    before = {name: value.clone() for name, value in loaded.state_dict().items()}
    with pytest.raises(error, match=message) as caught:
        load_authors_tensors(loaded, tensors())
    assert str(caught.value).startswith("load_authors_tensors: expected ")
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, before[name]), name


def plain(rnn, **options):
    return SequenceClassifier(rnn, C, **options)


BAD_MODELS = [
    (lambda: nn.Linear(2, 2), TypeError, "SequenceClassifier over a LipschitzRNN, got Linear"),
    (lambda: plain(nn.GRU(P, H)), TypeError, "got SequenceClassifier over a GRU"),
    (
        lambda: plain(RecurrentLayer(nn.GRUCell(P, H))),
        TypeError,
        "got SequenceClassifier over a RecurrentLayer",
    ),
    (lambda: plain(LipschitzRNN(P, H, 2)), ValueError, "without: num_layers=1"),
    (
        lambda: plain(LipschitzRNN(P, H, bidirectional=True)),
        ValueError,
        "without: bidirectional=False",
    ),
    (
        lambda: plain(LipschitzRNN(P, H, alpha=0.0)),
        ValueError,
        "without: a linear term .*its param",
    ),
    (lambda: plain(LipschitzRNN(P, H, bias=False)), ValueError, "without: biases in unit and head"),
    (lambda: plain(LipschitzRNN(P, H), bias=False), ValueError, "without: biases in unit and head"),
    (lambda: plain(LipschitzRNN(P, H), encoder=nn.Linear(P, P)), ValueError, "without: no encoder"),
]


@pytest.mark.parametrize(("build", "error", "message"), BAD_MODELS, ids=[b[2] for b in BAD_MODELS])
def test_models_that_do_not_fit(build, error, message):
    with pytest.raises(error, match=message):
        load_authors_tensors(build(), made())


def test_the_gate_needs_its_name_and_only_a_gate_does():
    with pytest.raises(ValueError, match=r"the name of the gate's linear map as `gate`"):
        load_authors_tensors(model(gated=True), made("G"))
    with pytest.raises(ValueError, match=r"expected no `gate` for a model with gated=False"):
        load_authors_tensors(model(), made("G"), gate="G")
