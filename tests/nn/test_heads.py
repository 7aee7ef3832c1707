"""Whole models: encoder, unit, head."""

import pytest
import torch
from matching import assert_matches
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from lipschitz_rnn.nn import LanguageModel, LipschitzRNN, SequenceClassifier, SequenceRegressor


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("p", "n", "q", "expected"),
    [
        (1, 64, 10, 8_970),
        (1, 128, 10, 34_314),
        (3, 128, 10, 34_570),
        (3, 256, 10, 134_666),
        (96, 128, 10, 46_474),
        (96, 256, 10, 158_474),
    ],
)
def test_parameter_counts_of_the_classifiers(p, n, q, expected):
    assert count(SequenceClassifier(LipschitzRNN(p, n), q)) == expected


def test_parameter_counts_of_the_other_models():
    timit = SequenceRegressor(LipschitzRNN(129, 256), 129, every_step=True)
    assert count(timit) == 197_505
    assert count(LanguageModel(LipschitzRNN(200, 750), 50)) == 1_323_300
    assert count(LipschitzRNN(160, 160)) == 76_960
    gated = SequenceClassifier(LipschitzRNN(3, 128, gated=True), 10)
    assert count(gated) == 34_570 + 128 * 4  # one more input matrix and bias
    assert count(LipschitzRNN(1, 128, alpha=0.0)) == 34_314 - 1_290 - 128**2  # no A, no head


RNNS = {
    "LipschitzRNN": LipschitzRNN,
    "LSTM": nn.LSTM,
}


@pytest.fixture(params=RNNS.values(), ids=RNNS)
def make(request):
    def build(**options):
        torch.manual_seed(0)
        return request.param(3, 5, dtype=torch.float64, **options)

    return build


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_last_valid_state_is_read(make, batch_first, bidirectional):
    rnn = make(batch_first=batch_first, bidirectional=bidirectional, num_layers=2)
    model = SequenceClassifier(rnn, 4)
    input, lengths = randn(6, 3, 3), torch.tensor([2, 6, 4])
    padded = input.transpose(0, 1) if batch_first else input
    logits = model(padded, lengths=lengths)
    assert logits.shape == (3, 4)
    packed = model(pack_padded_sequence(input, lengths, enforce_sorted=False))
    assert_matches("packed", packed, logits)
    for n, length in enumerate(lengths):
        assert_matches("alone", logits[n], model(input[:length, n]))
    full = model(padded)
    assert_matches("full", full[1], logits[1])
    assert not torch.allclose(full[0], logits[0])


@pytest.mark.parametrize("batch_first", [False, True])
def test_every_step_is_read(make, batch_first):
    model = SequenceRegressor(make(batch_first=batch_first), 2, every_step=True)
    input, lengths = randn(6, 3, 3), torch.tensor([2, 6, 4])
    padded = input.transpose(0, 1) if batch_first else input
    answers = model(padded)
    assert answers.shape == (*padded.shape[:2], 2)
    valid = model(padded, lengths=lengths)
    assert valid.shape == answers.shape
    swap = (lambda x: x.transpose(0, 1)) if batch_first else (lambda x: x)
    for n, length in enumerate(lengths):
        assert_matches("valid", swap(valid)[:length, n], swap(answers)[:length, n])
        assert not swap(valid)[length:, n].any()
    packed = model(pack_padded_sequence(input, lengths, enforce_sorted=False))
    assert isinstance(packed, PackedSequence)
    assert packed.data.shape == (12, 2)


def test_encoder_comes_before_the_unit(make):
    encoder = nn.Linear(7, 3, dtype=torch.float64)
    model, input = SequenceClassifier(make(), 4, encoder=encoder), randn(6, 2, 7)
    bare = SequenceClassifier(make(), 4)
    bare.head, bare.rnn = model.head, model.rnn
    assert_matches("logits", model(input), bare(encoder(input)))
    packed = pack_padded_sequence(input, [6, 3])
    assert model(packed).shape == (2, 4)


def test_dt_mask_and_state_reach_the_unit():
    rnn = LipschitzRNN(3, 5, dtype=torch.float64, batch_first=True)
    model, input = SequenceClassifier(rnn, 4), randn(2, 6, 3)
    dt, mask, hx = torch.rand(2, 6).double(), torch.rand(2, 6) > 0.5, randn(1, 2, 5)
    expected = model.head(rnn(input, hx, dt=dt, mask=mask)[1][-1])
    assert_matches("logits", model(input, hx, dt=dt, mask=mask), expected)
    lengths = torch.tensor([3, 6])
    logits = model(input, hx, dt=dt, mask=mask, lengths=lengths)
    alone = model(input[:1, :3], hx[:, :1], dt=dt[:1, :3], mask=mask[:1, :3])
    assert_matches("with lengths", logits[:1], alone)


