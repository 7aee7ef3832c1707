"""What is pushed to streams, as one time-major batch; and answers back in the caller's layout."""

import math
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_floating, require_in_range, require_shape
from lipschitz_rnn.nn.missing import fill_missing
from lipschitz_rnn.nn.stream_model import StreamModel

Numbers = float | Tensor | np.ndarray | Sequence[Any]
"""A number, or a tensor, an array or nested lists of them."""
Names = str | Sequence[str]
"""The name of a stream, or several."""


@dataclass(frozen=True)
class Frame:
    """Which axes a push has.

    Attributes:
        where: Who was called, for messages.
        axes: Some of "T" and "B", in the caller's order.
        sizes: Of both, 1 for what is not there.
    """

    where: str
    axes: str
    sizes: dict[str, int]

    @classmethod
    def of(cls, where: str, input: Tensor, chunk: bool, model: StreamModel) -> "Frame":
        """The frame of an input, whose features, if any, are the last axis."""
        leading = input.shape[: input.dim() - (model.vocab_size is None)]
        batch = "" if len(leading) <= chunk else "B"
        axes = batch + "T" if chunk and model.batch_first else ("T" if chunk else "") + batch
        size, names = model.input_size, axes
        if model.vocab_size is None:
            names += "P"
        shape = (*[None] * len(axes), *[size] * (model.vocab_size is None))
        remedy = "" if chunk else "Use push_chunk for several observations at a time."
        require_shape(where, "input", input, shape, _letters(names), remedy)
        sizes = {"T": 1, "B": 1} | dict(zip(axes, leading, strict=True))
        if not all(sizes.values()):
            got = tuple(input.shape)
            raise ValueError(f"{where}: expected an `input` that is not empty, got {got}.")
        return cls(where, axes, sizes)

    def time_major(self, value: Tensor) -> Tensor:
        """(T, B, ...) from the caller's layout."""
        value = value.transpose(0, 1) if self.axes == "BT" else value
        value = value if "T" in self.axes else value.unsqueeze(0)
        return value if "B" in self.axes else value.unsqueeze(1)

    def back(self, answers: Tensor, last: bool = False) -> Tensor:
        """Answers (T, B, Q) in the caller's layout, of a single step with ``last``."""
        if last or "T" not in self.axes:
            return answers[0] if "B" in self.axes else answers[0, 0]
        answers = answers if "B" in self.axes else answers.squeeze(1)
        return answers.transpose(0, 1) if self.axes == "BT" else answers

    def read(self, name: str, value: Tensor) -> Tensor:
        """One number for each observation, (T, B); those of a chunk may be shared by the batch."""
        shape, axes = [self.sizes[axis] for axis in self.axes], self.axes
        if value.dim() == 0 and "T" not in axes:
            return value.expand(1, self.sizes["B"])
        if axes in ("TB", "BT") and value.dim() == 1:
            require_shape(self.where, name, value, (self.sizes["T"],), "(T,)")
            return value.unsqueeze(1).expand(*value.shape, self.sizes["B"])
        require_shape(self.where, name, value, tuple(shape), _letters(axes))
        return self.time_major(value)


@dataclass(frozen=True, eq=False)
class Observations:
    """What is pushed, time-major.

    Attributes:
        values: (T, R, P), or symbols (T, R).
        observed: Which values were, (T, R, P); None if all.
        dt: For how long each is held: a number, (T, R), or None.
        time: When each came, (T, R) in float64, or None.
    """

    values: Tensor
    observed: Tensor | None = None
    dt: float | Tensor | None = None
    time: Tensor | None = None

    def select(self, index: Tensor) -> "Observations":
        """Those of the streams at an index."""

        def pick(value: Any) -> Any:
            return value.index_select(1, index) if isinstance(value, Tensor) else value

        return Observations(*map(pick, (self.values, self.observed, self.dt, self.time)))

    def filled(self, held: Tensor, missing: str) -> Tensor:
        """The values, gaps filled as :func:`fill_missing` does from what was held before."""
        if self.observed is None:
            return self.values
        if missing == "zero":
            return fill_missing(self.values, self.observed, missing)
        before = torch.ones_like(self.observed[:1])
        values = torch.cat((held.unsqueeze(0), self.values))
        return fill_missing(values, torch.cat((before, self.observed)), missing)[1:]


