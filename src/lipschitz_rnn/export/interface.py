"""What goes into an exported model and comes out, whatever the format."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.export.stateful import Stateful
from lipschitz_rnn.export.units import UnitStep, unit_steps
from lipschitz_rnn.nn import LanguageModel, SequenceClassifier, SequenceRegressor
from lipschitz_rnn.nn.patches import Patches, PatchModel
from lipschitz_rnn.nn.pooled import PooledRegressor
from lipschitz_rnn.nn.state import State

Shape = tuple[int | str, ...]
"""Sizes, and letters for those that are free."""


@dataclass(frozen=True, eq=False)
class Interface:
    """A model to export, and the names, types and sizes of what it takes and gives.

    Attributes:
        model: A copy on the CPU, in evaluation mode.
        units: Its layers and directions.
        dtype: Of its weights.
        dt: Whether it takes times.
        lengths: Whether it takes lengths.
        mask: Whether it takes a mask.
        step: Whether it is one step of a stream.
    """

    model: Any
    units: tuple[UnitStep, ...]
    dtype: torch.dtype
    dt: bool = False
    lengths: bool = False
    mask: bool = False
    step: bool = False

    @property
    def patches(self) -> Patches | None:
        """What cuts a series for the reader; None if nothing does."""
        return self.model.patches if isinstance(self.model, PatchModel) else None

    @property
    def reader(self) -> Any:
        """The model, without what cuts a series for it."""
        return _reader_of(self.model)

    @property
    def layer(self) -> Any:
        """The recurrent layer."""
        return _layer_of(self.model)

    @property
    def encoder(self) -> nn.Module:
        """What is applied to the input of the layer first."""
        encoder: nn.Module = getattr(self.reader, "encoder", nn.Identity())
        return encoder

    @property
    def whole(self) -> bool:
        """Whether it answers for a whole series, and so has no state to go on from."""
        return isinstance(self.model, PatchModel | PooledRegressor)

    @property
    def directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.layer.bidirectional else 1

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the inputs that are the state."""
        if self.whole:
            return ()
        parts = self.units[0].parts
        return ("hx",) if len(parts) == 1 else tuple(f"hx_{part}" for part in parts)

    @property
    def answers_every_step(self) -> bool:
        """Whether the answers have an axis of time."""
        return self._asks_every_step and not self.step and not self.whole

    @property
    def reads_every_state(self) -> bool:
        """Whether the answers are made of all states of the last layer."""
        return self.answers_every_step or isinstance(self.reader, PooledRegressor)

    @property
    def _asks_every_step(self) -> bool:
        return bool(getattr(self.model, "every_step", True))  # layers and language models do

    @property
    def _time(self) -> int:
        return 1 if self.layer.batch_first else 0

    def _sequence(self, *features: int) -> Shape:
        if self.step:
            return ("B", *features)
        return ("B", "T", *features) if self.layer.batch_first else ("T", "B", *features)

    def inputs(self) -> dict[str, tuple[torch.dtype, Shape]]:
        """Dtype and shape of what goes in, by name."""
        name = "tokens" if isinstance(self.model, LanguageModel) else "input"
        count = self.layer.num_layers * self.directions
        state = self.dtype, (count, "B", self.layer.hidden_size)
        found: dict[str, tuple[torch.dtype, Shape]] = {name: self._input()}
        found |= dict.fromkeys(self.states, state)
        if self.dt:
            found["dt"] = self.dtype, self._sequence()
        if self.lengths:
            found["lengths"] = torch.int64, ("B",)
        if self.mask:
            found["mask"] = torch.bool, found[name][1]
        return found

    def _input(self) -> tuple[torch.dtype, Shape]:
        if self.features is None:
            return torch.int64, self._sequence()
        return self.dtype, self._sequence(self.features)

    @property
    def features(self) -> int | None:
        """Numbers per observation; None of a model that reads symbols."""
        window = 1 if self.patches is None else self.patches.window
        for module in self.encoder.modules():
            if isinstance(module, nn.Embedding):
                return None
            if isinstance(module, nn.Linear):
                return module.in_features // window
        return int(self.layer.input_size) // window

    def outputs(self) -> dict[str, tuple[torch.dtype, Shape]]:
        """Dtype and shape of what comes out, by name."""
        logits = isinstance(self.model, SequenceClassifier | LanguageModel)
        head = getattr(self.reader, "head", None)
        size = self.layer.hidden_size * self.directions if head is None else head.out_features
        shape = self._sequence(size) if self.answers_every_step else ("B", size)
        found: dict[str, tuple[torch.dtype, Shape]] = {
            "logits" if logits else "output": (self.dtype, shape)
        }
        if self.whole:
            return found
        state = self.inputs()[self.states[0]]
        return found | {f"{part}_n": state for part in self.units[0].parts}

    def sample(self, steps: int, batch: int, seed: int = 0) -> dict[str, Tensor]:
        """Random inputs, by name; in place of steps, so many windows and one observation more."""
        if self.patches is not None:
            steps = steps * self.patches.window + 1
        generator = torch.Generator().manual_seed(seed)
        sizes = {"T": steps, "B": batch}
        found = {}
        for name, (dtype, letters) in self.inputs().items():
            shape = [sizes[n] if isinstance(n, str) else n for n in letters]
            if name == "lengths":
                value = torch.randint(1, steps + 1, shape, generator=generator)
            elif dtype == torch.bool:
                value = torch.rand(shape, generator=generator) < 0.7
            elif dtype == torch.int64:
                symbols = (m for m in self.encoder.modules() if isinstance(m, nn.Embedding))
                value = torch.randint(next(symbols).num_embeddings, shape, generator=generator)
            elif name == "dt":
                value = torch.rand(shape, generator=generator, dtype=dtype)
                if self._is_constrained:  # which may admit whole steps alone, also as a mean
                    value = value.round() if self.patches is None else torch.ones_like(value)
            else:
                value = torch.randn(shape, generator=generator, dtype=dtype)
            found[name] = value
        return found

    @property
    def _is_constrained(self) -> bool:
        options = (getattr(module, "options", None) for module in self.model.modules())
        return any(getattr(one, "constraint", None) == "contractive" for one in options)

    def arguments(
        self, inputs: dict[str, Tensor]
    ) -> tuple[Tensor, State, Tensor | None, Tensor | None, Tensor | None]:
        """Inputs by name as :class:`Stateful` takes them."""
        input, dt = inputs[next(iter(self.inputs()))], inputs.get("dt")
        states = tuple(inputs[name] for name in self.states)
        if self.step:
            input = input.unsqueeze(self._time)
            dt = None if dt is None else dt.unsqueeze(self._time)
        state = states[0] if len(states) == 1 else states
        return input, state, dt, inputs.get("lengths"), inputs.get("mask")

    def results(self, answers: Tensor, h_n: State) -> dict[str, Tensor]:
        """What :class:`Stateful` returns, by name."""
        if self.step and self._asks_every_step:
            answers = answers.squeeze(self._time)
        states = (h_n,) if isinstance(h_n, Tensor) else h_n
        return dict(zip(self.outputs(), (answers, *states), strict=True))

    def run(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the model itself makes of inputs, by name."""
        with torch.no_grad():
            return self.results(*Stateful(self.model)(*self.arguments(inputs)))


def _reader_of(model: nn.Module) -> Any:
    return model.reader if isinstance(model, PatchModel) else model


def _layer_of(model: nn.Module) -> Any:
    reader = _reader_of(model)
    return reader.rnn if isinstance(reader, SequenceRegressor | LanguageModel) else reader


def interface(where: str, model: nn.Module, **takes: bool) -> Interface:
    """Look at a model that is to be exported.

    Args:
        where: Who asks, in error messages.
        model: The model.
        **takes: Flags of an :class:`Interface`: ``dt``, ``lengths``, ``mask``, ``step``.

    Returns:
        The model and what it is to take.

    Raises:
        InputError: If the model cannot have it.
    """
    model = copy.deepcopy(model).cpu().eval()
    if isinstance(getattr(model, "patches", None), Patches) and not isinstance(model, PatchModel):
        raise InputError(
            f"{where}: expected a model that answers once for a series, got {type(model).__name__}."
            " Forecasts go on from where a series is, which the graph does not know."
        )
    with torch.no_grad():
        units = unit_steps(where, _layer_of(model))
    dtypes = {p.dtype for p in model.parameters() if p.dim()}
    if len(dtypes) != 1 or not dtypes <= {torch.float32, torch.float64}:
        names = ", ".join(sorted(str(dtype) for dtype in dtypes))
        raise InputError(
            f"{where}: expected weights in float32 or float64, got {names}. Convert the model with "
            ".float()."
        )
    made = Interface(model, tuple(units), dtypes.pop(), **takes)
    reason = _why_not(made)
    if reason is not None:
        raise InputError(f"{where}: expected {reason}.")
    return made


def _answers_once(model: nn.Module) -> bool:
    if isinstance(model, PooledRegressor):
        return True
    return isinstance(model, SequenceRegressor) and not model.every_step


def _why_not(face: Interface) -> str | None:
    """What is wrong with what a model is to take; None if nothing is."""
    name = type(face.model).__name__.removeprefix("Parametrized")
    reason = None
    if (face.dt or face.lengths) and isinstance(face.model, LanguageModel):
        reason = "neither `dt` nor `lengths` for a LanguageModel, got one. It takes none itself"
    elif face.dt and not all(unit.timed for unit in face.units):
        reason = "a unit that takes `dt`, got one that does not"
    elif face.mask and (not isinstance(face.reader, SequenceRegressor) or face.features is None):
        reason = (
            f"a classifier or regressor of numbers with `mask`, got {name}. Fill missing values "
            "before they go in"
        )
    elif face.patches is not None and not _answers_once(face.reader):
        reason = "patches for a model that answers once, got one that answers at every step"
    elif face.step and face.whole:
        reason = (
            f"a model that answers from the last state, got {name}, which looks at the whole series"
        )
    elif face.step and face.layer.bidirectional:
        reason = "bidirectional=False, got True. The reverse direction needs the future"
    return reason
