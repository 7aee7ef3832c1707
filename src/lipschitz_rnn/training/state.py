"""All of a run that a checkpoint keeps: weights, optimiser, random numbers, position, results."""

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Split
from lipschitz_rnn.nn.state import State
from lipschitz_rnn.training.average import WeightAverage
from lipschitz_rnn.training.checkpoint import load_checkpoint, save_checkpoint
from lipschitz_rnn.training.config import RunConfig
from lipschitz_rnn.training.device import (
    random_states,
    require_device,
    restore_random_states,
)
from lipschitz_rnn.training.distributed import from_first, together, worker_number
from lipschitz_rnn.training.metrics import METRICS, Totals
from lipschitz_rnn.training.objective import require_objective, score_batch
from lipschitz_rnn.training.optimizer import (
    load_optimizer_tensors,
    make_optimizer,
    optimizer_tensors,
    undecayed,
)
from lipschitz_rnn.training.plan import require_lengths_to_group
from lipschitz_rnn.training.schema import to_table
from lipschitz_rnn.training.seeds import dropout_seed
from lipschitz_rnn.training.shares import Scoring, carried_state, carried_tensors
from lipschitz_rnn.training.upgrade import upgrade_data, upgrade_totals
from lipschitz_rnn.training.weights import require_own, under


class OtherDataError(InputError):
    """The samples at hand are not those of the run."""


@dataclass
class Progress:
    """How far a run has come; plain values that JSON keeps exactly.

    Attributes:
        epoch: Epochs finished.
        update: Updates done in the epoch after those.
        totals: Training loss and accuracy of that epoch so far.
        gradient_norm: Of the last update; None before the first.
        epoch_seconds: Training time spent on the epoch so far.
        train_seconds: Training time of all finished epochs.
        wall_seconds: Of all sessions, up to the last checkpoint.
        record_length: Bytes of the record that belong to the past.
        record_digest: SHA-256 of those bytes.
        last: Epoch and validation result after the last finished epoch.
        best: The same for the best validation figure so far.
        threads: Threads of each worker, for as long as there are so many workers.
        workers: Processes that shared the work.
        before: Measurements on the initial weights.
        lr_factor: What epochs without progress have made of the learning rate.
        sessions: Where each session ran, and which epoch and update it began at.
    """

    epoch: int = 0
    update: int = 0
    totals: Totals = field(default_factory=Totals)
    gradient_norm: float | None = None
    epoch_seconds: float = 0.0
    train_seconds: float = 0.0
    wall_seconds: float = 0.0
    record_length: int = 0
    record_digest: str = ""
    last: dict[str, Any] | None = None
    best: dict[str, Any] | None = None
    threads: int = 1
    workers: int = 1
    before: dict[str, Any] = field(default_factory=dict)
    lr_factor: float = 1.0
    sessions: list[dict[str, Any]] = field(default_factory=list)


