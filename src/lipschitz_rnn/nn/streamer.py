"""A model fed one observation at a time: one stream, a batch of them, or many by name."""

from collections.abc import KeysView, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_in_range, require_positive_int
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.tensor_file import read_tensors, write_tensors
from lipschitz_rnn.nn.stream_engine import StreamEngine
from lipschitz_rnn.nn.stream_input import Names, Numbers, read_names
from lipschitz_rnn.nn.stream_model import StreamModel
from lipschitz_rnn.nn.stream_state import TENSORS, engine_state, load_engine_state

_KIND = "streams"


class Streamer:
    r"""Feed a model observations as they come; the answers equal those of whole sequences.

    .. math:: h_t = \mathrm{step}(h_{t-1}, x_t, dt_t), \qquad \mathrm{answer}_t = D h_t + d

    An input is held until the next one. With ``dt``, for how long is said along with the input,
    in multiples of the step size, and the answer is of the end of that time: of
    ``push(x, dt=dt)`` it equals, to rounding, what the model says at that step of the whole
    sequence with its ``dt``. With ``time_unit``, observations have time stamps instead. Then the
    next observation tells for how long this one was held: a push at time s returns the answer of
    s, from all observations before. Along stamps :math:`s_1 \le s_2 \le \dots` the answer at
    :math:`s_{t+1}` equals that of step t of the whole sequence with :math:`dt_t = (s_{t+1} - s_t)`
    / ``time_unit``; at :math:`s_1` it is of the initial state. :meth:`answer` looks ahead of the
    last stamp.

    NaN is a missing value and filled by the model's rule (``missing="hold"`` or ``"zero"``), as
    ``mask`` does for whole sequences. Answers are in evaluation mode, without dropout and noise,
    and without gradients, whatever mode the model is in. Weights that change are seen at the next
    push. A call that raises leaves all streams as they were.

    Args:
        model: A :class:`SequenceClassifier`, :class:`SequenceRegressor` or :class:`LanguageModel`,
            or a recurrent layer alone: :class:`LipschitzRNN`, :class:`RecurrentLayer`, or torch's
            own. Not bidirectional. An encoder must read each step by itself.
        time_unit: How much time one step of the model is, in the unit of the time stamps: 0.1 for
            stamps in seconds and a step of 0.1 s. None for observations without time stamps.
        max_streams: How many streams there may be by name; any number if None. Each takes about
            as much memory as its state.

    Shape:
        - input of :meth:`push`: (P,) for one stream, (B, P) for B of them; symbols () or (B,)
        - input of :meth:`push_chunk`: (T, P), and (T, B, P) or (B, T, P) as the model has it;
          symbols (T,), and (T, B) or (B, T)
        - answers: Q, or V logits, or H features of a layer, in place of P

    Note:
        One streamer is for one thread at a time. Several may share a model in threads of their own
        if it is in evaluation mode; one in training mode is switched for the length of each call.

    Raises:
        TypeError: If the model is of another kind, or ``time_unit`` is given and its unit takes no
            times.
        ValueError: If the model is bidirectional, or a number is out of range.

    Examples:
        >>> import torch
        >>> from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier
        >>> model = SequenceClassifier(LipschitzRNN(3, 8), 4).eval()
        >>> streamer, sequence = Streamer(model), torch.randn(10, 3)
        >>> for observation in sequence:
        ...     logits = streamer.push(observation)
        >>> bool(torch.allclose(logits, model(sequence), atol=1e-6))
        True
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        time_unit: float | None = None,
        max_streams: int | None = None,
    ) -> None:
        parts = StreamModel(model)
        if time_unit is not None:
            require_in_range("Streamer", "time_unit", time_unit, 0, open_low=True)
            time_unit = float(time_unit)
        if max_streams is not None:
            require_positive_int("Streamer", "max_streams", max_streams)
        self._engine = StreamEngine(parts, time_unit, max_streams)
        if time_unit is not None:
            self._engine.require_times("Streamer", "time_unit")

    @property
    def model(self) -> nn.Module:
        """The model."""
        return self._engine.model.model

    @property
    def time_unit(self) -> float | None:
        """How much time one step is; None for observations without time stamps."""
        return self._engine.time_unit

    @property
    def streams(self) -> KeysView[str]:
        """Names of the streams, the one pushed longest ago first."""
        return self._engine.named.places.keys()

    def push(
        self,
        input: Numbers,
        *,
        time: Numbers | None = None,
        dt: Numbers | None = None,
        mask: Any = None,
        stream: Names | None = None,
    ) -> Tensor:
        """Take in one observation, of one stream or of several.

        Args:
            input: (P,) or (B, P); symbols () or (B,). The first one without ``stream`` fixes B.
                What is no tensor becomes one of the model's dtype, with None for missing numbers.
            time: When it came, at least the time before: a number, or (B,). Needed with
                ``time_unit``, and refused without.
            dt: For how long it is held, in multiples of the step size: a number, or (B,); 1 if
                None. Refused with ``time_unit``.
            mask: True where observed, of the shape of ``input``, or without its last axis.
            stream: The name of its stream, or names of the B streams, each once. One that is new
                begins at the initial state. None for a stream, or a batch, without a name.

        Returns:
            The answer, (Q,) or (B, Q): at ``time``, or else after the input was held for ``dt``.

        Raises:
            TypeError: If a dtype does not fit, or the unit takes no times.
            ValueError: If a shape, a name or a value does not fit, or time stamps decrease.
        """
        return self._engine.push("Streamer.push", False, input, time, dt, mask, stream)

    def push_chunk(
        self,
        input: Numbers,
        *,
        time: Numbers | None = None,
        dt: Numbers | None = None,
        mask: Any = None,
        stream: Names | None = None,
        every_step: bool = True,
    ) -> Tensor:
        """Take in several observations of each stream at a time, as fast as a whole sequence.

        Args:
            input: (T, P), and (T, B, P) or (B, T, P) as the model has it.
            time: As for :meth:`push`, (T,), or (T, B) or (B, T).
            dt: As for :meth:`push`, a number, (T,), or (T, B) or (B, T).
            mask: As for :meth:`push`, also without the features.
            stream: As for :meth:`push`.
            every_step: Whether all answers are wanted. Without them a single layer keeps no state
                but the one it is at, so that a million steps take little more memory than their
                input.

        Returns:
            The answers in the layout of the input, with Q features; or only the last ones, (Q,) or
            (B, Q).

        Raises:
            TypeError: As :meth:`push`.
            ValueError: As :meth:`push`.
        """
        where = "Streamer.push_chunk"
        return self._engine.push(where, True, input, time, dt, mask, stream, every_step)

    def answer(self, *, time: float | None = None, stream: Names | None = None) -> Tensor:
        """The present answer once more, or what it will be; the streams stay as they are.

        Args:
            time: Hold the present inputs until then, at least the last time stamp; None for now.
            stream: As for :meth:`push`, but not a new one.

        Returns:
            The answer, (Q,) or (B, Q).

        Raises:
            ValueError: If there is no such stream, or ``time`` does not fit.
        """
        return self._engine.answer("Streamer.answer", time, stream)

    def clock(self, stream: Names | None = None) -> Tensor:
        """The last time stamp of a stream.

        Args:
            stream: As for :meth:`answer`.

        Returns:
            () or (B,), in float64.

        Raises:
            ValueError: If there is no such stream, or there are no time stamps.
        """
        rows, batched = self._engine.find("Streamer.clock", stream)
        if rows.clock is None:
            raise ValueError("Streamer.clock: expected a streamer with `time_unit`, got another.")
        return rows.clock.clone() if batched else rows.clock[0].clone()

    def forget(self, stream: Names) -> None:
        """End streams; what is pushed under their names from then on begins anew.

        Args:
            stream: A name, or several.

        Raises:
            ValueError: If there is no such stream.
        """
        names = list(dict.fromkeys(read_names("Streamer.forget", stream)))
        self._engine.require_known("Streamer.forget", names)
        self._engine.named.forget(names)

    def reset(self) -> None:
        """Forget every stream, those without a name too."""
        self._engine.reset()

    def state_dict(self) -> dict[str, Any]:
        """Where all streams are, which :meth:`load_state_dict` goes on from bit for bit.

        Returns:
            What JSON can hold, and copies of tensors, on the CPU, under ``"tensors"``.
        """
        return engine_state(self._engine)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put all streams where they were, in place of those there are.

        Args:
            state: What :meth:`state_dict` returned, here or elsewhere.

        Raises:
            InputError: If it is of other weights, another layer or another ``time_unit``; the
                streams are then as they were.
        """
        load_engine_state("Streamer.load_state_dict", self._engine, state)

    def save(self, path: str | Path) -> None:
        """Write where all streams are to a safetensors file; it is never seen half-written.

        Args:
            path: The file.
        """
        state = self.state_dict()
        tensors = state.pop(TENSORS)
        write_tensors(Path(path), tensors, {"kind": _KIND, "state": state})

    def load(self, path: str | Path) -> None:
        """Go on from a file of :meth:`save`. Nothing in it is ever executed.

        Args:
            path: The file.

        Raises:
            InputError: If it is damaged or foreign, or of another model; the streams are then as
                they were.
        """
        tensors, meta = read_tensors(Path(path), "file of streams")
        if meta.get("kind") != _KIND:
            raise InputError(f"{path}: expected a file of streams, got one of another kind.")
        load_engine_state(str(path), self._engine, {**meta["state"], TENSORS: tensors})
