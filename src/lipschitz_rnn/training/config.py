"""What a run is: data, model, training and seeds, as frozen dataclasses read from TOML."""

import dataclasses
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import tomli_w

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.training.device import DEVICES
from lipschitz_rnn.training.optimizer import OPTIMIZERS, check_optimizer_options
from lipschitz_rnn.training.overrides import apply_override, start_afresh_for_a_new_unit
from lipschitz_rnn.training.schedule import SCHEDULES, one_cycle_factor
from lipschitz_rnn.training.schema import (
    check_fields,
    choice,
    from_table,
    number,
    to_table,
)
from lipschitz_rnn.training.sections import UNIT_OPTIONS
from lipschitz_rnn.training.sections import DataConfig as DataConfig
from lipschitz_rnn.training.sections import ModelConfig as ModelConfig

_SEED_LIMIT = 2**63 - 1


@dataclass(frozen=True)
class TrainingConfig:
    """How the weights are found.

    Attributes:
        epochs: Passes over the training samples.
        batch_size: Sequences an update; of a text, rows read side by side.
        group_by_length: Whether sequences of like length share a batch, which saves padding: see
            :func:`lipschitz_rnn.data.group_by_length`. For samples with lengths. Where every step
            has an answer, an update is weighed by its answers, so that all of an epoch count alike.
        eval_batch_size: Sequences at a time in evaluation; of a text, rows read side by side.
        optimizer: A key of ``OPTIMIZERS``.
        lr: Learning rate.
        weight_decay: As torch's optimisers define it; 0 for all of them unless set.
        momentum, nesterov, alpha, betas: Passed to optimisers that take them, refused for the
            others; torch's defaults if unset.
        decay_epochs: The learning rate is multiplied by ``decay_factor`` once so many epochs are
            finished: ``[90]`` means epochs 1 to 90 at ``lr`` and epoch 91 onwards at the decayed
            rate. (The authors' code decays one epoch later, ``[91]`` in this convention.)
        decay_factor: See ``decay_epochs``.
        schedule: ``"steps"`` decays as said above; ``"one-cycle"`` lets the rate rise to ``lr`` and
            fall to almost nothing, update by update: see
            :func:`lipschitz_rnn.training.schedule.one_cycle_factor`.
        warmup: Share of a one-cycle schedule in which the rate rises; 0.3 if unset.
        plateau_factor: The learning rate is multiplied by it after every epoch whose validation
            figure is not the best so far; 1 for never.
        clip_norm: Gradients of larger norm, over all parameters, are scaled to it; 0 for never.
        average_decay: Of a moving average of the weights, which is what is validated, tested and
            kept: see :mod:`lipschitz_rnn.training.average`. It is taken after every update, of
            cut sequences after every piece; 0 for none.
        contraction_penalty, contraction_rate: Weight and rate of a ``nn.contraction_penalty``.
        certified_radius: Classify as if inputs moved this far in l2, to the worst effect that
            :func:`lipschitz_rnn.nn.margin_logits` allows; for units that contract by construction.
        truncate_steps: Back-propagation through time is cut after so many steps: see
            :mod:`lipschitz_rnn.training.truncate`. Never if unset.
        threads: Threads that torch computes with; 0 for torch's own choice.
        device: ``"cpu"`` or ``"cuda"``.
        checkpoint_seconds: Longest time between checkpoints within an epoch; 0 for one after every
            update. There is always one at the end of an epoch.
        test_every_epoch: Whether the record shows the test samples' result after every epoch, as
            published curves do. Nothing is chosen by it.
    """

    epochs: int = number(low=1, high=10**9)
    lr: float = number(low=0, high=1e30, open_low=True)
    batch_size: int = number(128, low=1, high=10**9)
    group_by_length: bool = False
    eval_batch_size: int = number(1000, low=1, high=10**9)
    optimizer: str = choice("adam", tuple(OPTIMIZERS))
    weight_decay: float = number(0.0, low=0, high=1e6)
    momentum: float | None = number(None, low=0)
    nesterov: bool | None = None
    alpha: float | None = number(None, low=0, high=1, open_high=True)
    betas: tuple[float, float] | None = number(None, low=0, high=1, open_high=True)
    decay_epochs: tuple[int, ...] = number((), low=1)
    decay_factor: float = number(0.1, low=0, open_low=True)
    schedule: str = choice("steps", SCHEDULES)
    warmup: float | None = number(None, low=0, high=1, open_high=True)
    plateau_factor: float = number(1.0, low=0, high=1, open_low=True)
    clip_norm: float = number(0.0, low=0)
    average_decay: float = number(0.0, low=0, high=1, open_high=True)
    contraction_penalty: float = number(0.0, low=0, high=1e6)
    contraction_rate: float = number(0.0, low=0, high=1e6)
    certified_radius: float = number(0.0, low=0, high=1e6)
    truncate_steps: int | None = number(None, low=1, high=10**9)
    threads: int = number(0, low=0, high=4096)
    device: str = choice("cpu", DEVICES)
    checkpoint_seconds: float = number(60.0, low=0)
    test_every_epoch: bool = False

    def __post_init__(self) -> None:
        """Check every value, and those of the optimiser together."""
        check_fields("training", self)
        check_optimizer_options("training", self.optimizer, self.optimizer_options)
        self._check_schedule()

    def _check_schedule(self) -> None:
        """Refuse settings that the schedule makes no use of."""
        if self.schedule == "steps" and self.warmup is not None:
            raise InputError(
                "training: expected no warmup with schedule='steps', got "
                f"warmup={self.warmup}. Remove it, or set schedule='one-cycle'."
            )
        if self.schedule == "one-cycle" and (self.decay_epochs or self.plateau_factor != 1):
            raise InputError(
                "training: expected schedule='one-cycle' to decay the rate by itself, got "
                f"decay_epochs={list(self.decay_epochs)} and plateau_factor={self.plateau_factor}. "
                "Set decay_epochs=[] and plateau_factor=1."
            )

    @property
    def optimizer_options(self) -> dict[str, Any]:
        """Keyword arguments for the optimiser."""
        names = ("momentum", "nesterov", "alpha", "betas")
        set_by_user = {name: getattr(self, name) for name in names}
        options = {"lr": self.lr, "weight_decay": self.weight_decay, **set_by_user}
        return {name: value for name, value in options.items() if value is not None}

    def lr_at(self, epoch: int, update: int, updates: int) -> float:
        """The learning rate of an update.

        Args:
            epoch: Epochs finished before it.
            update: Updates done before it in its epoch.
            updates: Of an epoch.

        Returns:
            ``lr`` as the schedule changes it.
        """
        if self.schedule == "one-cycle":
            warmup = 0.3 if self.warmup is None else self.warmup
            done, total = epoch * updates + update, self.epochs * updates
            return self.lr * one_cycle_factor(done, total, warmup)
        return self.lr * self.decay_factor ** sum(epoch >= due for due in self.decay_epochs)


