"""What callers hand a sequence layer, as one time-major batch, and back."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from lipschitz_rnn._base.checks import (
    require_floating,
    require_in_range,
    require_shape,
    require_tensor,
    values_are_visible,
)
from lipschitz_rnn.nn.state import State, map_state


@dataclass(frozen=True, eq=False)
class Layout:
    """How the caller's tensors are laid out; turns them time-major and the results back.

    Attributes:
        where: Name of the layer, for messages.
        batch_first: Whether padded tensors come as (B, T, ...).
        batched: Whether there is a batch axis.
        packed: The packed input, if it was one. Its own (sorted) order is kept inside.
        lengths: Valid steps of each sample in that order, (B,), or None if all are full.
    """

    where: str
    batch_first: bool
    batched: bool = True
    packed: PackedSequence | None = None
    lengths: Tensor | None = None

    def valid(self, steps: int, device: torch.device) -> Tensor | None:
        """Which steps are not padding, (T, B); None if none is."""
        if self.lengths is None:
            return None
        return torch.arange(steps, device=device).unsqueeze(1) < self.lengths.to(device)

    def to_time_major(self, value: Tensor | PackedSequence) -> Tensor:
        """(T, B, ...) in the order of the batch inside, from what the caller handed in."""
        if isinstance(value, PackedSequence):
            value = pad_packed_sequence(value)[0]
        elif not self.batched:
            value = value.unsqueeze(1)
        elif self.batch_first:
            value = value.transpose(0, 1)
        order = None if self.packed is None else self.packed.sorted_indices
        return value if order is None else value.index_select(1, order)

    def read(self, name: str, value: Tensor | PackedSequence, sizes: dict[str, int]) -> Tensor:
        """What goes along with an input, time-major, checked against the input's sizes by axis."""
        if not isinstance(value, PackedSequence):
            axes = ["T"] if not self.batched else ["B", "T"] if self.batch_first else ["T", "B"]
            axes += [axis for axis in sizes if axis not in "TB"]
            shape = tuple(sizes[axis] for axis in axes)
            letters = f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"
            require_shape(self.where, name, value, shape, letters)
        elif self.packed is None or _lengths(value) != _lengths(self.packed):
            raise ValueError(
                f"{self.where}: expected `{name}` to be packed as `input` is, got a PackedSequence "
                "of other lengths, or with an input that is not packed."
            )
        return self.to_time_major(value)

    def output(self, output: Tensor) -> Tensor | PackedSequence:
        """The layer's output, (T, B, F), in the caller's layout."""
        if self.packed is not None:
            assert self.lengths is not None  # for the type checker: they come together
            again = pack_padded_sequence(output, self.lengths)
            order = self.packed.sorted_indices, self.packed.unsorted_indices
            return PackedSequence(again.data, again.batch_sizes, *order)
        if not self.batched:
            return output.squeeze(1)
        return output.transpose(0, 1) if self.batch_first else output

    def state_in(self, hx: Tensor) -> Tensor:
        """An initial state of the caller's, (L, B, H) or (L, H), in the order inside."""
        if not self.batched:
            return hx.unsqueeze(1)
        order = None if self.packed is None else self.packed.sorted_indices
        return hx if order is None else hx.index_select(1, order)

    def state_out(self, h_n: Tensor) -> Tensor:
        """Final states, (L, B, H), in the caller's order."""
        if not self.batched:
            return h_n.squeeze(1)
        order = None if self.packed is None else self.packed.unsorted_indices
        return h_n if order is None else h_n.index_select(1, order)


def read_input(
    where: str, input: Tensor | PackedSequence, input_size: int, batch_first: bool
) -> tuple[Layout, Tensor]:
    """Find out the layout of an input and turn it time-major.

    Returns:
        The layout, and the input as (T, B, P).

    Raises:
        TypeError: If it is neither a floating-point tensor nor a PackedSequence.
        ValueError: If its shape does not fit, or it has no steps.
    """
    if isinstance(input, PackedSequence):
        require_floating(where, "input", input.data)
        require_shape(where, "input.data", input.data, (None, input_size), "(steps, P)")
        unordered = PackedSequence(input.data, input.batch_sizes)
        padded, lengths = pad_packed_sequence(unordered)
        return Layout(where, batch_first, packed=input, lengths=lengths), padded
    if not isinstance(input, Tensor):
        raise TypeError(
            f"{where}: expected `input` to be a tensor or a PackedSequence, got "
            f"{type(input).__name__}."
        )
    require_floating(where, "input", input)
    layout = Layout(where, batch_first, batched=input.dim() != 2)
    letters = "(B, T, P)" if batch_first else "(T, B, P)"
    shape = (None, None, input_size) if layout.batched else (None, input_size)
    other = "(T, B, P)" if batch_first else "(B, T, P)"
    remedy = (
        f"Build the layer with batch_first={not batch_first} if the input is {other}; "
        "an unbatched input is (T, P)."
    )
    require_shape(where, "input", input, shape, letters if layout.batched else "(T, P)", remedy)
    input = layout.to_time_major(input)
    if not input.shape[0]:  # `len` would make a constant of it under torch.export
        raise ValueError(f"{where}: expected `input` of at least one step, got none.")
    return layout, input


