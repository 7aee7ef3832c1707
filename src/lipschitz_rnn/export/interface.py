"""What goes into an exported model and comes out, whatever the format."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.export.units import UnitStep, unit_steps
from lipschitz_rnn.nn import LanguageModel, SequenceClassifier, SequenceRegressor
from lipschitz_rnn.nn.state import State

Shape = tuple[int | str, ...]
"""Sizes, and letters for those that are free."""


class Stateful(nn.Module):
    """A model that takes its state and gives it back."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input: Tensor,
        hx: State,
        dt: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Run the model.

        Args:
            input: A padded batch, in the model's layout.
            hx: The state to begin from.
            dt: Times, as the model takes them.
            lengths: Valid steps of each sequence, (B,).

        Returns:
            Its answers, zero over padding, and the state after each sequence's last step.
        """
        model = self.model
        if isinstance(model, LanguageModel):
            answers, h_n = model(input, hx)
            return answers, h_n
        if isinstance(model, SequenceRegressor):
            answers, h_n = model(input, hx, dt=dt, lengths=lengths, need_state=True)
            return answers, h_n
        times = {} if dt is None else {"dt": dt}
        if lengths is None:
            output, h_n = model(input, hx, **times)
            return output, h_n
        first = bool(model.batch_first)
        many = {"batch_first": first, "enforce_sorted": False}
        packed = {k: pack_padded_sequence(v, lengths, **many) for k, v in times.items()}
        output, h_n = model(pack_padded_sequence(input, lengths, **many), hx, **packed)
        steps = input.shape[1 if first else 0]
        return pad_packed_sequence(output, first, total_length=steps)[0], h_n


@dataclass(frozen=True, eq=False)
class Interface:
    """A model to export, and the names, types and sizes of what it takes and gives.

    Attributes:
        model: A copy on the CPU, in evaluation mode.
        units: Its layers and directions.
        dtype: Of its weights.
        dt: Whether it takes times.
        lengths: Whether it takes lengths.
        step: Whether it is one step of a stream.
    """

    model: Any
    units: tuple[UnitStep, ...]
    dtype: torch.dtype
    dt: bool = False
    lengths: bool = False
    step: bool = False

    @property
    def layer(self) -> Any:
        """The recurrent layer."""
        return _layer_of(self.model)

    @property
    def encoder(self) -> nn.Module:
        """What is applied to the input first."""
        encoder: nn.Module = getattr(self.model, "encoder", nn.Identity())
        return encoder

    @property
    def directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.layer.bidirectional else 1

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the inputs that are the state."""
        parts = self.units[0].parts
        return ("hx",) if len(parts) == 1 else tuple(f"hx_{part}" for part in parts)

    @property
    def answers_every_step(self) -> bool:
        """Whether the answers have an axis of time."""
        return self._asks_every_step and not self.step

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
        return found

    def _input(self) -> tuple[torch.dtype, Shape]:
        for module in self.encoder.modules():
            if isinstance(module, nn.Embedding):
                return torch.int64, self._sequence()
            if isinstance(module, nn.Linear):
                return self.dtype, self._sequence(module.in_features)
        return self.dtype, self._sequence(self.layer.input_size)

    def outputs(self) -> dict[str, tuple[torch.dtype, Shape]]:
        """Dtype and shape of what comes out, by name."""
        logits = isinstance(self.model, SequenceClassifier | LanguageModel)
        head = getattr(self.model, "head", None)
        size = self.layer.hidden_size * self.directions if head is None else head.out_features
        shape = self._sequence(size) if self.answers_every_step else ("B", size)
        found: dict[str, tuple[torch.dtype, Shape]] = {
            "logits" if logits else "output": (self.dtype, shape)
        }
        state = self.inputs()[self.states[0]]
        return found | {f"{part}_n": state for part in self.units[0].parts}

    def sample(self, steps: int, batch: int, seed: int = 0) -> dict[str, Tensor]:
        """Random inputs, by name."""
        generator = torch.Generator().manual_seed(seed)
        sizes = {"T": steps, "B": batch}
        found = {}
        for name, (dtype, letters) in self.inputs().items():
            shape = [sizes[n] if isinstance(n, str) else n for n in letters]
            if name == "lengths":
                value = torch.randint(1, steps + 1, shape, generator=generator)
            elif dtype == torch.int64:
                symbols = (m for m in self.encoder.modules() if isinstance(m, nn.Embedding))
                value = torch.randint(next(symbols).num_embeddings, shape, generator=generator)
            elif name == "dt":
                value = torch.rand(shape, generator=generator, dtype=dtype)
                # a constraint may admit whole steps alone
                value = value.round() if self._is_constrained else value
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
    ) -> tuple[Tensor, State, Tensor | None, Tensor | None]:
        """Inputs by name as :class:`Stateful` takes them."""
        input, dt = inputs[next(iter(self.inputs()))], inputs.get("dt")
        states = tuple(inputs[name] for name in self.states)
        if self.step:
            input = input.unsqueeze(self._time)
            dt = None if dt is None else dt.unsqueeze(self._time)
        return input, states[0] if len(states) == 1 else states, dt, inputs.get("lengths")

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


def _layer_of(model: nn.Module) -> Any:
    return model.rnn if isinstance(model, SequenceRegressor | LanguageModel) else model


def interface(
    where: str, model: nn.Module, *, dt: bool = False, lengths: bool = False, step: bool = False
) -> Interface:
    """Look at a model that is to be exported.

    Args:
        where: Who asks, in error messages.
        model: The model.
        dt: Whether it is to take times.
        lengths: Whether it is to take lengths.
        step: Whether it is to be one step of a stream.

    Returns:
        The model and what it is to take.

    Raises:
        InputError: If the model cannot have it.
    """
    model = copy.deepcopy(model).cpu().eval()
    layer = _layer_of(model)
    with torch.no_grad():
        units = unit_steps(where, layer)
    dtypes = {p.dtype for p in model.parameters() if p.dim()}
    reason = None
    if len(dtypes) != 1 or not dtypes <= {torch.float32, torch.float64}:
        names = ", ".join(sorted(str(dtype) for dtype in dtypes))
        reason = f"weights in float32 or float64, got {names}. Convert the model with .float()"
    elif (dt or lengths) and isinstance(model, LanguageModel):
        reason = "neither `dt` nor `lengths` for a LanguageModel, got one. It takes none itself"
    elif dt and not all(unit.timed for unit in units):
        reason = "a unit that takes `dt`, got one that does not"
    elif step and layer.bidirectional:
        reason = "bidirectional=False, got True. The reverse direction needs the future"
    if reason is not None:
        raise InputError(f"{where}: expected {reason}.")
    return Interface(model, tuple(units), dtypes.pop(), dt, lengths, step)
