"""What the units share: sizes, checks, the default state, batches of one, the Jacobian."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lipschitz_rnn._base.checks import (
    require_floating,
    require_positive_int,
    require_shape,
    require_tensor,
)
from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.init import uniform_fan_in_
from lipschitz_rnn.nn.layout import step_time
from lipschitz_rnn.nn.parametrizations import SkewEntries
from lipschitz_rnn.nn.state import State, map_state
from lipschitz_rnn.nn.unroll import takes_dt
from lipschitz_rnn.ops import TABLEAUX, Nonlinearity

Step = Callable[..., Any]
"""``step(input, state=None, dt=None) -> state`` for an input (B, P)."""


class UnitCell(nn.Module):
    """A cell that :class:`RecurrentLayer` can run; subclasses give ``forward`` and ``bind``.

    Attributes:
        input_size: P.
        hidden_size: H.
        options: What the constructor was given beyond the sizes, by name.
    """

    state_parts: tuple[str, ...] = ("h",)
    weight_ih: Tensor
    weight_hh: Tensor
    bias: Tensor | None

    def __init__(self, input_size: int, hidden_size: int, options: Mapping[str, Any]) -> None:
        super().__init__()
        require_positive_int(self._where, "input_size", input_size)
        require_positive_int(self._where, "hidden_size", hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.options = dict(options)

    @property
    def _where(self) -> str:
        # parametrize renames the class of a module that it touches
        return type(self).__name__.removeprefix("Parametrized")

    def _add(
        self,
        name: str,
        *shape: int,
        device: Device,
        dtype: torch.dtype | None,
        wanted: bool = True,
    ) -> None:
        """Register a parameter of zeros, or None."""
        zeros = torch.zeros(*shape, device=device, dtype=dtype) if wanted else None
        self.register_parameter(name, None if zeros is None else nn.Parameter(zeros))

    def _add_skew(
        self,
        name: str,
        gamma: float = 0.0,
        scale: float = 1.0,
        *,
        device: Device,
        dtype: torch.dtype | None,
    ) -> None:
        """Register a matrix ``scale (L - Lᵀ) - γ I`` that is learned by its free entries."""
        eye = torch.eye(self.hidden_size, device=device, dtype=dtype)
        self.register_parameter(name, nn.Parameter(-gamma * eye))
        # unsafe: the free parameter is a vector
        scheme = SkewEntries(gamma, scale)
        parametrize.register_parametrization(self, name, scheme, unsafe=True)

    def _free(self, name: str) -> Tensor:
        """The free parameter behind a constrained one."""
        free: Tensor = self.parametrizations[name].original  # type: ignore[index,union-attr]
        return free

    def _reset_input(self) -> None:
        """Draw U and b, and those of a gate, within ±1/√input_size."""
        for name in ("weight_ih", "bias", "weight_gate", "bias_gate"):
            tensor = getattr(self, name, None)
            if tensor is not None:
                uniform_fan_in_(tensor, self.input_size)

    def bind(self) -> Step:
        """The step for batches as a function, with every weight read once.

        A constrained weight is computed when it is read: once per sequence, if all steps of a
        sequence are taken by one bound function.
        """
        raise NotImplementedError

    def _bind_mean(self) -> Step:
        """The step without noise, for units that have some."""
        return self.bind()

    def _parts(self, hx: State | None) -> tuple[Tensor, ...]:
        """The tensors of a state."""
        expected = self.state_parts
        if hx is None:
            return ()
        if len(expected) == 1 and isinstance(hx, Tensor):
            return (hx,)
        if len(expected) > 1 and isinstance(hx, tuple) and len(hx) == len(expected):
            return hx
        got = f"a tuple of {len(hx)}" if isinstance(hx, tuple) else type(hx).__name__
        wanted = "one tensor" if len(expected) == 1 else f"a tuple ({', '.join(expected)})"
        raise TypeError(f"{self._where}: expected `hx` to be {wanted}, got {got}.")

    def _batched(
        self, function: Step, input: Tensor, hx: State | None, dt: float | Tensor | None = None
    ) -> Any:
        """Check the arguments and apply a function for batches, to a batch of one if need be."""
        where = self._where
        require_tensor(where, "input", input)
        require_floating(where, "input", input)
        batched = input.dim() != 1
        letters = ("(B, P)", "(B, H)") if batched else ("(P,)", "(H,)")
        batch: tuple[int | None, ...] = (None,) if batched else ()
        require_shape(where, "input", input, (*batch, self.input_size), letters[0])
        batch = (input.shape[0],) if batched else ()
        for part in self._parts(hx):
            require_tensor(where, "hx", part)
            require_shape(where, "hx", part, (*batch, self.hidden_size), letters[1])
        if not batched:
            state = None if hx is None else map_state(lambda part: part.unsqueeze(0), hx)
            new = self._batched(function, input.unsqueeze(0), state, dt)
            return map_state(lambda part: part.squeeze(0), new)
        return function(input, hx, None if dt is None else step_time(where, dt, input))

    def _start(self, input: Tensor, dtype: torch.dtype) -> State:
        """The state zero for a batch (B, P)."""
        shape = input.shape[0], self.hidden_size
        zeros = tuple(input.new_zeros(shape, dtype=dtype) for _ in self.state_parts)
        return zeros if len(zeros) > 1 else zeros[0]

    def jacobian(self, input: Tensor, hx: State, dt: float | Tensor | None = None) -> Tensor:
        r"""Derivative of one step, :math:`\partial h_{t+1} / \partial h_t`.

        Args:
            input: (B, P) or (P,).
            hx: The state it is taken at. The parts of a state that is a tuple count as one vector.
            dt: As in ``forward``, for units that take it.

        Returns:
            (B, N, N) or (N, N), rows for outputs, columns for inputs, with N the sum of H over the
            parts of the state; differentiable.

        Raises:
            TypeError: If the unit takes no ``dt``.
        """
        if dt is not None and not takes_dt(self):
            raise TypeError(f"{self._where}.jacobian: expected no `dt`, got {type(dt).__name__}.")
        step = self._bind_mean()

        def derivative(input: Tensor, hx: State, dt: Tensor | None) -> Tensor:
            flat = hx if isinstance(hx, Tensor) else torch.cat(hx, -1)

            def move(flat: Tensor) -> Tensor:
                new: State = step(input, self._unflatten(flat), dt)
                return new if isinstance(new, Tensor) else torch.cat(new, -1)

            def column(direction: Tensor) -> Tensor:
                moved: Tensor = torch.func.jvp(move, (flat,), (direction.expand_as(flat),))[1]
                return moved

            basis = torch.eye(flat.shape[-1], dtype=flat.dtype, device=flat.device)
            columns: Tensor = torch.func.vmap(column, out_dims=-1)(basis)
            return columns

        found: Tensor = self._batched(derivative, input, hx, dt)
        return found

    def _unflatten(self, flat: Tensor) -> State:
        return flat if len(self.state_parts) == 1 else flat.chunk(len(self.state_parts), -1)

    def extra_repr(self) -> str:
        """Sizes, and every option that is not at its default."""
        parts = [str(self.input_size), str(self.hidden_size)]
        defaults = inspect.signature(type(self)).parameters
        for name, value in self.options.items():
            if value != defaults[name].default:
                named = isinstance(value, Nonlinearity) or value in TABLEAUX.values()
                parts.append(f"{name}={(value.name if named else value)!r}")
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"{self._where}({self.extra_repr()})"
