"""The moving average of a model's weights, and its way into a checkpoint and back.

Note [Averaged weights in checkpoints]
While a run lasts its checkpoint holds both: what is to be used, the average, under the name that
weights have in every other run, and the weights in training beside it, so that whoever loads a
model need not know that it was averaged.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.training.weights import load_model_tensors

_RAW, _COUNT = "raw/", "average/count"


class WeightAverage:
    """Moving average w̄ ← d w̄ + (1 − d) w after every update, from the first update's weights on.

    Args:
        model: What is trained.
        decay: d in [0, 1); 0 for no average: the model itself is what is used.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self._average: AveragedModel | None = None
        if decay > 0:
            average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            self._average = AveragedModel(model, multi_avg_fn=average)

    @property
    def model(self) -> nn.Module:
        """The model to validate, test and keep."""
        return self._model if self._average is None else self._average.module

    def update(self) -> None:
        """Take in the weights after an update."""
        if self._average is not None:
            self._average.update_parameters(self._model)

    def settle(self) -> None:
        """Give the model its average; training is over."""
        if self._average is not None:
            self._model.load_state_dict(self._average.module.state_dict())

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: see Note [Averaged weights in checkpoints].

        Returns:
            References by name, not copies.
        """
        kept = _named("model/", self.model)
        if self._average is not None:
            kept |= _named(_RAW, self._model) | {_COUNT: self._average.n_averaged}
        return kept

    def restore(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`tensors` gave.

        Args:
            path: What error messages call the source.
            tensors: Tensors by name, others among them.

        Raises:
            InputError: If they are not this model's.
        """
        load_model_tensors(path, self.model, tensors)
        if self._average is not None:
            load_model_tensors(path, self._model, tensors, _RAW)
            if _COUNT not in tensors:
                raise InputError(f"{path}: expected {_COUNT!r} beside averaged weights, got none.")
            with torch.no_grad():
                self._average.n_averaged.copy_(tensors[_COUNT])


def _named(prefix: str, model: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in model.state_dict().items()}