class RunState:
    """A model in training, with everything its future depends on.

    Args:
        config: The configuration.
        model: The model, with its initial weights.
        split: The samples, of which checkpoints keep digest and sizes.

    Raises:
        InputError: If the device of the configuration is not there, its loss not for the model, or
            its batches not for the samples.
    """

    def __init__(self, config: RunConfig, model: nn.Module, split: Split) -> None:
        require_objective(config.training, model, split)
        require_lengths_to_group(config.training, split)
        self.config = config
        self.data = describe_data(split)
        self.device = require_device(config.training.device)
        self.model = model.to(self.device)
        options = config.training.optimizer_options
        self.optimizer = make_optimizer(
            model.parameters(), config.training.optimizer, options, undecayed(model)
        )
        self.average = WeightAverage(self.model, config.training.average_decay)
        self.progress = Progress()
        self.metric = METRICS[split.kind]
        self.score: Scoring = partial(score_batch, model)  # of one worker; `run` has it shared
        self.carried: State | None = None  # where the last batch of a text ended
        self._clock = time.perf_counter()

    @property
    def learning_rate(self) -> float:
        """Of the last update."""
        rate: float = self.optimizer.param_groups[0]["lr"]
        return rate

    def set_learning_rate(self, update: int, updates: int) -> None:
        """Set it for an update of the epoch that is under way.

        Args:
            update: Updates of the epoch before it.
            updates: Of an epoch.
        """
        progress = self.progress
        rate = self.config.training.lr_at(progress.epoch, update, updates)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * progress.lr_factor

    def save(self, path: Path) -> None:
        """Write everything to a checkpoint.

        Args:
            path: The file.
        """
        now = time.perf_counter()
        self.progress.wall_seconds += now - self._clock
        self._clock = now
        tensors = self.average.tensors()
        state = optimizer_tensors(self.optimizer)
        tensors |= {f"optimizer/{name}": value for name, value in state.items()}
        tensors |= random_states(self.device) | carried_tensors(self.carried)
        meta = self._meta("last", dataclasses.asdict(self.progress))
        from_first(lambda: save_checkpoint(path, tensors, meta))

    def require_finite(self, loss: float = 0.0) -> None:
        """Refuse to save a model that has diverged: the checkpoint of before is worth more.

        Args:
            loss: A loss of the present weights, if one is known.

        Raises:
            FloatingPointError: If it, or a weight, is not finite.
        """
        bad = [n for n, p in self.model.named_parameters() if not bool(p.isfinite().all())]
        if bad or not math.isfinite(loss):
            what = f"weights, but {bad[0]} is not" if bad else f"validation loss, got {loss}"
            progress = self.progress
            raise FloatingPointError(
                f"epoch {progress.epoch + 1}, after update {progress.update}: expected finite "
                f"{what}; last finite gradient norm: {progress.gradient_norm}. "
                "Lower training.lr or model.step_size, or set training.clip_norm."
            )

    def save_weights(self, path: Path) -> None:
        """Write the model's weights alone, as the best so far.

        Args:
            path: The file.
        """
        kept = self.average.model.state_dict()
        tensors = {f"model/{name}": value for name, value in kept.items()}
        meta = self._meta("best", self.progress.best or {})
        from_first(lambda: save_checkpoint(path, tensors, meta))

    def restore(self, path: Path) -> None:
        """Put everything back as it was when :meth:`save` wrote it.

        Args:
            path: The file.

        Raises:
            InputError: If the file is damaged, or of another configuration, kind or data.
        """
        tensors, meta = from_first(lambda: load_checkpoint(path))
        together(lambda: self._restore(path, tensors, meta))
        self._clock = time.perf_counter()

    def _restore(self, path: Path, tensors: Mapping[str, Tensor], meta: dict[str, Any]) -> None:
        require_own(path, meta, "last", self.config)
        require_same_data(path, upgrade_data(meta["data"]), self.data)
        self.average.restore(path, tensors)
        load_optimizer_tensors(self.optimizer, under("optimizer/", tensors))
        values = meta["content"]
        totals = Totals(**upgrade_totals(values.pop("totals")))
        self.progress = Progress(totals=totals, **values)
        position = (self.progress.epoch, self.progress.update)
        seed = dropout_seed(self.config.seed.dropout, worker_number(), *position)
        restore_random_states(self.device, tensors, seed)
        self.carried = carried_state(tensors, self.device)

    def _meta(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        table = to_table(self.config)
        return {"kind": kind, "config": table, "data": self.data, "content": content}


def describe_data(split: Split) -> dict[str, Any]:
    """What a checkpoint keeps of the samples.

    Args:
        split: The samples.

    Returns:
        Their digest, input and output size, kind, whether they have times, and the type of arrays.
    """
    dtype = split.input_dtype
    return {
        "digest": split.digest,
        "input_size": split.train.input_size,
        "output_size": split.output_size,
        "kind": split.kind,
        "timed": split.timed,
        **({} if dtype is None else {"input_dtype": dtype}),
    }


def require_same_data(path: Path, trained: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuse samples that are not those of the run.

    Args:
        path: What error messages call the source.
        trained: Data of the checkpoint.
        given: Data at hand.

    Raises:
        OtherDataError: If they differ.
    """
    if given | trained != given:  # an earlier release kept less
        raise OtherDataError(
            f"{path}: expected the samples the run began with (digest {trained['digest'][:12]}), "
            f"got others (digest {given['digest'][:12]})."
        )
