import math

import pytest
import torch
from torch import nn

from lipschitz_rnn.data import KINDS, Batch, FrameDataset, SequenceDataset, SymbolStream
from lipschitz_rnn.nn import (
    LanguageModel,
    LipschitzRNN,
    SequenceClassifier,
    SequenceRegressor,
    logit_gains,
)
from lipschitz_rnn.training import evaluate
from lipschitz_rnn.training.metrics import METRICS, Totals
from lipschitz_rnn.training.objective import score_batch


class Constant(nn.Module):
    """Answers zero at every step, whatever the lengths."""

    def forward(self, input, lengths=None):
        return torch.zeros_like(input)


def test_padding_counts_neither_above_nor_below_the_line():
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor([5, 2, 9])
    frames = torch.randn(16, 4, generator=generator, dtype=torch.float32)
    data = FrameDataset(frames, torch.tensor([0, 5, 7]), counts)
    wanted = torch.cat([frames[1:5], frames[6:7], frames[8:16]]).double().square().mean()
    whole = evaluate(Constant(), data, 3, kind="spectra")
    assert whole.count == 4 + 1 + 8
    assert whole.samples == 3
    assert whole.loss == pytest.approx(float(wanted), rel=1e-6)
    # weighted by frames, not by batches
    assert evaluate(Constant(), data, 2, kind="spectra").loss == pytest.approx(
        float(wanted), rel=1e-6
    )
    assert whole.figures["mse_db"] == pytest.approx(
        whole.loss * (20 * math.log10(math.e)) ** 2, rel=1e-12
    )


def test_padded_steps_send_no_gradient():
    torch.manual_seed(0)
    model = SequenceRegressor(LipschitzRNN(2, 4, batch_first=True), 2, every_step=True)
    batch = Batch(torch.randn(2, 6, 2), torch.randn(2, 6, 2), lengths=torch.tensor([6, 3]))
    changed = Batch(batch.input.clone(), batch.target.clone(), lengths=batch.lengths)
    changed.input[1, 3:], changed.target[1, 3:] = 1e3, 1e6

    def gradients(batch):
        model.zero_grad()
        score_batch(model, batch).loss.backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    assert torch.equal(gradients(batch), gradients(changed))


def test_times_reach_the_unit():
    torch.manual_seed(0)
    model = SequenceRegressor(LipschitzRNN(1, 4, batch_first=True), 1, every_step=True)
    input, target = torch.randn(2, 5, 1), torch.randn(2, 5, 1)
    dt = torch.rand(2, 5) + 0.5
    score = score_batch(model, Batch(input, target, dt=dt))
    assert torch.equal(score.loss, (model(input, dt=dt) - target).square().mean())
    assert not torch.equal(score.loss, score_batch(model, Batch(input, target)).loss)


def test_a_text_is_read_with_its_state_carried_over():
    """Segments of any length give the loss of the whole row at once."""
    torch.manual_seed(0)
    model = LanguageModel(LipschitzRNN(3, 5, step_size=0.5, batch_first=True), 4).double()
    symbols = torch.randint(4, (2 * 30 + 1,))
    losses = [
        evaluate(model, SymbolStream(symbols, 4, steps), 2, kind="characters").loss
        for steps in (30, 7, 1)
    ]
    rows = torch.stack((symbols[:30], symbols[30:60]))
    with torch.no_grad():
        logits, _ = model(rows)
    following = torch.stack((symbols[1:31], symbols[31:61]))
    whole = nn.functional.cross_entropy(logits.flatten(0, 1), following.flatten())
    assert losses == pytest.approx([float(whole)] * 3, rel=1e-12)
    cut = evaluate(model, SymbolStream(symbols, 4, 7), 2, kind="characters")
    assert cut.count == cut.samples == 60
    assert cut.figures["bits_per_character"] == pytest.approx(float(whole) / math.log(2))
    assert cut.figures["perplexity"] == pytest.approx(math.exp(float(whole)))


def test_the_carried_state_is_cut_from_the_graph():
    torch.manual_seed(0)
    model = LanguageModel(LipschitzRNN(3, 5, batch_first=True), 4)
    tokens = torch.randint(4, (2, 6))
    score = score_batch(model, Batch(tokens, tokens))
    assert not score.state.requires_grad
    score_batch(model, Batch(tokens, tokens), score.state).loss.backward()
    again = score_batch(model, Batch(tokens, tokens), score.state)
    assert not torch.equal(again.loss, score.loss)  # the state matters


def test_a_symbol_at_every_step_is_counted_at_every_step():
    logits = torch.zeros(2, 3, 4)
    logits[0, 0, 1] = logits[0, 1, 2] = 5.0

    class Fixed(nn.Module):
        def forward(self, input):
            return logits[: len(input)]

    target = torch.tensor([[1, 2, 3], [0, 0, 3]])
    result = evaluate(Fixed(), SequenceDataset(torch.zeros(2, 3, 1), target), 2, kind="symbols")
    assert (result.count, result.samples) == (6, 2)
    assert result.figures["accuracy"] == 4 / 6  # a tie goes to the first class, 0
    wanted = nn.functional.cross_entropy(logits.double().flatten(0, 1), target.flatten())
    assert result.loss == pytest.approx(float(wanted), rel=1e-6)


def test_every_kind_has_a_metric_among_its_figures():
    assert set(METRICS) == set(KINDS)
    totals = Totals(3.0, 1, 4, 2)
    for metric in METRICS.values():
        assert metric.name in metric.figures(totals)
        assert metric.is_better(0.9, 0.1) == metric.larger_is_better
        assert not metric.is_better(0.5, 0.5)
        assert not metric.is_better(math.nan, 0.5)


def test_margins_are_in_the_loss_and_not_in_the_counts():
    torch.manual_seed(0)
    rnn = LipschitzRNN(2, 4, batch_first=True, constraint="contractive")
    model = SequenceClassifier(rnn, 3)
    batch = Batch(torch.randn(7, 5, 2), torch.tensor([0, 1, 2, 0, 1, 2, 0]))
    plain, kept = (score_batch(model, batch, radius=radius) for radius in (0.0, 0.5))
    gains = logit_gains(model, 5).float()
    worst = model(batch.input) + 0.5 * gains[batch.target]  # G_cc = 0 leaves the true class alone
    expected = nn.functional.cross_entropy(worst, batch.target)
    assert kept.loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert kept.loss > plain.loss
    assert (kept.count, kept.correct) == (plain.count, plain.correct) == (7, plain.correct)