def read_values(where: str, input: Numbers, model: StreamModel) -> Tensor:
    """An input as a tensor that the model can read."""
    symbols = model.vocab_size
    if not isinstance(input, Tensor):
        factory = model.factory()
        dtype = None if symbols else factory["dtype"]
        is_nested = isinstance(input, (list, tuple, np.ndarray)) and symbols is None
        value = _with_nan(input) if is_nested else input
        input = _as_tensor(where, "input", value, dtype, factory["device"])
    if symbols is None:
        require_floating(where, "input", input)
    elif input.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"{where}: expected symbols in int64 or int32, got {input.dtype}.")
    elif input.numel() and not 0 <= int(input.min()) <= int(input.max()) < symbols:
        raise ValueError(
            f"{where}: expected symbols from 0 to {symbols - 1}, got values from "
            f"{int(input.min())} to {int(input.max())}."
        )
    return input if symbols is None else input.long()


def read_names(where: str, stream: Names) -> list[str]:
    """Names of streams as a list of strings."""
    several = isinstance(stream, Iterable) and not isinstance(stream, str)
    names: list[Any] = list(stream) if several else [stream]
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{where}: expected `stream` to be a str or several, got {stream!r}.")
    return names


def read_observed(frame: Frame, values: Tensor, mask: Any) -> Tensor | None:
    """Which of (T, B, P) values were observed; None if all."""
    if not values.is_floating_point():
        if mask is not None:
            raise ValueError(f"{frame.where}: expected no `mask` for symbols, got one.")
        return None
    if mask is None:
        # On an accelerator it is cheaper to fill what has no gaps than to wait for the answer.
        holes = values.isnan()
        return ~holes if values.device.type != "cpu" or bool(holes.any()) else None
    mask = torch.as_tensor(mask, device=values.device)
    if mask.dtype != torch.bool:
        raise TypeError(
            f"{frame.where}: expected a boolean `mask`, True where a value is observed, "
            f"got {mask.dtype}."
        )
    if mask.dim() == len(frame.axes) + 1:
        shape = *(frame.sizes[axis] for axis in frame.axes), values.shape[-1]
        require_shape(frame.where, "mask", mask, shape, _letters(frame.axes + "P"))
        mask = frame.time_major(mask)
    else:
        mask = frame.read("mask", mask).unsqueeze(-1)
    observed: Tensor = mask & ~values.isnan()
    return observed


def read_dt(frame: Frame, dt: Numbers | None, values: Tensor) -> float | Tensor | None:
    """``dt`` as a number or (T, B); None if there is none."""
    if dt is None:
        return None
    if isinstance(dt, (int, float, np.number)):
        require_in_range(frame.where, "dt", dt, 0)
        return float(dt)
    dtype = None if isinstance(dt, Tensor) else torch.float64
    times = _as_tensor(frame.where, "dt", dt, dtype, values.device)
    require_floating(frame.where, "dt", times)
    if times.dim() == 0:
        return read_dt(frame, times.item(), values)
    return frame.read("dt", times)


def read_stamps(frame: Frame, time: Numbers, values: Tensor) -> Tensor:
    """Time stamps as (T, B) in float64, finite."""
    stamps = _as_tensor(frame.where, "time", time, torch.float64, values.device)
    stamps = frame.read("time", stamps)
    if not bool(stamps.isfinite().all()):
        raise ValueError(f"{frame.where}: expected a finite `time`, got nan or infinity.")
    return stamps


def elapsed(where: str, before: Tensor, stamps: Tensor, names: Sequence[str] | None) -> Tensor:
    """Time between stamps, (T, R), the first since ``before``, (R,).

    Returns:
        In the unit of the stamps.

    Raises:
        ValueError: If a stamp is before the one that came before it.
    """
    stamps = torch.cat((before.unsqueeze(0), stamps))
    steps = stamps.diff(dim=0)
    if bool((steps < 0).any()):
        t, row = (steps < 0).nonzero()[0].tolist()
        who = f" of stream {names[row]!r}" if names else f" of row {row}" if len(before) > 1 else ""
        raise ValueError(
            f"{where}: expected a `time`{who} not before the last one, {stamps[t, row].item()!r}, "
            f"got {stamps[t + 1, row].item()!r}. Time stamps must not decrease."
        )
    if not bool((steps < math.inf).all()):
        raise ValueError(f"{where}: expected stamps whose differences are finite, got others.")
    return steps


def _as_tensor(
    where: str, name: str, value: Numbers, dtype: torch.dtype | None, device: torch.device
) -> Tensor:
    try:
        return torch.as_tensor(value, dtype=dtype, device=device)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        if isinstance(value, Tensor):  # the device's own error, not the value's
            raise
        raise TypeError(
            f"{where}: expected `{name}` to be a number, or a tensor, an array or lists of equal "
            f"length of numbers, got {reprlib.repr(value)}."
        ) from None


def _with_nan(value: Any) -> Any:
    """NaN in place of None, in lists as deep as they are."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_with_nan(item) for item in value]
    return math.nan if value is None else value


def _letters(axes: str) -> str:
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"
