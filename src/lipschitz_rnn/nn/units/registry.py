"""Every unit by name, and layers of any of them."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from lipschitz_rnn._base.checks import nearest, require_choice, require_positive_int
from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.layer import RecurrentLayer
from lipschitz_rnn.nn.rnn import LipschitzRNN
from lipschitz_rnn.nn.units.antisymmetric import AntisymmetricRNNCell
from lipschitz_rnn.nn.units.base import UnitCell
from lipschitz_rnn.nn.units.cayley import CayleyRNNCell
from lipschitz_rnn.nn.units.cornn import CoRNNCell
from lipschitz_rnn.nn.units.exponential import ExponentialRNNCell
from lipschitz_rnn.nn.units.lem import LEMCell
from lipschitz_rnn.nn.units.noisy import NoisyLipschitzRNNCell
from lipschitz_rnn.nn.units.residual import ResidualRNNCell
from lipschitz_rnn.nn.units.torch_layers import TORCH_LAYERS, TORCH_OPTIONS
from lipschitz_rnn.nn.unroll import takes_dt

_OF_THE_LAYER = {"input_size", "hidden_size", "num_layers", "batch_first", "dropout"}
_OF_THE_LAYER |= {"bidirectional", "missing", "device", "dtype"}
_GATED = MappingProxyType({"gated": True})


@dataclass(frozen=True)
class Unit:
    """A unit that :func:`make_layer` can build.

    Attributes:
        name: What ``make_layer`` calls it.
        title: What a table calls it.
        kind: Class of the cell, or of a whole layer.
        source: Who proposed it, and where.
        year: When.
        fixed: Options that make it this unit and not a sibling.
    """

    name: str
    title: str
    kind: type[nn.Module]
    source: str
    year: int
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def takes_dt(self) -> bool:
        """Whether it takes irregular times."""
        return takes_dt(self.kind)


_LIPSCHITZ = "Erichson, Azencot, Queiruga, Hodgkinson, Mahoney, ICLR"
_ANTISYMMETRIC = "Chang, Chen, Haber, Chi, ICLR"

UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        unit.name: unit
        for unit in (
            Unit("lipschitz", "Lipschitz RNN", LipschitzRNN, _LIPSCHITZ, 2021),
            Unit("lipschitz-gated", "gated Lipschitz RNN", LipschitzRNN, _LIPSCHITZ, 2021, _GATED),
            Unit(
                "lipschitz-noisy",
                "noisy RNN",
                NoisyLipschitzRNNCell,
                "Lim, Erichson, Hodgkinson, Mahoney, NeurIPS",
                2021,
            ),
            Unit(
                "residual",
                "neural-ODE RNN",
                ResidualRNNCell,
                "Chen, Rubanova, Bettencourt, Duvenaud, NeurIPS",
                2018,
            ),
            Unit("antisymmetric", "antisymmetric RNN", AntisymmetricRNNCell, _ANTISYMMETRIC, 2019),
            Unit(
                "antisymmetric-gated",
                "gated antisymmetric RNN",
                AntisymmetricRNNCell,
                _ANTISYMMETRIC,
                2019,
                _GATED,
            ),
            Unit("cayley", "Cayley RNN", CayleyRNNCell, "Helfrich, Willmott, Ye, ICML", 2018),
            Unit(
                "exponential",
                "expRNN",
                ExponentialRNNCell,
                "Lezcano-Casado, Martínez-Rubio, ICML",
                2019,
            ),
            Unit("cornn", "coRNN", CoRNNCell, "Rusch, Mishra, ICLR", 2021),
            Unit("lem", "LEM", LEMCell, "Rusch, Mishra, Erichson, Mahoney, ICLR", 2022),
            Unit("rnn", "RNN", TORCH_LAYERS["rnn"], "Elman, Cognitive Science", 1990),
            Unit("gru", "GRU", TORCH_LAYERS["gru"], "Cho et al., EMNLP", 2014),
            Unit(
                "lstm",
                "LSTM",
                TORCH_LAYERS["lstm"],
                "Hochreiter, Schmidhuber, Neural Computation",
                1997,
            ),
        )
    }
)
"""Every unit by name."""


def unit_options(name: str) -> dict[str, Any]:
    """Options that a unit takes beyond those of every layer, with their defaults.

    Args:
        name: A key of ``UNITS``.

    Returns:
        The default of each option.

    Raises:
        ValueError: If there is no such unit.

    Examples:
        >>> unit_options("cornn")
        {'gamma': 2.7, 'epsilon': 4.7, 'step_size': 0.042, 'bias': True}
    """
    require_choice("unit_options", "unit", name, UNITS)
    if name in TORCH_OPTIONS:
        return dict(TORCH_OPTIONS[name])
    unit = UNITS[name]
    parameters = inspect.signature(unit.kind).parameters.values()
    skipped = _OF_THE_LAYER | unit.fixed.keys()
    return {p.name: p.default for p in parameters if p.name not in skipped}


def make_layer(
    name: str,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    *,
    batch_first: bool = False,
    dropout: float = 0.0,
    bidirectional: bool = False,
    device: Device = None,
    dtype: torch.dtype | None = None,
    **options: Any,
) -> nn.Module:
    """Build a recurrent layer of any unit, with the contract of :class:`torch.nn.RNN`.

    Args:
        name: A key of ``UNITS``.
        input_size: P, features of the input.
        hidden_size: H, features of the state.
        num_layers: Layers on top of each other.
        batch_first: Whether input and output are (B, T, P).
        dropout: Probability of dropping an output between layers, in training mode.
        bidirectional: Whether a second set of units reads the sequence backwards.
        device: Of the parameters.
        dtype: Of the parameters.
        **options: Options of the unit: see :func:`unit_options`.

    Returns:
        ``LipschitzRNN``, torch's own layer, or a ``RecurrentLayer`` of cells. A state of coRNN, LEM
        and the LSTM is a pair, its output first.

    Raises:
        ValueError: If there is no such unit, or it has no such option.

    Examples:
        >>> layer = make_layer("lem", 3, 16, num_layers=2, batch_first=True)
        >>> output, (y_n, z_n) = layer(torch.randn(4, 50, 3))
        >>> output.shape, y_n.shape
        (torch.Size([4, 50, 16]), torch.Size([2, 4, 16]))
    """
    require_choice("make_layer", "unit", name, UNITS)
    known = unit_options(name)
    for option in options:
        if option not in known:
            raise ValueError(
                f"make_layer: expected options of {name!r}, any of {', '.join(known)}, got "
                f"{option!r}. {nearest(option, known)}".rstrip()
            )
    require_positive_int("make_layer", "num_layers", num_layers)
    unit = UNITS[name]
    options |= {**unit.fixed, "device": device, "dtype": dtype}
    layer: dict[str, Any] = {"batch_first": batch_first, "dropout": dropout}
    layer["bidirectional"] = bidirectional
    if not issubclass(unit.kind, UnitCell):
        made: nn.Module = unit.kind(input_size, hidden_size, num_layers, **layer, **options)
        return made
    directions = 2 if bidirectional else 1
    cells: list[nn.Module] = []
    for index in range(num_layers * directions):
        size = input_size if index < directions else hidden_size * directions
        cells.append(unit.kind(size, hidden_size, **options))
    return RecurrentLayer(cells, **layer)
