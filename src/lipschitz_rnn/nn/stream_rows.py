"""Where streams are: state, input and clock, a row for each; and rows by name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from lipschitz_rnn.nn.state import State


@dataclass(frozen=True, eq=False)
class Rows:
    """Some streams.

    Attributes:
        state: Of the recurrent layer, (L, R, H) each part.
        held: The input that is on, gaps filled, (R, P), or symbols (R,).
        clock: Time up to which inputs have acted, (R,) in float64; None without time stamps.
    """

    state: State
    held: Tensor
    clock: Tensor | None

    @property
    def tensors(self) -> list[tuple[Tensor, int]]:
        """Every tensor and the axis its rows are on, the state's parts first."""
        state = (self.state,) if isinstance(self.state, Tensor) else self.state
        rest = [(self.held, 0)] if self.clock is None else [(self.held, 0), (self.clock, 0)]
        return [*((part, 1) for part in state), *rest]

    @property
    def kinds(self) -> list[tuple[tuple[int, ...], torch.dtype]]:
        """Shape of a row, and dtype, of every tensor."""
        return [((*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype) for x, axis in self.tensors]

    def rebuild(self, tensors: Sequence[Tensor]) -> Self:
        """The same of other tensors, in the order of :attr:`tensors`."""
        count = len(tensors) - (1 if self.clock is None else 2)
        single = isinstance(self.state, Tensor)
        state: State = tensors[0] if single else tuple(tensors[:count])
        clock = None if self.clock is None else tensors[-1]
        return type(self)(state, tensors[count], clock)

    def select(self, index: Tensor) -> Self:
        """The rows at an index (R',), copied."""
        return self.rebuild([x.index_select(axis, index) for x, axis in self.tensors])

    def copy(self, device: torch.device) -> Self:
        """The same, in memory of its own, on a device."""
        return self.rebuild([x.to(device, copy=True) for x, _ in self.tensors])

    def join(self, other: Self) -> Self:
        """These rows, then others."""
        pairs = zip(self.tensors, other.tensors, strict=True)
        return self.rebuild([torch.cat((x, y), axis) for (x, axis), (y, _) in pairs])


class NamedRows:
    """Rows by name, in one tensor each, so that many are read and written at once.

    Attributes:
        places: Row of each name; the one written longest ago comes first.
    """

    def __init__(self, names: Sequence[str] = (), rows: Rows | None = None) -> None:
        self.places = {name: place for place, name in enumerate(names)}
        self._rows = rows
        self._free: list[int] = []

    def read(self, names: Iterable[str]) -> Rows:
        """The rows of names that are there, copied."""
        assert self._rows is not None  # for the type checker: there are names
        index = [self.places[name] for name in names]
        return self._rows.select(torch.tensor(index, device=self._rows.held.device))

    def write(self, names: Sequence[str], rows: Rows) -> None:
        """Put rows in the places of names, new ones where a name is new.

        Raises:
            ValueError: If they are not like those of the others; nothing is then changed.
        """
        if self._rows is not None and rows.kinds != self._rows.kinds:
            raise ValueError(
                "Streamer: expected inputs and states of one shape and dtype for all streams, "
                f"{self._rows.kinds}, got {rows.kinds}."
            )
        new = [name for name in names if name not in self.places]
        self._make_room(len(new), rows)
        for name in new:
            self.places[name] = self._free.pop()
        index = torch.tensor([self.places[name] for name in names], device=rows.held.device)
        assert self._rows is not None  # for the type checker: there is room
        for (kept, axis), (value, _) in zip(self._rows.tensors, rows.tensors, strict=True):
            kept.index_copy_(axis, index, value)
        for name in names:
            self.places[name] = self.places.pop(name)

    def forget(self, names: Iterable[str]) -> None:
        """Give up the places of names."""
        self._free.extend(self.places.pop(name) for name in names)
        if len(self._free) > 3 * len(self.places):  # most of the memory is not used
            self._rows = self.read(self.places) if self.places else None
            self.places.update({name: place for place, name in enumerate(self.places)})
            self._free = []

    def _make_room(self, count: int, like: Rows) -> None:
        """See to ``count`` free places: twice as many rows whenever they run out."""
        taken = len(self.places) + len(self._free)
        if count <= len(self._free):
            return
        more = max(count - len(self._free), taken)
        empty = like.rebuild(
            [x.new_zeros([*x.shape[:axis], more, *x.shape[axis + 1 :]]) for x, axis in like.tensors]
        )
        self._rows = empty if self._rows is None else self._rows.join(empty)
        self._free.extend(range(taken + more - 1, taken - 1, -1))