@dataclass(frozen=True)
class SeedConfig:
    """One seed for each source of chance; changing one leaves the effect of the others the same.

    Attributes:
        init: Initial weights.
        order: Order of the training samples.
        dropout: Dropout masks.
    """

    init: int = number(1, low=0, high=_SEED_LIMIT)
    order: int = number(1, low=0, high=_SEED_LIMIT)
    dropout: int = number(1, low=0, high=_SEED_LIMIT)

    def __post_init__(self) -> None:
        """Check every value."""
        check_fields("seed", self)


@dataclass(frozen=True)
class RunConfig:
    """A run, completely: the same configuration on the same machine gives the same weights.

    Attributes:
        name: What the run is called; presets use their own name.
        data: Which samples.
        model: Which recurrent unit.
        training: How the weights are found.
        seed: One seed for each source of chance.
    """

    name: str
    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    seed: SeedConfig = dataclasses.field(default_factory=SeedConfig)

    def __post_init__(self) -> None:
        """Check every value."""
        check_fields("", self)

    @classmethod
    def from_toml(
        cls, source: str | Path, overrides: Iterable[str] = (), *, where: str | None = None
    ) -> Self:
        """Read a configuration.

        Args:
            source: TOML text, or, as a ``Path``, a file that holds it.
            overrides: Settings ``"section.key=value"`` that replace those of the source. The value
                is TOML; a bare word is a string; nothing unsets an optional setting. A new
                ``model.unit`` starts from its own defaults, not from the preset's options.
            where: What error messages call the source.

        Returns:
            The configuration, checked.

        Raises:
            InputError: If the text is not TOML, a key is unknown or missing, or a value does not
                fit. The message is one line.
        """
        where = where or (str(source) if isinstance(source, Path) else "configuration")
        try:
            text = source.read_text("utf-8") if isinstance(source, Path) else source
            table = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            reason = str(error).replace("\n", " ")
            raise InputError(
                f"{where}: expected a TOML file, got one that fails: {reason}."
            ) from None
        overrides = list(overrides)
        start_afresh_for_a_new_unit(table, overrides, UNIT_OPTIONS)
        for override in overrides:
            apply_override(cls, table, override)
        return from_table(cls, table, where)

    def to_toml(self) -> str:
        """The text that :meth:`from_toml` turns back into this configuration.

        Returns:
            TOML.
        """
        return tomli_w.dumps(to_table(self))
