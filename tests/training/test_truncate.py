"""Truncated back-propagation through time: the gradient is that of a graph cut by hand."""

import pytest
import torch
from matching import assert_matches
from training.truncated import (
    LENGTHS,
    STEPS,
    Given,
    answers_by_hand,
    error,
    gradients,
    gradients_of_pieces,
    make_batch,
    make_model,
)

from lipschitz_rnn.data import Batch
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier, SequenceRegressor, logit_gains
from lipschitz_rnn.nn.margins import margin_logits
from lipschitz_rnn.training.objective import score_batch
from lipschitz_rnn.training.truncate import read_pieces

K = 5
UNITS = ["lipschitz", "lipschitz-gated", "antisymmetric", "lem", "lstm"]


def check(got, wanted):
    for one, other in zip(got, wanted, strict=True):
        assert_matches("gradient", one, other, steps=STEPS, factor=50)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("kind", ["symbols", "frames"])
@pytest.mark.parametrize("unit", UNITS)
def test_an_answer_at_every_step(unit, kind, lengths):
    """Each piece has the gradient of its own answers, the state before it held."""
    model, batch = make_model(kind, unit), make_batch(kind, lengths=lengths)
    rows = answers_by_hand(model, batch, lambda count: range(K, count, K))
    found = gradients_of_pieces(model, batch, K)
    assert len(found) == 5  # of 5, 5, 5, 5 and 3 steps
    for first, (gradient, score) in zip(range(0, STEPS, K), found, strict=True):
        answers = torch.cat([row[first : first + K] for row in rows])
        targets = torch.cat(
            [batch.target[b, : len(row)][first : first + K] for b, row in enumerate(rows)]
        )
        loss = error(answers, targets)
        assert score.count == len(answers)
        assert_matches("loss", score.loss, loss, steps=STEPS)
        check(gradient, gradients(model, loss))


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("kind", ["classes", "values"])
@pytest.mark.parametrize("unit", UNITS)
def test_an_answer_at_the_end(unit, kind, lengths):
    """The last K steps of each sequence, whatever its length, have a gradient."""
    model, batch = make_model(kind, unit), make_batch(kind, lengths=lengths)
    rows = answers_by_hand(model, batch, lambda count: {count - K} - {0})
    loss = error(torch.stack([row[-1] for row in rows]), batch.target)
    [(gradient, score)] = gradients_of_pieces(model, batch, K)
    assert (score.count, score.state) == (len(batch), None)
    assert_matches("loss", score.loss, loss, steps=STEPS)
    check(gradient, gradients(model, loss))


@pytest.mark.parametrize("kind", ["values", "frames"])
def test_irregular_times(kind):
    model = make_model(kind, layers=1)
    batch = make_batch(kind, lengths=LENGTHS, timed=True)
    every = kind == "frames"
    rows = answers_by_hand(
        model, batch, lambda count: range(K, count, K) if every else {count - K} - {0}
    )
    found = gradients_of_pieces(model, batch, K)
    if every:
        parts = [torch.cat([row[t : t + K] for row in rows]) for t in range(0, STEPS, K)]
        targets = [
            torch.cat([batch.target[b, : len(row)][t : t + K] for b, row in enumerate(rows)])
            for t in range(0, STEPS, K)
        ]
    else:
        parts, targets = [torch.stack([row[-1] for row in rows])], [batch.target]
    for (gradient, _), part, target in zip(found, parts, targets, strict=True):
        check(gradient, gradients(model, error(part, target)))


def test_a_linear_unit_has_the_gradient_of_the_formula():
    r"""h_t = r h_{t-1} + ε u x_t with r = 1 + ε w, so the loss (d h_T)² has the cut gradients
    2 d² h_T Σ r^{T-t} ε x_t by u and 2 d² h_T Σ r^{T-t} ε h_{t-1} by w, over the last K steps t.
    """
    eps, w, u, d = 0.3, -0.4, 0.7, 1.3
    rnn = LipschitzRNN.from_matrices(
        None, [[w]], [[u]], step_size=eps, nonlinearity="identity", batch_first=True
    )
    model = SequenceRegressor(rnn, 1, bias=False)
    torch.nn.init.constant_(model.head.weight, d)
    x = torch.randn(1, STEPS, 1, dtype=torch.float64)
    inputs, states, r = x.flatten().tolist(), [0.0], 1 + eps * w
    for value in inputs:
        states.append(r * states[-1] + eps * u * value)
    last = range(STEPS - K, STEPS)
    by_u = sum(eps * r ** (STEPS - 1 - t) * inputs[t] for t in last)
    by_w = sum(eps * r ** (STEPS - 1 - t) * states[t] for t in last)
    batch = Batch(x, torch.zeros(1, 1, dtype=torch.float64))
    [(gradient, _)] = gradients_of_pieces(model, batch, K)
    names = [name for name, _ in model.named_parameters()]
    found = dict(zip(names, (g.item() for g in gradient), strict=True))
    slope = 2 * d**2 * states[-1]
    assert found["rnn.weight_ih_l0"] == pytest.approx(slope * by_u, rel=1e-12)
    assert found["rnn.weight_hh_l0"] == pytest.approx(slope * by_w, rel=1e-12)
    assert found["head.weight"] == pytest.approx(2 * d * states[-1] ** 2, rel=1e-12)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("kind", ["classes", "values", "symbols", "frames"])
def test_no_fewer_steps_than_there_are_cut_nothing(kind, lengths):
    model, batch = make_model(kind), make_batch(kind, lengths=lengths)
    [piece] = read_pieces(Given(batch), None, 1, STEPS)
    assert piece.batch is batch
    assert (piece.has_answers, piece.goes_on, piece.steps) == (True, False, STEPS)
    whole = gradients(model, score_batch(model, batch).loss)
    [(cut, _)] = gradients_of_pieces(model, batch, STEPS)
    assert all(torch.equal(one, other) for one, other in zip(whole, cut, strict=True))


def test_the_margin_is_that_of_the_whole_length():
    """What inputs may change counts from the first step on, wherever the gradient is cut."""
    rnn = LipschitzRNN(
        2, 4, constraint="contractive", rate=0.1, batch_first=True, dtype=torch.float64
    )
    model = SequenceClassifier(rnn, 3)
    x, target = torch.randn(4, STEPS, 2, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    *_, piece = read_pieces(Given(Batch(x, target)), None, 1, K)
    assert (piece.batch.input.shape[1], piece.steps) == (K, STEPS)
    found = score_batch(model, Batch(x, target), radius=0.1, steps=piece.steps).loss
    worst = margin_logits(model(x), target, logit_gains(model, STEPS), 0.1)
    assert torch.equal(found, torch.nn.functional.cross_entropy(worst, target))
    shorter = score_batch(model, Batch(x, target), radius=0.1, steps=K).loss
    assert shorter < found


@pytest.mark.parametrize("kind", ["values", "frames"])
def test_a_piece_holds_no_more_than_its_own_steps(kind):
    """What autograd keeps for the backward pass, in bytes, is that of K steps for any length."""

    def kept(steps):
        held = 0

        def pack(tensor):
            nonlocal held
            held += tensor.nbytes
            return tensor

        model = make_model(kind, layers=1, dtype=torch.float32)
        batch = make_batch(kind, dtype=torch.float32, steps=steps)
        most, state = 0, None
        for piece in read_pieces(Given(batch), None, 1, K):
            held = 0
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                score = score_batch(model, piece.batch, state, carry=piece.goes_on)
            most, state = max(most, held), score.state
        return most

    assert kept(4 * K) == kept(40 * K) > 0
