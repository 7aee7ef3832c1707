"""A model taken apart for streams: encoder, recurrent layer, head."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lipschitz_rnn.nn.heads import LanguageModel, SequenceRegressor
from lipschitz_rnn.nn.layer import RecurrentLayer
from lipschitz_rnn.nn.rnn import LipschitzRNN
from lipschitz_rnn.nn.state import State, map_state, output_of
from lipschitz_rnn.nn.unroll import takes_dt
from lipschitz_rnn.ops.call import LOW_PRECISION


class StreamModel:
    """What can be asked of a model along a stream: a few steps, and an answer.

    Args:
        model: The whole model, or a recurrent layer alone.

    Raises:
        TypeError: If it is of another kind.
        ValueError: If it is bidirectional.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._is_layer = isinstance(model, (RecurrentLayer, nn.RNNBase))
        # not a subclass with a forward of its own: it may do more than is taken apart here
        known = SequenceRegressor.forward, LanguageModel.forward
        if not self._is_layer and type(model).forward not in known:
            raise TypeError(
                "Streamer: expected a recurrent layer, a SequenceClassifier, a SequenceRegressor "
                f"or a LanguageModel, got {type(model).__name__}."
            )
        if self.rnn.bidirectional:
            raise ValueError(
                "Streamer: expected a model with bidirectional=False, got True. "
                "The reverse direction needs the future."
            )

    @property
    def rnn(self) -> nn.Module:
        """The recurrent layer."""
        # the attribute's look-up takes long, and holding the layer would miss another one
        return self.model if self._is_layer else self.model._modules["rnn"]  # type: ignore[return-value]

    @property
    def batch_first(self) -> bool:
        """Whether sequences are (B, T, ...)."""
        return bool(self.rnn.batch_first)

    @property
    def vocab_size(self) -> int | None:
        """V of a model that reads symbols; None for one that reads numbers."""
        if not isinstance(self.model, LanguageModel):
            return None
        return self.model.encoder.num_embeddings

    @property
    def input_size(self) -> int | None:
        """P; None if only an encoder of the user's knows it."""
        if self._is_layer or isinstance(self.model.encoder, nn.Identity):
            return int(self.rnn.input_size)  # type: ignore[arg-type]
        return None

    @property
    def missing(self) -> str:
        """What stands in for a missing input."""
        return getattr(self.rnn, "missing", "hold")

    @property
    def takes_times(self) -> bool:
        """Whether the recurrent layer takes ``dt``."""
        rnn = self.rnn
        if isinstance(rnn, RecurrentLayer) and not isinstance(rnn, LipschitzRNN):
            return all(takes_dt(cell) for cell in rnn.cells)
        return takes_dt(rnn)

    def factory(self) -> dict[str, Any]:
        """Dtype and device of the recurrent layer, for numbers that become tensors."""
        weight = next(self.rnn.parameters(), torch.empty(0))
        return {"dtype": weight.dtype, "device": weight.device}

    def run(
        self,
        values: Tensor,
        state: State | None,
        dt: float | Tensor | None,
        need_output: bool = True,
    ) -> tuple[Tensor, State]:
        """Outputs after some steps, (T, R, H), or (1, R, H) for the last one, and the state then.

        Args:
            values: (T, R, P), or symbols (T, R).
            state: (L, R, H) each part, or None at the start.
            dt: A number or (T, R), as :meth:`RecurrentLayer.forward` has it.
            need_output: Whether all outputs are wanted, not only the last one.

        Returns:
            Outputs and state.
        """
        rnn = self.rnn
        input = values.transpose(0, 1) if self.batch_first else values
        if not self._is_layer and not isinstance(self.model.encoder, nn.Identity):
            input = self.model.encoder(input)  # type: ignore[operator]
        if state is None and isinstance(rnn, LipschitzRNN) and input.dtype in LOW_PRECISION:
            # what is lost in half precision would be lost at every step
            shape = rnn.num_layers, values.shape[1], rnn.hidden_size
            state = input.new_zeros(shape, dtype=torch.float32)
        if len(values) == 1 and isinstance(rnn, RecurrentLayer):
            dt = dt[0] if isinstance(dt, Tensor) else dt
            output, state = rnn.step(input.select(int(self.batch_first), 0), state, dt)
            return output.unsqueeze(0), state
        options: dict[str, Any] = {}
        if dt is not None:
            by_batch = isinstance(dt, Tensor) and self.batch_first
            options["dt"] = dt.T if by_batch else dt  # type: ignore[union-attr]
        if not need_output and isinstance(rnn, RecurrentLayer):
            options["need_output"] = False
        outputs, last = rnn(input, state, **options)
        # a copy: what is kept must not keep the outputs of the whole chunk, nor change with them
        last = map_state(torch.clone, last)
        if not need_output:
            return self.last_output(last).unsqueeze(0), last
        return (outputs.transpose(0, 1) if self.batch_first else outputs), last

    def stepper(self) -> Callable[..., tuple[Tensor, State]] | None:
        """The layer's step, where it is all that there is to do for numbers; None elsewhere."""
        rnn = self.rnn
        if not isinstance(rnn, RecurrentLayer) or _any_training(self.model):
            return None
        if not self._is_layer and not isinstance(self.model._modules["encoder"], nn.Identity):
            return None
        return rnn.step

    def last_output(self, state: State) -> Tensor:
        """The recurrent layer's output in a state, (R, H), in memory of its own."""
        # the state of a half-precision layer is more precise than its output
        return output_of(state)[-1].to(self.factory()["dtype"], copy=True)

    def answer(self, output: Tensor) -> Tensor:
        """What the model says to an output, (..., H)."""
        return output if self._is_layer else self.model._modules["head"](output)  # type: ignore[misc]


def _any_training(model: nn.Module) -> bool:
    """Whether some part is in training mode, which may be another than the model's own."""
    left: list[nn.Module | None] = [model]
    while left:  # `model.modules()` takes ten times as long, a good part of a short step
        module = left.pop()
        if module is not None:
            if module.training:
                return True
            left.extend(module._modules.values())
    return False
