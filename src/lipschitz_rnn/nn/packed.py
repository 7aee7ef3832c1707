"""torch's own layers over packed sequences, piece by piece."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lipschitz_rnn.nn.state import State, map_state

PIECE = 16
"""Steps of a piece: the fewer, the less is quadratic; the more, the less is overhead."""


def run_packed(
    rnn: nn.RNNBase, input: PackedSequence, hx: State | None
) -> tuple[PackedSequence, State]:
    """What ``rnn(input, hx)`` is, in time that grows with the number of steps.

    On a CPU torch's backward pass through a packed layer takes time that grows with its square
    (https://github.com/pytorch/pytorch/issues/149194): minutes a batch for a thousand steps. Pieces
    of :data:`PIECE` steps, each from the states that the one before left, are the same sum. Layers
    that read both ways, or run elsewhere, run at once.

    Args:
        rnn: The layer.
        input: Packed sequences.
        hx: Initial state, as the layer takes it.

    Returns:
        Its output, packed like the input, and the state after each sequence's last step.
    """
    elsewhere = input.data.device.type != "cpu"
    if rnn.bidirectional or elsewhere or len(input.batch_sizes) <= PIECE:
        output, state = rnn(input, hx)
        return output, state
    state = None if hx is None else _chosen(hx, input.sorted_indices)
    parts = torch.split(input.batch_sizes, PIECE)
    pieces = torch.split(input.data, [int(part.sum()) for part in parts])
    outputs, ended = [], []
    for number, (part, piece) in enumerate(zip(parts, pieces, strict=True)):
        output, state = rnn(PackedSequence(piece, part), state)
        outputs.append(output.data)
        # the sequences are sorted: those that go on come first
        going = int(parts[number + 1][0]) if number + 1 < len(parts) else 0
        ended.append(_rows(state, going, int(part[0])))
        state = _rows(state, 0, going)
    last = _joined(ended[::-1])
    return input._replace(data=torch.cat(outputs)), _chosen(last, input.unsorted_indices)


def _rows(state: State, first: int, end: int) -> State:
    """The state of some sequences that stand side by side."""
    return map_state(lambda h: h[:, first:end].contiguous(), state)


def _chosen(state: State, index: Tensor | None) -> State:
    """The state of the sequences at ``index``, all in order if None."""
    return state if index is None else map_state(lambda h: h.index_select(1, index), state)


def _joined(states: list[State]) -> State:
    """States of different sequences, side by side."""
    if isinstance(states[0], Tensor):
        return torch.cat(states, 1)  # type: ignore[arg-type]
    return tuple(torch.cat(parts, 1) for parts in zip(*states, strict=True))