@pytest.mark.parametrize("rnn", [LipschitzRNN, nn.LSTM], ids=lambda r: r.__name__)
@pytest.mark.parametrize("per_feature", [False, True])
def test_gaps_are_filled_before_the_encoder(rnn, per_feature):
    """NaN in a gap reaches neither the logits nor the encoder's gradient; any unit will do."""
    encoder = nn.Linear(5, 3, dtype=torch.float64)
    model = SequenceClassifier(rnn(3, 6, dtype=torch.float64), 4, encoder=encoder)
    input = randn(6, 2, 5)
    mask = torch.rand(6, 2, 5) > 0.4 if per_feature else torch.rand(6, 2) > 0.4
    mask[0] = True
    full = mask if per_feature else mask.unsqueeze(-1).expand_as(input)
    holes = torch.where(full, input, torch.tensor(float("nan")))
    filled = input.clone()
    for t in range(1, 6):
        filled[t] = torch.where(full[t], input[t], filled[t - 1])
    lengths = torch.tensor([6, 3])
    logits = model(holes, mask=mask, lengths=lengths)
    assert_matches("logits", logits, model(filled, lengths=lengths))
    logits.sum().backward()
    assert encoder.weight.grad.isfinite().all()


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")  # torch's
def test_projected_lstm():
    model = SequenceRegressor(nn.LSTM(3, 8, proj_size=4, bidirectional=True), 2)
    assert model(torch.randn(6, 2, 3)).shape == (2, 2)


def test_shared_dt_with_lengths():
    rnn = LipschitzRNN(3, 5, dtype=torch.float64)
    model, input, dt = SequenceClassifier(rnn, 4), randn(6, 2, 3), torch.rand(6).double()
    logits = model(input, dt=dt, lengths=torch.tensor([4, 2]))
    assert_matches("logits", logits[1], model(input[:2, 1], dt=dt[:2]))
    number = model(input, dt=0.5, lengths=torch.tensor([4, 2]))
    assert_matches("number", number[1], model(input[:2, 1], dt=0.5))


def test_dropout_before_the_head():
    model = SequenceClassifier(LipschitzRNN(3, 50), 4, dropout=0.5)
    input = torch.randn(6, 2, 3)
    assert not torch.equal(model(input), model(input))
    model.eval()
    assert torch.equal(model(input), model(input))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": torch.tensor([6])}, r"`lengths` of shape \(B,\) = \(2,\)"),
        ({"lengths": torch.tensor([0, 6])}, "between 1 and 6, got values from 0 to 6"),
        ({"lengths": torch.tensor([1, 7])}, "between 1 and 6, got values from 1 to 7"),
    ],
)
def test_bad_lengths(options, message):
    with pytest.raises(ValueError, match=f"SequenceClassifier: expected .*{message}"):
        SequenceClassifier(LipschitzRNN(3, 5), 4)(torch.randn(6, 2, 3), **options)


def test_lengths_must_be_integers():
    with pytest.raises(TypeError, match=r"expected integer `lengths`, got torch\.float32"):
        SequenceClassifier(LipschitzRNN(3, 5), 4)(torch.randn(6, 2, 3), lengths=torch.ones(2))


def test_lengths_and_packing_exclude_each_other():
    packed = pack_padded_sequence(torch.randn(6, 2, 3), [6, 3])
    with pytest.raises(ValueError, match="got a packed or unbatched input"):
        SequenceClassifier(LipschitzRNN(3, 5), 4)(packed, lengths=torch.tensor([6, 3]))


def test_bad_sizes():
    with pytest.raises(ValueError, match="SequenceClassifier: expected `num_classes` >= 1"):
        SequenceClassifier(LipschitzRNN(3, 5), 0)
    with pytest.raises(ValueError, match="SequenceRegressor: expected `output_size` >= 1"):
        SequenceRegressor(LipschitzRNN(3, 5), 0)
    with pytest.raises(ValueError, match="same size with tie_weights=True, got 3 and 5"):
        LanguageModel(LipschitzRNN(3, 5), 9, tie_weights=True)


@pytest.mark.parametrize("rnn", [LipschitzRNN, nn.GRU], ids=lambda r: r.__name__)
def test_language_model_carries_its_state(rnn):
    model = LanguageModel(rnn(6, 6, dtype=torch.float64), 9, tie_weights=True).eval()
    assert model.head.weight is model.encoder.weight
    assert model.encoder.weight.abs().max() <= 0.1
    tokens = torch.randint(9, (8, 2))
    whole, h_n = model(tokens)
    assert whole.shape == (8, 2, 9)
    head, h = model(tokens[:3])
    tail, h = model(tokens[3:], h)
    assert_matches("logits", torch.cat((head, tail)), whole)
    assert_matches("state", h, h_n)
    assert model(tokens[:, 0])[0].shape == (8, 9)
