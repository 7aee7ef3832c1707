"""What is trained on what: the sections ``data`` and ``model`` of a configuration."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.nn import UNITS, unit_options
from lipschitz_rnn.nn.contraction import CONSTRAINTS
from lipschitz_rnn.ops import NONLINEARITIES, TABLEAUX
from lipschitz_rnn.ops.call import MEMORIES
from lipschitz_rnn.training.schema import check_fields, choice, number, to_table


@dataclass(frozen=True)
class DataConfig:
    """Which samples; what is unset is left to the data set.

    Attributes:
        name: A data set of :func:`lipschitz_rnn.data.load_split`.
        steps: T, time steps of a sample, or between two updates on a text or a long series.
        task: What is made of the samples, where a data set has several tasks.
        permutation: Name of a permutation of the values of a sample; none if unset.
        pipeline: ``"task"``, as the task is described, or ``"authors"``, as their code does it.
        noise: Whether padding is ``"fresh"`` noise for each sample, or one ``"fixed"`` block.
        augment: Whether training samples are changed at random.
        shift: Training images are moved by up to so many pixels, at random; 0 for none.
        warp: Training images are stretched, turned and leaned by up to this share, at random.
        sample_count: Training samples to draw, for data sets that are drawn.
        train_size: Use the first so many training samples alone.
        validation_size: Training samples set aside for validation.
        split_seed: Chooses which; seed of what is drawn.
        transform_seed: Seed of padding noise and of random changes.
        path: Folder of the samples, where they are files of one's own. A relative one is looked for
            in the data folders first, then in the working directory.
    """

    name: str
    steps: int | None = number(None, low=1, high=10**9)
    task: str | None = None
    permutation: str | None = None
    pipeline: str | None = None
    noise: str | None = None
    augment: bool | None = None
    shift: int = number(0, low=0, high=10**6)
    warp: float = number(0.0, low=0, high=1, open_high=True)
    sample_count: int | None = number(None, low=1, high=10**9)
    train_size: int | None = number(None, low=1)
    validation_size: int | None = number(None, low=1)
    split_seed: int | None = number(None, low=0, high=2**32 - 1)
    transform_seed: int | None = number(None, low=0, high=2**32 - 1)
    path: str | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        check_fields("data", self)

    @property
    def options(self) -> dict[str, Any]:
        """What is set, as keyword arguments of ``load_split``."""
        table = to_table(self)
        del table["name"]
        for name in ("shift", "warp"):  # data sets without images need not know of them
            if not table[name]:
                del table[name]
        return table


@dataclass(frozen=True)
class ModelConfig:
    """Which recurrent unit, and its options; an option that is unset is at the unit's own default.

    Attributes:
        hidden_size: H.
        unit: A key of :data:`lipschitz_rnn.nn.UNITS`.
        num_layers: Layers on top of each other.
        dropout: Between layers and before the head.
        bidirectional: Whether a second set of units reads the sequence backwards.
        embedding_size: Numbers that stand for a symbol; H if unset. For texts alone.
        beta, gamma, beta_a, gamma_a, beta_w, gamma_w, alpha, gated, trainable: Arguments of the
            unit, and so are those that follow; see :func:`lipschitz_rnn.nn.unit_options`.
        constraint, rate: Likewise.
        step_size, method, substeps, nonlinearity, init, init_std, bias: Likewise.
        epsilon, additive_noise, multiplicative_noise: Likewise.
        memory: Likewise: ``"recompute"`` trains on long sequences in less memory.
    """

    hidden_size: int = number(low=1, high=65536)
    unit: str = choice("lipschitz", tuple(UNITS))
    num_layers: int = number(1, low=1, high=1000)
    dropout: float = number(0.0, low=0, high=1, open_high=True)
    bidirectional: bool = False
    embedding_size: int | None = number(None, low=1, high=65536)
    beta: float | None = number(None, low=0, high=1)
    gamma: float | None = number(None, low=0, high=1e6)
    beta_a: float | None = number(None, low=0, high=1)
    gamma_a: float | None = number(None, low=0, high=1e6)
    beta_w: float | None = number(None, low=0, high=1)
    gamma_w: float | None = number(None, low=0, high=1e6)
    step_size: float | None = number(None, low=0, high=1e6, open_low=True)
    method: str | None = choice(None, tuple(TABLEAUX))
    substeps: int | None = number(None, low=1, high=10**6)
    nonlinearity: str | None = choice(None, (*NONLINEARITIES, "modrelu"))
    alpha: float | None = number(None, low=-1e6, high=1e6)
    gated: bool | None = None
    trainable: tuple[str, ...] | None = None
    constraint: str | None = choice(None, CONSTRAINTS)
    rate: float | None = number(None, low=0, high=1e6)
    init: str | None = None
    init_std: float | None = number(None, low=0, high=1e6)
    bias: bool | None = None
    epsilon: float | None = number(None, low=0, high=1e6)
    additive_noise: float | None = number(None, low=0, high=1e6)
    multiplicative_noise: float | None = number(None, low=0, high=1)
    memory: str | None = choice(None, MEMORIES)

    def __post_init__(self) -> None:
        """Check every value, and that the unit takes it."""
        check_fields("model", self)
        taken = unit_options(self.unit)
        for name, value in self.options.items():
            if name not in taken:
                raise InputError(
                    f"model: expected options that the unit {self.unit!r} takes "
                    f"({', '.join(taken)}), got {name}={value!r}. Remove it."
                )

    @property
    def options(self) -> dict[str, Any]:
        """The unit's options that are set, as keyword arguments."""
        table = to_table(self)
        return {name: value for name, value in table.items() if name in UNIT_OPTIONS}


UNIT_OPTIONS = frozenset(
    field.name for field in dataclasses.fields(ModelConfig) if field.default is None
) - {"embedding_size"}
"""Settings of a model that are options of its unit."""
