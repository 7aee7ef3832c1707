"""What a run is: data, model, training and seeds, as frozen dataclasses read from TOML."""

import dataclasses
import re
import tomllib
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import tomli_w

from lipschitz_rnn._base.checks import nearest
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.ops import NONLINEARITIES, TABLEAUX
from lipschitz_rnn.training.device import DEVICES
from lipschitz_rnn.training.optimizer import OPTIMIZERS, check_optimizer_options
from lipschitz_rnn.training.schema import (
    check_fields,
    choice,
    from_table,
    is_optional,
    number,
    to_table,
)

_SEED_LIMIT = 2**63 - 1


@dataclass(frozen=True)
class DataConfig:
    """Which samples.

    Attributes:
        name: A dataset of :func:`lipschitz_rnn.data.load_split`.
        steps: T, time steps a sample is cut into.
        permutation: Name of a permutation of the values of a sample; none if unset.
        validation_size: Training samples set aside for validation.
        split_seed: Chooses which.
    """

    name: str
    steps: int = number(low=1)
    permutation: str | None = None
    validation_size: int = number(2000, low=1)
    split_seed: int = number(1234, low=0, high=2**32 - 1)

    def __post_init__(self) -> None:
        """Check every value."""
        check_fields("data", self)


@dataclass(frozen=True)
class ModelConfig:
    """Which recurrent unit; the attributes are the arguments of ``lipschitz_rnn.nn.LipschitzRNN``.

    ``dropout`` acts between layers and before the head.
    """

    hidden_size: int = number(low=1, high=65536)
    num_layers: int = number(1, low=1, high=1000)
    beta: float = number(0.75, low=0, high=1)
    gamma: float = number(0.001, low=0, high=1e6)
    beta_a: float | None = number(None, low=0, high=1)
    gamma_a: float | None = number(None, low=0, high=1e6)
    beta_w: float | None = number(None, low=0, high=1)
    gamma_w: float | None = number(None, low=0, high=1e6)
    step_size: float = number(0.03, low=0, high=1e6, open_low=True)
    method: str = choice("euler", tuple(TABLEAUX))
    substeps: int = number(1, low=1, high=10**6)
    nonlinearity: str = choice("tanh", tuple(NONLINEARITIES))
    alpha: float = number(1.0, low=-1e6, high=1e6)
    gated: bool = False
    trainable: tuple[str, ...] = ()
    init_std: float = number(0.1, low=0, high=1e6)
    bias: bool = True
    dropout: float = number(0.0, low=0, high=1, open_high=True)
    bidirectional: bool = False

    def __post_init__(self) -> None:
        """Check every value."""
        check_fields("model", self)


@dataclass(frozen=True)
class TrainingConfig:
    """How the weights are found.

    Attributes:
        epochs: Passes over the training samples.
        batch_size: Sequences an update.
        eval_batch_size: Sequences at a time in evaluation.
        optimizer: A key of ``OPTIMIZERS``.
        lr: Learning rate.
        weight_decay: As torch's optimisers define it; 0 for all of them unless set.
        momentum, nesterov, alpha, betas: Passed to optimisers that take them, refused for the
            others; torch's defaults if unset.
        decay_epochs: The learning rate is multiplied by ``decay_factor`` once so many epochs are
            finished: ``[90]`` means epochs 1 to 90 at ``lr`` and epoch 91 onwards at the decayed
            rate. (The authors' code decays one epoch later, ``[91]`` in this convention.)
        decay_factor: See ``decay_epochs``.
        clip_norm: Gradients of larger norm, over all parameters, are scaled to it; 0 for never.
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
    eval_batch_size: int = number(1000, low=1, high=10**9)
    optimizer: str = choice("adam", tuple(OPTIMIZERS))
    weight_decay: float = number(0.0, low=0, high=1e6)
    momentum: float | None = number(None, low=0)
    nesterov: bool | None = None
    alpha: float | None = number(None, low=0, high=1, open_high=True)
    betas: tuple[float, float] | None = number(None, low=0, high=1, open_high=True)
    decay_epochs: tuple[int, ...] = number((), low=1)
    decay_factor: float = number(0.1, low=0, open_low=True)
    clip_norm: float = number(0.0, low=0)
    threads: int = number(0, low=0, high=4096)
    device: str = choice("cpu", DEVICES)
    checkpoint_seconds: float = number(60.0, low=0)
    test_every_epoch: bool = False

    def __post_init__(self) -> None:
        """Check every value, and those of the optimiser together."""
        check_fields("training", self)
        check_optimizer_options("training", self.optimizer, self.optimizer_options)

    @property
    def optimizer_options(self) -> dict[str, Any]:
        """Keyword arguments for the optimiser."""
        names = ("momentum", "nesterov", "alpha", "betas")
        set_by_user = {name: getattr(self, name) for name in names}
        options = {"lr": self.lr, "weight_decay": self.weight_decay, **set_by_user}
        return {name: value for name, value in options.items() if value is not None}

    def lr_in_epoch(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 1.

        Returns:
            ``lr`` after the decays due before that epoch.
        """
        return self.lr * self.decay_factor ** sum(epoch > due for due in self.decay_epochs)


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
                is TOML; a bare word is a string; nothing unsets an optional setting.
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
        for override in overrides:
            _apply(table, override)
        return from_table(cls, table, where)

    def to_toml(self) -> str:
        """The text that :meth:`from_toml` turns back into this configuration.

        Returns:
            TOML.
        """
        return tomli_w.dumps(to_table(self))


def _apply(table: dict[str, Any], override: str) -> None:
    """Put one setting, ``"section.key=value"``, into the table."""
    where = f"--set {override!r}"
    path, equals, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise InputError(f"{where}: expected section.key=value.")
    hint: Any = RunConfig
    for key in keys:
        known = typing.get_type_hints(hint) if dataclasses.is_dataclass(hint) else {}
        if key not in known:
            raise InputError(
                f"{where}: expected a known setting, got {key!r}. {nearest(key, known)}".rstrip()
            )
        hint = known[key]
    *sections, last = keys
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise InputError(f"{where}: expected {section!r} to be a table in the preset.")
    if text.strip():
        table[last] = _parse_value(where, text.strip())
    elif is_optional(hint):
        table.pop(last, None)
    else:
        raise InputError(f"{where}: expected a value, got none; this setting cannot be unset.")


def _parse_value(where: str, text: str) -> Any:
    """Read a TOML value, or a bare word as a string."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        parsed = {"value": text}
        if not re.fullmatch(r"[A-Za-z_][\w./+-]*", text):
            raise InputError(f"{where}: expected a TOML value or a bare word.") from None
    if set(parsed) != {"value"}:
        raise InputError(f"{where}: expected one TOML value.")
    return parsed["value"]
