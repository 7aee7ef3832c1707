"""Units that are cases of the Lipschitz recurrence, and run through its op."""

from typing import Any

import torch
from torch import Tensor

from lipschitz_rnn.nn.unit import UnitOptions, scan_unit, unit_field
from lipschitz_rnn.nn.units.base import Step, UnitCell
from lipschitz_rnn.ops.call import LOW_PRECISION


def without_linear_term(where: str, **options: Any) -> UnitOptions:
    """Options of a unit without A, whose W the caller constrains in a way of its own."""
    unset = {f"{name}_{letter}": None for name in ("beta", "gamma") for letter in "aw"}
    return UnitOptions.make(where, beta=0.5, gamma=0.0, alpha=0.0, trainable=(), **unset, **options)


class ScanCell(UnitCell):
    r"""A unit that is a case of the Lipschitz recurrence, and runs through its op.

    Subclasses set ``_unit`` and register ``weight_ih``, ``weight_hh``, ``weight_a``, ``bias`` and,
    if gated, ``weight_gate`` and ``bias_gate``.
    """

    _unit: UnitOptions

    def forward(
        self, input: Tensor, hx: Tensor | None = None, dt: float | Tensor | None = None
    ) -> Tensor:
        """Advance the state by one step.

        Args:
            input: Held over the step, (B, P) or (P,).
            hx: The state, (B, H) or (H,); zero if None.
            dt: The step is ``step_size * dt``: a number, or (B,).

        Returns:
            The next state, shape and dtype of ``hx``; float32 by default in half precision.
        """
        new: Tensor = self._batched(self.bind(), input, hx, dt)
        return new

    def scan(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        dt: Tensor | None = None,
        *,
        output: str = "all",
    ) -> tuple[Tensor | None, Tensor]:
        """Run the unit over a sequence in one call of the op.

        Args:
            input: (T, B, P).
            hx: (B, H); zero if None.
            dt: (T,) or (T, B).
            output: ``"all"`` or ``"last"``.

        Returns:
            The states, (T, B, H), or None for ``"last"``; and the last one, (B, H).
        """
        if hx is None:
            dtype = torch.float32 if input.dtype in LOW_PRECISION else input.dtype
            hx = input.new_zeros(input.shape[1], self.hidden_size, dtype=dtype)
        (h0,) = self._parts(hx)
        return scan_unit(self, "", self._unit, input, h0, dt, output)

    def bind(self) -> Step:
        """The step for batches as a function."""

        def step(input: Tensor, state: Tensor | None = None, dt: Tensor | None = None) -> Tensor:
            times = None if dt is None else dt.unsqueeze(0)
            return self.scan(input.unsqueeze(0), state, times, output="last")[1]

        return step

    def vector_field(self, input: Tensor, hx: Tensor) -> Tensor:
        """Right-hand side dh/dt for a held input, per unit of time.

        Args:
            input: (B, P) or (P,).
            hx: (B, H) or (H,).

        Returns:
            Shape of ``hx``.
        """

        def field(input: Tensor, hx: Tensor, dt: None) -> Tensor:
            return unit_field(self, "", self._unit, input, hx)

        slope: Tensor = self._batched(field, input, hx)
        return slope
