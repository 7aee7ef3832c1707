"""The training loop of the estimators, in memory."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from lipschitz_rnn.training.optimizer import make_optimizer, undecayed

_UPDATES, _LEAST_EPOCHS = 1_500, 20
"""Updates that suffice for most series, few or many; of many, each is to be seen so often."""

_log = logging.getLogger("lipschitz_rnn.estimators")


class Task(Protocol):
    """What there is to learn."""

    def plan(self) -> Sequence[Tensor]:
        """The batches of an epoch, as indices."""

    def loss(self, index: Tensor) -> Tensor:
        """Mean loss of a batch, a scalar to differentiate."""

    def validate(self) -> float | None:
        """Mean loss of what was held back; None if nothing was."""


@dataclass(frozen=True)
class Settings:
    """How to learn it.

    Attributes:
        lr: Largest learning rate of the cycle.
        max_epochs: Passes over the training series; None for as many as ``_UPDATES`` take.
        patience: Epochs without a better validation loss after which to stop; None for never.
        weight_decay: Of AdamW.
        clip_norm: Largest norm of a gradient.
    """

    lr: float
    max_epochs: int | None
    patience: int | None
    weight_decay: float
    clip_norm: float


@dataclass
class Training:
    """A training under way.

    Attributes:
        where: What messages call the estimator.
        model: Changed in place; it ends with the weights of the best validation loss, or the last.
        task: What to learn.
        settings: How.
        history: The figures of every epoch.
        interrupted: Whether the training was cut short, after some epochs.
    """

    where: str
    model: nn.Module
    task: Task
    settings: Settings

    def __post_init__(self) -> None:
        self.history: list[dict[str, Any]] = []
        self.interrupted = False
        self._best_loss, self._best_epoch = math.inf, 0
        self._best: dict[str, Tensor] | None = None

    def run(self) -> None:
        """Train to the end, or until an interrupt.

        Raises:
            KeyboardInterrupt: If there is one before the first epoch is over; later ones end the
                training, and are for the caller to pass on.
        """
        try:
            self._run_epochs()
        except KeyboardInterrupt:
            if not self.history:
                raise
            self.interrupted = True
        if self._best is not None:
            self.model.load_state_dict(self._best)
        self.model.eval()

    def _run_epochs(self) -> None:
        patience, plan = self.settings.patience, self.task.plan()
        epochs = self.settings.max_epochs or max(-(-_UPDATES // len(plan)), _LEAST_EPOCHS)
        optimizer, schedule = self._optimizer(epochs * len(plan))
        for epoch in range(1, epochs + 1):
            figures = {"epoch": epoch, "loss": self._epoch(plan, optimizer, schedule)}
            self.model.eval()
            with torch.no_grad():
                found = self.task.validate()
            if found is not None:
                figures["validation_loss"] = found
                self._offer(epoch, found)
            self.history.append(figures)
            _log.info("%s: %s", self.where, figures)
            if patience is not None and epoch - self._best_epoch >= patience:
                break
            if figures["loss"] == 0:  # one class: there is nothing to learn
                break
            plan = self.task.plan()

    def _optimizer(self, updates: int) -> tuple[torch.optim.Optimizer, LRScheduler]:
        settings = self.settings
        options = {"lr": settings.lr, "weight_decay": settings.weight_decay, "fused": True}
        parameters = list(self.model.parameters())
        exempt = undecayed(self.model) | {p for p in parameters if p.dim() < 2}
        optimizer = make_optimizer(parameters, "adamw", options, exempt)
        # one more than there are, as the last one of a cycle has next to no learning rate; a cycle
        # of less than eight is none
        total = max(8, updates + 1)
        return optimizer, OneCycleLR(optimizer, settings.lr, total_steps=total, pct_start=0.25)

    def _epoch(
        self, plan: Sequence[Tensor], optimizer: torch.optim.Optimizer, schedule: LRScheduler
    ) -> float:
        """One pass; raises before the weights change if loss or gradient is not finite."""
        self.model.train()
        total, count = 0.0, 0
        for index in plan:
            loss = self.task.loss(index)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
            value = loss.item()
            if not (math.isfinite(value) and math.isfinite(norm.item())):
                raise FloatingPointError(
                    f"{self.where}: expected a finite loss and gradient, got {value} and "
                    f"{norm.item()}. Lower lr, or the step_size in unit_options."
                )
            optimizer.step()
            schedule.step()
            total, count = total + value * len(index), count + len(index)
        return total / count

    def _offer(self, epoch: int, loss: float) -> None:
        if loss < self._best_loss:
            self._best_loss, self._best_epoch = loss, epoch
            state = self.model.state_dict()
            self._best = {name: value.detach().clone() for name, value in state.items()}