def _lengths(packed: PackedSequence) -> list[int]:
    """Steps of each sequence, in the caller's order."""
    return pad_packed_sequence(packed)[1].tolist()


def split_state(
    where: str, hx: State | None, layout: Layout, sizes: tuple[int, int, int]
) -> list[State | None]:
    """An initial state of ``sizes`` (L*D, B, H), taken apart; a None for each if there is none."""
    count, batch, hidden = sizes
    if hx is None:
        return [None] * count
    shape, letters = (
        ((count, batch, hidden), "(L*D, B, H)") if layout.batched else ((count, hidden), "(L*D, H)")
    )
    for part in (hx,) if isinstance(hx, Tensor) else hx:
        require_tensor(where, "hx", part)
        require_shape(where, "hx", part, shape, letters)
    parts = map_state(layout.state_in, hx)
    if isinstance(parts, Tensor):
        return list(parts.unbind(0))
    return list(zip(*(part.unbind(0) for part in parts), strict=True))


def read_times(
    layout: Layout, dt: float | Tensor | PackedSequence, input: Tensor, valid: Tensor | None
) -> Tensor:
    """``dt`` as (T,) or (T, B); zero where the input is padding, whatever stands there."""
    steps, batch = input.shape[:2]
    if not isinstance(dt, (Tensor, PackedSequence)):
        dt = number_as_time(layout.where, dt, input).expand(steps)
    require_floating(layout.where, "dt", dt.data)
    if isinstance(dt, Tensor) and dt.dim() == 1:
        require_shape(layout.where, "dt", dt, (steps,), "(T,)")
    else:
        dt = layout.read("dt", dt, {"T": steps, "B": batch})
    if valid is not None:
        dt = dt.unsqueeze(1) if dt.dim() == 1 else dt
        dt = torch.where(valid, dt, torch.zeros_like(dt))
    require_time(layout.where, dt)
    return dt


def number_as_time(where: str, dt: float, input: Tensor) -> Tensor:
    """A number as a scalar tensor of at least single precision."""
    require_in_range(where, "dt", dt, 0)
    dtype = torch.promote_types(input.dtype, torch.float32)
    return torch.tensor(float(dt), dtype=dtype, device=input.device)


def require_time(where: str, dt: Tensor) -> None:
    """Raise ``ValueError`` for times that run backwards or are no numbers, if that can be seen."""
    if values_are_visible(dt) and not bool(((dt >= 0) & (dt < math.inf)).all()):
        raise ValueError(
            f"{where}: expected a finite `dt` >= 0, got values from {dt.min().item()} to "
            f"{dt.max().item()}. Time stamps must not decrease."
        )


def step_time(where: str, dt: float | Tensor, input: Tensor) -> Tensor:
    """``dt`` of a single step for a batch (B, P): a scalar tensor or (B,)."""
    if not isinstance(dt, Tensor):
        return number_as_time(where, dt, input)
    require_floating(where, "dt", dt)
    if dt.dim():
        require_shape(where, "dt", dt, (input.shape[0],), "(B,)")
    require_time(where, dt)
    return dt


def read_mask(layout: Layout, mask: Tensor | PackedSequence, input: Tensor) -> Tensor:
    """``mask`` as (T, B) or (T, B, P)."""
    dtype = mask.data.dtype if isinstance(mask, (Tensor, PackedSequence)) else type(mask).__name__
    if dtype != torch.bool:
        raise TypeError(
            f"{layout.where}: expected a boolean tensor `mask`, True where a value is observed, "
            f"got {dtype}."
        )
    sizes = {"T": input.shape[0], "B": input.shape[1]}
    batch_axes = 1 if isinstance(mask, PackedSequence) or not layout.batched else 2
    if mask.data.dim() > batch_axes:
        sizes["P"] = input.shape[2]
    return layout.read("mask", mask, sizes)


def read_lengths(where: str, lengths: Tensor, batch: int, steps: int) -> Tensor:
    """Valid steps of each sample of a padded batch, checked, (B,), on the CPU."""
    lengths = torch.as_tensor(lengths, device="cpu")
    if lengths.is_floating_point():
        raise TypeError(f"{where}: expected integer `lengths`, got {lengths.dtype}.")
    require_shape(where, "lengths", lengths, (batch,), "(B,)")
    if batch and not (int(lengths.min()) >= 1 and int(lengths.max()) <= steps):
        raise ValueError(
            f"{where}: expected `lengths` between 1 and {steps}, got values from "
            f"{int(lengths.min())} to {int(lengths.max())}."
        )
    return lengths


def reverse(value: Tensor, lengths: Tensor | None) -> Tensor:
    """Turn each sample of (T, B, ...) around in time, within its own length."""
    if lengths is None:
        return value.flip(0)
    steps = torch.arange(value.shape[0], device=value.device).unsqueeze(1)
    ends = lengths.to(value.device).unsqueeze(0)
    index = torch.where(steps < ends, ends - 1 - steps, steps)  # (T, B); padding stays in place
    index = index.view(*index.shape, *(1,) * (value.dim() - 2)).expand_as(value)
    return value.gather(0, index)
