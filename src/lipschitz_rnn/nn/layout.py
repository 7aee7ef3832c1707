"""What callers hand a sequence layer, as one time-major batch, and back."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from lipschitz_rnn._base.checks import require_floating, require_shape


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
        elif self.packed is None or not torch.equal(value.batch_sizes, self.packed.batch_sizes):
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
    if not len(input):
        raise ValueError(f"{where}: expected `input` of at least one step, got none.")
    return layout, input


def read_times(layout: Layout, dt: Tensor | PackedSequence, input: Tensor) -> Tensor:
    """``dt`` as (T, B), or (T,) if it is shared by the batch."""
    require_floating(layout.where, "dt", dt.data)
    steps, batch = input.shape[:2]
    if isinstance(dt, Tensor) and dt.dim() == 1:
        require_shape(layout.where, "dt", dt, (steps,), "(T,)")
        return dt
    return layout.read("dt", dt, {"T": steps, "B": batch})


def read_mask(layout: Layout, mask: Tensor | PackedSequence, input: Tensor) -> Tensor:
    """``mask`` as (T, B) or (T, B, P)."""
    if mask.data.dtype != torch.bool:
        raise TypeError(
            f"{layout.where}: expected a boolean `mask`, True where a value is observed, got "
            f"{mask.data.dtype}."
        )
    sizes = {"T": input.shape[0], "B": input.shape[1]}
    batch_axes = 1 if isinstance(mask, PackedSequence) or not layout.batched else 2
    if mask.data.dim() > batch_axes:
        sizes["P"] = input.shape[2]
    return layout.read("mask", mask, sizes)


def reverse(value: Tensor, lengths: Tensor | None) -> Tensor:
    """Turn each sample of (T, B, ...) around in time, within its own length."""
    if lengths is None:
        return value.flip(0)
    steps = torch.arange(len(value), device=value.device).unsqueeze(1)
    ends = lengths.to(value.device).unsqueeze(0)
    index = torch.where(steps < ends, ends - 1 - steps, steps)  # (T, B); padding stays in place
    index = index.view(*index.shape, *(1,) * (value.dim() - 2)).expand_as(value)
    return value.gather(0, index)


def last_valid(states: Tensor, lengths: Tensor | None) -> Tensor:
    """The state after each sample's last step, (B, H), from all of them, (T, B, H)."""
    if lengths is None:
        return states[-1]
    ends = lengths.to(states.device) - 1
    return states[ends, torch.arange(states.shape[1], device=states.device)]
