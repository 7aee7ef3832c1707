r"""A worker's share of a batch, and one result from all shares.

Note [Shares of a batch]
A batch of B rows is the same whoever works on it; worker k of K takes the rows from
:math:`\lfloor kB/K \rfloor` to :math:`\lfloor (k+1)B/K \rfloor`, padded as in the whole batch. The
loss is a mean over n answers, of which the share has :math:`n_k`. DistributedDataParallel averages
gradients over the workers, so the loss of a share is differentiated with the weight
:math:`K n_k / n`: the average is then the gradient of the mean over all answers, and whatever else
is added to the loss by every worker alike keeps its weight. A worker without rows, where B < K, or
without answers takes part with one row, or none of its answers, and the weight 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lipschitz_rnn.data import Batch, Dataset
from lipschitz_rnn.nn.state import State
from lipschitz_rnn.training.config import TrainingConfig
from lipschitz_rnn.training.device import forked
from lipschitz_rnn.training.distributed import (
    gathered,
    summed,
    together,
    worker_count,
    worker_number,
)
from lipschitz_rnn.training.metrics import Totals
from lipschitz_rnn.training.objective import Score, score_batch
from lipschitz_rnn.training.truncate import read_pieces

Scoring = Callable[..., Score]
"""What :func:`score_batch` makes of a model: a batch, a state and options to a score."""


@dataclass(frozen=True)
class Pooled:
    """What all shares of a batch come to.

    Attributes:
        loss: Mean over all answers.
        count: Answers.
        samples: Sequences, or symbols of a text.
        correct: Right answers.
        weight: What the loss of this worker's share is multiplied with.
    """

    loss: float
    count: int
    samples: int
    correct: int
    weight: float = 1.0

    def weigh(self, loss: Tensor) -> Tensor:
        """The loss to differentiate on this worker."""
        return loss if self.weight == 1 else loss * self.weight


@dataclass(frozen=True)
class Share:
    """What one worker does of a batch; see Note [Shares of a batch].

    Attributes:
        batch: Its rows.
        is_empty: Whether they are only there for the worker to take part.
    """

    batch: Batch
    is_empty: bool = False

    def pool(self, score: Score, samples: int) -> Pooled:
        """Sum up with the other workers.

        Args:
            score: Of this share.
            samples: Sequences in it, or symbols of a text.

        Returns:
            The result of the whole batch.
        """
        loss = score.loss.item()
        if worker_count() == 1:
            return Pooled(loss, score.count, samples, score.correct)
        if self.is_empty:
            score, samples = replace(score, count=0, correct=0), 0
        count = score.count
        own = (loss * count if count else 0.0, count, samples, score.correct)
        total, answers, sequences, correct = summed(own)
        weight = worker_count() * count / answers
        return Pooled(total / answers, int(answers), int(sequences), int(correct), weight)

    def keep(self, state: State | None) -> State | None:
        """The state that belongs to this share's rows: none if it has none of its own."""
        return None if self.is_empty else state


def own_share(batch: Batch) -> Share:
    """The rows of a batch that this worker takes.

    Args:
        batch: The whole batch, of at least one row.

    Returns:
        All of it if there is only one worker.
    """
    first, last = _bounds(len(batch))
    if (first, last) == (0, len(batch)):
        return Share(batch)
    is_empty = first == last
    rows = slice(0, 1) if is_empty else slice(first, last)
    taken: dict[str, Any] = {
        name: None if part is None else part[rows] for name, part in vars(batch).items()
    }
    return Share(Batch(**taken), is_empty)


def pool_totals(totals: Totals) -> Totals:
    """The sums of all workers' totals."""
    if worker_count() == 1:
        return totals
    loss, *counts = summed((totals.loss, totals.correct, totals.count, totals.samples))
    return Totals(loss, *map(int, counts))


def carried_tensors(state: State | None) -> dict[str, Tensor]:
    """A carried state as a checkpoint keeps it, with the rows (axis -2) of all workers."""
    parts = () if state is None else (state,) if isinstance(state, Tensor) else state
    kind = "tensor" if isinstance(state, Tensor) else "tuple"
    own = {f"carried/{kind}/{number}": part for number, part in enumerate(parts)}
    if worker_count() == 1:
        return own
    workers = [rows for rows in gathered({k: part.cpu() for k, part in own.items()}) if rows]
    names = workers[0] if workers else ()
    return {name: torch.cat([rows[name] for rows in workers], -2) for name in names}


def carried_state(tensors: Mapping[str, Tensor], device: torch.device) -> State | None:
    """This worker's rows of the state that :func:`carried_tensors` gave, or None if it has none."""
    kept = {name: part for name, part in tensors.items() if name.startswith("carried/")}
    if not kept:
        return None
    first, last = _bounds(next(iter(kept.values())).shape[-2])
    parts = [kept[name][..., first:last, :].to(device) for name in sorted(kept, key=_part_number)]
    if first == last:
        return None
    return parts[0] if next(iter(kept)).startswith("carried/tensor/") else tuple(parts)


def _part_number(name: str) -> int:
    return int(name.rpartition("/")[2])


def make_scoring(model: nn.Module, dataset: Dataset, settings: TrainingConfig) -> Scoring:
    """How batches are scored in training: by the model, its gradients averaged over the workers.

    Args:
        model: The model; its weights become those of the first worker.
        dataset: What it is trained on.
        settings: How.

    Returns:
        A function with the arguments of :func:`score_batch` but the model.
    """
    if worker_count() == 1:
        return partial(score_batch, model)
    pieces = read_pieces(dataset, dataset.plan(settings.batch_size)[0], 1, settings.truncate_steps)
    batch = next(own_share(piece.batch).batch for piece in pieces if piece.has_answers)
    leaves_out = any(gathered(together(lambda: _leaves_out(model, batch))))
    return DistributedDataParallel(_Scoring(model), find_unused_parameters=leaves_out)


class _Scoring(nn.Module):
    """The model up to its loss, as a module, which is what DistributedDataParallel takes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, state: State | None = None, **options: Any) -> Score:
        return score_batch(self.model, batch, state, **options)


def _leaves_out(model: nn.Module, batch: Batch) -> bool:
    """Whether a parameter has no part in the loss: torch would wait for its gradient."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    device = parameters[0].device
    with torch.random.fork_rng(devices=forked(device)):
        loss = score_batch(model, batch.to(device)).loss
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return any(gradient is None for gradient in gradients)


def _bounds(rows: int) -> tuple[int, int]:
    """First row of this worker and the one behind its last."""
    number, count = worker_number(), worker_count()
    return number * rows // count, (number + 1) * rows // count
