"""Any cell over whole sequences, with the contract of ``torch.nn.RNN`` and what it lacks."""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from lipschitz_rnn._base.checks import (
    require_choice,
    require_in_range,
    require_positive_int,
    require_shape,
    require_tensor,
)
from lipschitz_rnn.nn.layout import (
    Layout,
    read_input,
    read_mask,
    read_times,
    reverse,
    split_state,
    step_time,
)
from lipschitz_rnn.nn.missing import MISSING, fill_missing
from lipschitz_rnn.nn.state import State, map_state, output_of, stack_states
from lipschitz_rnn.nn.unroll import run_cell, takes_dt
from lipschitz_rnn.ops.call import LOW_PRECISION, autocast_is_on


class RecurrentLayer(nn.Module):
    r"""Run any recurrent cell over whole sequences, with the contract of :class:`torch.nn.RNN`.

    .. math:: h_t = \mathrm{cell}(x_t, h_{t-1}), \qquad t = 1, \dots, T

    A cell is a module with ``input_size``, ``hidden_size`` and ``forward(input, state=None) ->
    state``, for inputs (B, P). A state is a tensor (B, H), or a tuple of tensors whose first one is
    the output. A cell that takes a keyword ``dt`` of shape (B,) supports irregular time. A class
    may have, besides, ``scan(input, hx, dt=None, *, output="all") -> (states or None, last)`` for a
    whole (T, B, P), or ``bind() -> step``, a step whose weights are read once for a sequence.

    Args:
        cell: The cell; or a sequence of cells, one for each layer and direction in torch's order:
            layer 0 forward, layer 0 reverse, layer 1 forward, ...
        batch_first: Whether input and output are (B, T, P) instead of (T, B, P). States are
            (L, B, H) always.
        dropout: Probability of dropping an output between layers, in training mode.
        bidirectional: Whether half of the cells read the sequence backwards.
        missing: What stands in for an input that ``mask`` calls missing: ``"hold"`` repeats the
            last observed value (zero before the first), ``"zero"`` puts zero.

    Shape:
        - input: (T, B, P), or (B, T, P) with ``batch_first``, or (T, P), or a PackedSequence
        - hx, h_n: (L·D, B, H), or (L·D, H) without a batch; D is 2 if bidirectional, else 1
        - dt: (T, B), or (B, T) with ``batch_first``, or (T,), or packed like the input
        - mask: shape of ``dt`` for whole steps, or of ``input`` per feature; True where observed
        - output: (T, B, D·H), or (B, T, D·H), or (T, D·H), or packed, like the input

    Raises:
        TypeError: If a cell lacks ``input_size`` or ``hidden_size``.
        ValueError: If the cells do not fit together, or a value is out of range.

    Examples:
        >>> layer = RecurrentLayer([nn.GRUCell(3, 8), nn.GRUCell(8, 8)])
        >>> output, h_n = layer(torch.randn(5, 2, 3))
        >>> output.shape, h_n.shape
        (torch.Size([5, 2, 8]), torch.Size([2, 2, 8]))
    """

    def __init__(
        self,
        cell: nn.Module | Sequence[nn.Module],
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        missing: str = "hold",
    ) -> None:
        super().__init__()
        cells = [cell] if isinstance(cell, nn.Module) else list(cell)
        directions = 2 if bidirectional else 1
        for one in cells:
            if not (hasattr(one, "input_size") and hasattr(one, "hidden_size")):
                raise TypeError(
                    f"RecurrentLayer: expected cells with `input_size` and `hidden_size`, got "
                    f"{type(one).__name__}."
                )
        if not cells or len(cells) % directions:
            raise ValueError(
                f"RecurrentLayer: expected {directions} cell(s) for each layer with "
                f"bidirectional={bidirectional}, got {len(cells)}."
            )
        self._configure(
            cells[0].input_size,  # type: ignore[arg-type]
            cells[0].hidden_size,  # type: ignore[arg-type]
            len(cells) // directions,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            missing=missing,
        )
        self.cells = nn.ModuleList(cells)
        self._takes_dt = [takes_dt(one) for one in cells]
        for index, one in enumerate(cells):
            expected = self._input_size_of(index // directions), self.hidden_size
            got = one.input_size, one.hidden_size
            if got != expected:  # type: ignore[comparison-overlap]
                raise ValueError(
                    f"RecurrentLayer: expected cell {index} of (input_size, hidden_size) = "
                    f"{expected}, got {got}."
                )

    def _configure(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        *,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        missing: str,
    ) -> None:
        where = self._where
        for name, value in (
            ("input_size", input_size),
            ("hidden_size", hidden_size),
            ("num_layers", num_layers),
        ):
            require_positive_int(where, name, value)
        require_in_range(where, "dropout", dropout, 0, 1)
        require_choice(where, "missing", missing, MISSING)
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"{where}: dropout acts between layers; with num_layers=1 it does nothing.",
                stacklevel=3,
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.missing = missing

    @property
    def _where(self) -> str:
        # parametrize renames the class of a module that it touches
        return type(self).__name__.removeprefix("Parametrized")

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    def _input_size_of(self, layer: int) -> int:
        return self.input_size if layer == 0 else self.hidden_size * self.num_directions

    def _scan(
        self,
        index: int,
        input: Tensor,
        state: State | None,
        dt: Tensor | None,
        valid: Tensor | None,
        output: str,
    ) -> tuple[State | None, State]:
        """States of one layer and direction, (T, B, H), or None for "last"; and the last one."""
        cell, timed = self.cells[index], self._takes_dt[index]
        return run_cell(self._where, cell, timed, input, state, dt, valid, output)

    def _run(
        self,
        input: Tensor,
        states: list[State | None],
        dt: Tensor | None,
        layout: Layout,
        need_output: bool = True,
    ) -> tuple[Tensor | None, State]:
        """Layers and directions over a time-major batch: outputs (T, B, D·H) and final states."""
        lengths, valid = layout.lengths, layout.valid(input.shape[0], input.device)
        # a float32 state of a half-precision layer is rounded on output; under autocast all stays
        rounded = input.dtype in LOW_PRECISION and not autocast_is_on(input.device)
        dtype = input.dtype if rounded else None
        finals: list[State] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                input = functional.dropout(input, self.dropout, self.training)
            outputs = []
            wanted = need_output or layer + 1 < self.num_layers
            for direction in range(self.num_directions):
                index = layer * self.num_directions + direction
                x, step = input, dt
                if direction:
                    x = reverse(input, lengths)
                    step = None if dt is None else reverse(dt, lengths)
                kind = "all" if wanted else "last"
                scanned, last = self._scan(index, x, states[index], step, valid, kind)
                finals.append(last)
                if not wanted or scanned is None:
                    continue
                output = output_of(scanned).to(dtype) if dtype else output_of(scanned)
                outputs.append(reverse(output, lengths) if direction else output)
            if wanted:
                input = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
        return (input if need_output else None), stack_states(finals)

    def _split_state(self, hx: State | None, layout: Layout, batch: int) -> list[State | None]:
        """An initial state for each layer and direction."""
        count = self.num_layers * self.num_directions
        return split_state(self._where, hx, layout, (count, batch, self.hidden_size))

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        *,
        dt: float | Tensor | PackedSequence | None = None,
        mask: Tensor | PackedSequence | None = None,
        need_output: bool = True,
    ) -> tuple[Tensor | PackedSequence | None, State]:
        """Run the layer over a batch of sequences.

        Args:
            input: The sequences.
            hx: Initial state; zero if None.
            dt: For how long each input is held, in multiples of the step size: the time from this
                observation to the next. Finite and not negative; 0 leaves the state as it is. A
                number holds for all.
            mask: Which inputs were observed. A missing one is filled in the order of time, for the
                reverse direction too, and what stands in its place is not looked at.
            need_output: Whether the outputs are wanted. Without them the first result is None, and
                a single layer under ``torch.no_grad`` keeps no state but the one it is at.

        Returns:
            The outputs of the last layer, or None; the state after each sequence's last valid step.

        Raises:
            TypeError: If a dtype does not fit, or the cell takes no ``dt``.
            ValueError: If a shape does not fit or a value of ``dt`` is not allowed.
        """
        layout, values = read_input(self._where, input, self.input_size, self.batch_first)
        if mask is not None:
            values = fill_missing(values, read_mask(layout, mask, values), self.missing)
        valid = layout.valid(values.shape[0], values.device)
        times = None if dt is None else read_times(layout, dt, values, valid)
        states = self._split_state(hx, layout, values.shape[1])
        output, h_n = self._run(values, states, times, layout, need_output)
        outputs = None if output is None else layout.output(output)
        return outputs, map_state(layout.state_out, h_n)

    def step(
        self, input: Tensor, state: State | None = None, dt: float | Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Feed one observation of a stream; equal to the whole-sequence result, to rounding.

        Args:
            input: (B, P) or (P,).
            state: What the last call returned; None at the start. (L, B, H) or (L, H).
            dt: For how long this input is held, in multiples of the step size: a number, or (B,).

        Returns:
            The output, (B, H) or (H,), and the state to hand to the next call.

        Raises:
            ValueError: If the layer is bidirectional, or a shape does not fit.
        """
        if self.bidirectional:
            raise ValueError(
                f"{self._where}.step: expected a layer with bidirectional=False, got True. "
                "The reverse direction needs the future."
            )
        require_tensor(f"{self._where}.step", "input", input)
        batched = input.dim() != 1
        shape, letters = (
            ((None, self.input_size), "(B, P)") if batched else ((self.input_size,), "(P,)")
        )
        require_shape(f"{self._where}.step", "input", input, shape, letters)
        layout = Layout(self._where, False, batched=batched)
        values = (input if batched else input.unsqueeze(0)).unsqueeze(0)  # (1, B, P)
        if dt is not None:
            dt = step_time(f"{self._where}.step", dt, values[0]).unsqueeze(0)
        states = self._split_state(state, layout, values.shape[1])
        output, h_n = self._run(values, states, dt, layout)
        assert output is not None  # for the type checker: it is asked for
        output = output.squeeze(0)
        return output if batched else output.squeeze(0), map_state(layout.state_out, h_n)

    def flatten_parameters(self) -> None:
        """Do nothing; here so that code written for torch's recurrent layers runs unchanged."""

    def extra_repr(self) -> str:
        """The options that are not at their defaults."""
        options = {"batch_first": False, "dropout": 0.0, "bidirectional": False, "missing": "hold"}
        parts = [f"{k}={getattr(self, k)!r}" for k, v in options.items() if getattr(self, k) != v]
        return ", ".join(parts)
