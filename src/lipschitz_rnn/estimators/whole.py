"""Estimators that answer once for a whole series."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_choice
from lipschitz_rnn.estimators.base import RecurrentEstimator
from lipschitz_rnn.estimators.model import POOLINGS, Architecture
from lipschitz_rnn.estimators.parameters import read_device, require_bool, require_count
from lipschitz_rnn.estimators.samples import Samples
from lipschitz_rnn.estimators.series import (
    Array,
    Series,
    axes,
    is_list_of_series,
    read_block,
    read_list,
    read_table,
    require_some,
)
from lipschitz_rnn.estimators.task import Criterion, SeriesTask, answers_of, split
from lipschitz_rnn.estimators.threads import require_threads

_UNIT = {"step_size": 0.5, "gamma_a": 0.3}
"""A state forgets a seventh with every step. With times a step may be ``LONGEST`` times as long,
which Euler's method bears: 1 - 8 * 0.5 * 0.3 = -0.2."""

_INPUT_GAIN = 3.0
"""Numbers in a window are much alike: at the usual size of U, tanh would hardly bend."""

_MODEL_STEPS = 64
"""Steps of the model for the usual series, at most: longer series are read in patches."""


class SeriesEstimator(RecurrentEstimator):
    """Base of classifier and regressor; they have the parameters, the targets and the loss."""

    _from_table: bool

    def _read(self, X: Any, times: Any, *, reset: bool) -> Series:
        """Read n series; a table is n series of one feature."""
        require_some(self._where, X)
        table = False
        if is_list_of_series(X, of_lists=False):
            series = read_list(self, X, reset=reset)
        elif axes(X) == 3:
            series = read_block(self, X, reset=reset)
        else:
            table = True
            compare = not reset and self._from_table
            array = read_table(self, X, reset=reset, compare=compare)
            counts = np.full(len(array), array.shape[1], dtype=np.int64)
            series = Series(array.reshape(-1, 1), counts)
        if reset:
            self._from_table = table
        return series.timed(self._where, times)

    def _fit(
        self, series: Series, target: Tensor, output_size: int, groups: Array, criterion: Criterion
    ) -> None:
        """Train on series and their targets, held back in proportion to ``groups``."""
        architecture = self._architecture_for(series, output_size)

        def make_task(
            model: nn.Module, samples: Samples, generator: torch.Generator, device: torch.device
        ) -> SeriesTask:
            held = split(groups, self._held_fraction, generator)
            if self._held_fraction and not held.any():
                raise ValueError(
                    f"{self._where}: expected enough series to hold {self.validation_fraction:g} "
                    f"of them back for early stopping, got {len(series)}. Set patience=None."
                )
            return SeriesTask(
                model=model,
                samples=samples,
                target=target,
                criterion=criterion,
                batch_size=int(self.batch_size),
                train=(~held).nonzero().squeeze(1),
                held=held.nonzero().squeeze(1),
                generator=generator,
                device=device,
            )

        self._train(series, architecture, make_task)

    def _architecture_for(self, series: Series, output_size: int) -> Architecture:
        where, steps = self._where, int(np.median(series.counts))
        require_choice(where, "pooling", self.pooling, POOLINGS)
        patch = -(-steps // _MODEL_STEPS) if self.patch is None else self.patch
        require_count(where, "patch", patch)
        window = require_count(where, "window", self.window)
        return self._make_architecture(
            series,
            output_size,
            _UNIT,
            patch=int(patch),
            window=max(int(patch), min(window, steps // 2)),
            pooling=self.pooling,
            bidirectional=require_bool(where, "bidirectional", self.bidirectional),
            input_gain=_INPUT_GAIN if str(self.unit).startswith("lipschitz") else 1.0,
        )

    def _predict(self, X: Any, times: Any) -> Tensor:
        """Answers of the model to series, (n, Q), on the CPU."""
        check_is_fitted(self)
        series = self._read(X, times, reset=False)
        self._require_size(series)
        require_threads()
        samples, index = self.scaling_.apply(series, self._where), torch.arange(len(series))
        return answers_of(self.model_, samples, index, read_device(self)).cpu()
