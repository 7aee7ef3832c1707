"""What a streamer does at a push: read, fill, advance, answer, and only then keep."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lipschitz_rnn.nn.stream_input import (
    Frame,
    Names,
    Numbers,
    Observations,
    elapsed,
    read_dt,
    read_names,
    read_observed,
    read_stamps,
    read_values,
)
from lipschitz_rnn.nn.stream_model import StreamModel
from lipschitz_rnn.nn.stream_rows import NamedRows, Rows


@contextlib.contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, and the model's own modes again afterwards."""
    awake = [module for module in model.modules() if module.training]
    try:
        for module in awake:
            module.training = False
        # states outlive the inference mode that a caller may be in
        with torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        for module in awake:
            module.training = True


class StreamEngine:
    """Streams of one model.

    Attributes:
        model: The model.
        time_unit: See ``Streamer``.
        max_streams: See ``Streamer``.
        own: The streams without a name, and whether they came as a batch; None before the first.
        named: Those with a name.
    """

    def __init__(
        self, model: StreamModel, time_unit: float | None, max_streams: int | None
    ) -> None:
        self.model = model
        self.time_unit = time_unit
        self.max_streams = max_streams
        self._takes_times = model.takes_times
        self.reset()

    def reset(self) -> None:
        """Forget every stream."""
        self.own: tuple[Rows, bool] | None = None
        self.named = NamedRows()

    def require_times(self, where: str, name: str) -> None:
        """Raise ``TypeError`` unless the unit takes times."""
        if not self._takes_times:
            raise TypeError(
                f"{where}: expected a unit that takes times `dt` with `{name}`, got "
                f"{type(self.model.rnn).__name__} of one that does not."
            )

    def push(
        self,
        where: str,
        chunk: bool,
        input: Numbers,
        time: Numbers | None,
        dt: Numbers | None,
        mask: Any,
        stream: Names | None,
        every_step: bool = True,
    ) -> Tensor:
        """See ``Streamer.push`` and ``Streamer.push_chunk``."""
        if not chunk and mask is None and stream is None:
            answer = self._push_plain(input, time, dt)
            if answer is not None:
                return answer
        with evaluation(self.model.model):
            self._require_style(where, time, dt)
            values = read_values(where, input, self.model)
            frame = Frame.of(where, values, chunk, self.model)
            names = self._read_names(frame, stream)
            values = frame.time_major(values)
            seen = Observations(
                values,
                read_observed(frame, values, mask),
                read_dt(frame, dt, values),
                None if time is None else read_stamps(frame, time, values),
            )
            if names is None:
                outputs, rows = self._advance(frame, self._own_rows(frame), seen, None, every_step)
            else:
                outputs, names, rows = self._advance_named(frame, names, seen, every_step)
            answers = frame.back(self.model.answer(outputs), last=not every_step)
            if names is None:
                self.own = rows, "B" in frame.axes
            else:
                self.named.write(names, rows)
            return answers

    def _push_plain(
        self, input: Numbers, time: Numbers | None, dt: Numbers | None
    ) -> Tensor | None:
        """The commonest push, in little time; None for one that needs more, or a message."""
        step = self.model.stepper()
        if (
            step is None
            or self.own is None
            or type(input) is not Tensor
            or torch.is_inference_mode_enabled()
        ):
            return None
        rows, batched = self.own
        plain, dt = self._plain_time(rows, time, dt)
        with torch.no_grad():
            values = input if batched else input.unsqueeze(0)
            if (
                not plain
                or values.shape != rows.held.shape
                or values.dtype != rows.held.dtype
                or values.device.type != "cpu"
                or math.isnan(values.sum())  # of a gap, or of infinities: the general way will see
            ):
                return None
            clock = None if time is None else torch.tensor([time], dtype=torch.float64)
            output, state = step(values if time is None else rows.held, rows.state, dt)
            answer = self.model.answer(output)
            self.own = Rows(state, values.clone(), clock), batched
            return answer if batched else answer[0]

    def _plain_time(self, rows: Rows, time: Any, dt: Any) -> tuple[bool, float | None]:
        """Whether the time of one push is a number that may be, and the ``dt`` of its step."""
        if self.time_unit is None:
            if time is not None or dt is None:
                return time is None, None
        elif type(time) is float and dt is None and rows.clock is not None and len(rows.clock) == 1:
            dt = (time - rows.clock.item()) / self.time_unit
        else:
            return False, None
        return self._takes_times and type(dt) is float and 0 <= dt < math.inf, dt

    def answer(self, where: str, time: float | None, stream: Names | None) -> Tensor:
        """See ``Streamer.answer``."""
        with evaluation(self.model.model):
            rows, batched = self.find(where, stream)
            output = self.model.last_output(rows.state)
            if time is not None:
                self._require_style(where, time, None)
                frame = Frame(where, "B", {"T": 1, "B": len(rows.held)})
                stamps = read_stamps(frame, time, rows.held)
                seen = Observations(rows.held.unsqueeze(0), time=stamps)
                names = None if stream is None else read_names(where, stream)
                output = self._advance(frame, rows, seen, names, True)[0][0]
            answer = self.model.answer(output)
            return answer if batched else answer[0]

    def find(self, where: str, stream: Names | None) -> tuple[Rows, bool]:
        """Rows that are there, and whether they are a batch."""
        if stream is None:
            if self.own is None:
                raise ValueError(f"{where}: expected a push before, got none.")
            return self.own
        names = read_names(where, stream)
        self.require_known(where, names)
        if not names:
            raise ValueError(f"{where}: expected the name of a stream, got none.")
        return self.named.read(names), not isinstance(stream, str)

    def require_known(self, where: str, names: Sequence[str]) -> None:
        """Raise ``ValueError`` unless there are streams of these names."""
        for name in names:
            if name not in self.named.places:
                raise ValueError(f"{where}: expected the name of a stream, got {name!r}.")

    def _require_style(self, where: str, time: Any, dt: Any) -> None:
        if self.time_unit is None:
            if time is not None:
                raise ValueError(
                    f"{where}: expected no `time`, got one. Make the streamer with "
                    "`time_unit`, which says how much time a step of the model is."
                )
            if dt is not None:
                self.require_times(where, "dt")
        elif time is None or dt is not None:
            raise ValueError(
                f"{where}: expected `time` and no `dt` with `time_unit`, got "
                f"{'`dt`' if dt is not None else 'no `time`'}."
            )

    def _read_names(self, frame: Frame, stream: Names | None) -> list[str] | None:
        if stream is None:
            return None
        single, where = isinstance(stream, str), frame.where
        names = read_names(where, stream)
        if single == ("B" in frame.axes) or len(names) != frame.sizes["B"]:
            got = "one name" if single else f"{len(names)} names"
            raise ValueError(
                f"{where}: expected a name for an `input` without a batch, or as many as it has "
                f"rows, got {got} for "
                f"{frame.sizes['B'] if 'B' in frame.axes else 'one without'}."
            )
        if len(set(names)) < len(names):
            raise ValueError(f"{where}: expected each `stream` once, got one twice.")
        new = [name for name in names if name not in self.named.places]
        if self.max_streams and new and len(self.named.places) + len(new) > self.max_streams:
            raise ValueError(
                f"{where}: expected at most {self.max_streams} streams, got another one, "
                f"{new[-1]!r}. Forget one before, or make the streamer with a larger `max_streams`."
            )
        return names

    def _own_rows(self, frame: Frame) -> Rows | None:
        if self.own is None:
            return None
        rows, batched = self.own
        if batched != ("B" in frame.axes) or len(rows.held) != frame.sizes["B"]:
            before = f"a batch of {len(rows.held)} streams" if batched else "one without a batch"
            now = f"a batch of {frame.sizes['B']}" if "B" in frame.axes else "one without a batch"
            raise ValueError(
                f"{frame.where}: expected `input` to be {before}, as pushed first, got {now}."
            )
        return rows

    def _advance_named(
        self, frame: Frame, names: list[str], seen: Observations, every_step: bool
    ) -> tuple[Tensor, list[str], Rows]:
        """Outputs in the order given; rows, and their names, those that are new last."""
        new = [i for i, name in enumerate(names) if name not in self.named.places]
        if not new or len(new) == len(names):
            rows = None if new else self.named.read(names)
            outputs, after = self._advance(frame, rows, seen, names, every_step)
            return outputs, names, after
        old = [i for i, name in enumerate(names) if name in self.named.places]
        # only the cell knows its initial state, so those that are new are run by themselves
        parts = []
        for places in (old, new):
            own = [names[i] for i in places]
            rows = self.named.read(own) if places is old else None
            some = seen.select(torch.tensor(places, device=seen.values.device))
            parts.append(self._advance(frame, rows, some, own, every_step))
        (outputs, rows_old), (others, rows_new) = parts
        order = torch.tensor(old + new, device=outputs.device).argsort()
        outputs = torch.cat((outputs, others), 1).index_select(1, order)
        return outputs, [names[i] for i in old + new], rows_old.join(rows_new)

    def _advance(
        self,
        frame: Frame,
        rows: Rows | None,
        seen: Observations,
        names: Sequence[str] | None,
        every_step: bool,
    ) -> tuple[Tensor, Rows]:
        """Outputs (T, R, H), or the last one (1, R, H), and the rows after."""
        held = torch.zeros_like(seen.values[0]) if rows is None else rows.held
        if held.shape != seen.values.shape[1:]:
            raise ValueError(
                f"{frame.where}: expected `input` of {held.shape[-1]} features, as before, got "
                f"{seen.values.shape[-1]}."
            )
        inputs, dt, clock = seen.filled(held, self.model.missing), seen.dt, None
        kept = inputs[-1].clone()
        if seen.time is not None and self.time_unit is not None:
            before = seen.time[0] if rows is None or rows.clock is None else rows.clock
            dt = elapsed(frame.where, before, seen.time, names) / self.time_unit
            inputs, clock = torch.cat((held.unsqueeze(0), inputs[:-1])), seen.time[-1].clone()
        if isinstance(dt, Tensor) and dt.numel() == 1 and dt.device.type == "cpu":
            dt = dt.item()  # the kernel takes a number faster than a tensor
        state = None if rows is None else rows.state
        outputs, state = self.model.run(inputs, state, dt, every_step)
        return outputs, Rows(state, kept, clock)
