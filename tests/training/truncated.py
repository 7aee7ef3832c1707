"""Models and batches to be cut, and the cut gradient by hand: the whole graph, detached."""

import torch
from torch.nn import functional

from lipschitz_rnn.data import Batch, SequenceDataset, Split
from lipschitz_rnn.nn import SequenceClassifier, SequenceRegressor, make_layer
from lipschitz_rnn.nn.state import map_state
from lipschitz_rnn.training.objective import score_batch, skim
from lipschitz_rnn.training.truncate import read_pieces

ROWS, STEPS, INPUTS, ANSWERS = 5, 23, 3, 2
LENGTHS = torch.tensor([23, 4, 11, 16, 8])
EVERY_STEP = {"classes": False, "values": False, "symbols": True, "frames": True}


class Given:
    """A data set of one batch, as anybody may write one."""

    carries_state = False

    def __init__(self, batch):
        self.given = batch

    def batch(self, index, epoch=0):
        return self.given


def make_model(kind, unit="lipschitz", layers=2, dtype=torch.float64, **options):
    rnn = make_layer(unit, INPUTS, 6, layers, batch_first=True, dtype=dtype, **options)
    head = SequenceClassifier if kind in {"classes", "symbols"} else SequenceRegressor
    return head(rnn, ANSWERS, every_step=EVERY_STEP[kind])


def make_batch(kind, *, lengths=None, timed=False, dtype=torch.float64, rows=ROWS, steps=STEPS):
    target = {
        "classes": lambda: torch.randint(ANSWERS, (rows,)),
        "values": lambda: torch.randn(rows, ANSWERS, dtype=dtype),
        "symbols": lambda: torch.randint(ANSWERS, (rows, steps)),
        "frames": lambda: torch.randn(rows, steps, ANSWERS, dtype=dtype),
    }[kind]()
    dt = torch.rand(rows, steps, dtype=dtype) + 0.5 if timed else None
    return Batch(torch.randn(rows, steps, INPUTS, dtype=dtype), target, lengths, dt)


def make_split(kind, counts=(22, 9, 8), **options):
    def part(count):
        batch = make_batch(kind, dtype=torch.float32, rows=count, **options)
        return SequenceDataset(batch.input, batch.target, dt=batch.dt)

    return Split("toy", *map(part, counts), ANSWERS, "made here", "0" * 64, kind=kind)


def gradients(model, loss):
    parameters = list(model.parameters())
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def gradients_of_pieces(model, batch, steps):
    """Gradient of each piece that has answers, and its score."""
    state, found = None, []
    for piece in read_pieces(Given(batch), None, 1, steps):
        if not piece.has_answers:
            state = skim(model, piece.batch, state)
            continue
        score = score_batch(model, piece.batch, state, carry=piece.goes_on)
        found.append((gradients(model, score.loss), score))
        state = score.state
    return found


def answers_by_hand(model, batch, cuts):
    """Answers of each row (T_b, Q), one step at a time, the state detached before a cut's step."""
    rows = []
    counts = [STEPS] * len(batch) if batch.lengths is None else batch.lengths.tolist()
    for row, count in enumerate(counts):
        state, answers = None, []
        for t in range(count):
            if t in cuts(count):
                state = map_state(torch.Tensor.detach, state)
            x = batch.input[row : row + 1, t : t + 1]
            options = {} if batch.dt is None else {"dt": batch.dt[row : row + 1, t : t + 1]}
            output, state = model.rnn(x, state, **options)
            answers.append(model.head(output)[0, 0])
        rows.append(torch.stack(answers))
    return rows


def error(answers, targets):
    """The loss of answers (n, Q)."""
    if targets.is_floating_point():
        return (answers - targets).square().mean()
    return functional.cross_entropy(answers, targets)
