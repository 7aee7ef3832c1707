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
    """What ``rnn(input, hx)`` is, in training in time that grows with the number of steps.

    On a CPU torch's backward pass through a packed layer takes time that grows with the square of
    the steps (https://github.com/pytorch/pytorch/issues/149194). Pieces of :data:`PIECE` steps,
    each from the states that the one before left, come to the same but for rounding.

    Cut is only what is known to be the same: layers of torch's own classes, in one direction,
    without hooks, on a CPU, and where a gradient may be asked for. All others run at once.

    Args:
        rnn: The layer.
        input: Packed sequences of P features.
        hx: Initial state, (layers, B, H) or a pair, in the order of the sequences before sorting.

    Returns:
        Its output, packed like the input, and the state after each sequence's last step.

    Raises:
        RuntimeError: As the layer does, if the state does not fit.
    """
    if not _can_be_cut(rnn, input):
        output, state = rnn(input, hx)
        return output, state
    whole: tuple[PackedSequence, State] = _in_pieces(rnn, input, hx)
    return whole


def _can_be_cut(rnn: nn.RNNBase, input: PackedSequence) -> bool:
    return (
        type(rnn) in (nn.RNN, nn.GRU, nn.LSTM)
        and not rnn.bidirectional
        and not (rnn._forward_pre_hooks or rnn._forward_hooks or rnn._backward_hooks)
        and input.data.device.type == "cpu"
        and torch.is_grad_enabled()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and len(input.batch_sizes) > PIECE
    )


@torch.compiler.disable  # type: ignore[untyped-decorator]  # it would compile anew for each length
def _in_pieces(
    rnn: nn.RNNBase, input: PackedSequence, hx: State | None
) -> tuple[PackedSequence, State]:
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
