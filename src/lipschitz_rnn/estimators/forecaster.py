"""How series go on."""

from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted
from torch import nn

from lipschitz_rnn.estimators.base import RecurrentEstimator
from lipschitz_rnn.estimators.forecast_model import ForecastModel
from lipschitz_rnn.estimators.futures import Futures
from lipschitz_rnn.estimators.histories import Histories, read_histories
from lipschitz_rnn.estimators.parameters import read_device, require_count
from lipschitz_rnn.estimators.samples import Samples
from lipschitz_rnn.estimators.series import Array, Series, last_steps, without_last
from lipschitz_rnn.estimators.storage import Records
from lipschitz_rnn.estimators.threads import require_threads
from lipschitz_rnn.estimators.windows import WindowTask, cut, last_forecasts

_TIME = 24
"""How long a piece of a series lasts, in units of time of the unit that reads it."""


class LipschitzRNNForecaster(RecurrentEstimator):
    r"""Tell how series go on with a recurrent network, as a scikit-learn estimator.

    .. math::
        \hat x_{t+k} = x_t + s_k \odot (D_k h_t + d_k), \qquad k = 1, \dots, K

    The next K values are told at once, by K readouts of one state: an error of the first is not fed
    back to the others. Further ones are found by going on from those. The unit reads how far a
    series has moved since the first of the last C observations, so that levels never seen in
    training do no harm; :math:`s_k` is how far series usually move in k steps.

    Args:
        horizon: K, how many values to tell at once; later ones are told less well.
        hidden_size: H, features of the state.
        num_layers: Layers on top of each other.
        context: C, how many observations to look back; None for the larger of 64 and 3 K.
        window: Observations that the unit reads at every step.
        unit: The recurrent unit, a key of :data:`lipschitz_rnn.nn.UNITS`.
        unit_options: Its options; see :class:`LipschitzRNNClassifier`, as for the others.
        dropout: Probability of dropping a number between layers and before the head.
        lr: Largest learning rate.
        batch_size: Pieces of series per update.
        max_epochs: Passes over the series, those of short ones several times.
        patience: Epochs without a better loss on the held back end of each series after which to
            stop, with the best weights; None: nothing is held back. On by default: what is chance
            in a series is otherwise learned by heart.
        validation_fraction: How much of each series to hold back for early stopping.
        weight_decay: Of matrices.
        clip_norm: Largest norm of a gradient.
        standardize: Whether features are standardised.
        warm_start: Whether ``fit`` goes on from the weights that are there.
        random_state: Seed of weights, order and dropout.
        device: Where to compute.

    Shape:
        - X: one series (T,), a list of numbers too; one (T, P), an array or a table; or several: a
          list of (T_i,) or (T_i, P), themselves lists too, or an array (n, T, P). NaN is a missing
          value.
        - times: increasing time stamps of the observations, (T,), or n of them.
        - forecasts: (K,) or (K, P) for one series, with n in front for several. With times, the
          first comes one usual step after the last observation, and so on.

    Attributes:
        model_: The ``torch.nn.Module`` that maps standardised series to forecasts at every step.
        architecture_: What it is built from.
        scaling_: ``mean`` and ``scale`` of the features, and the ``time_unit``, the usual step.
        context_: C.
        history_: Loss, and validation loss, of every epoch, in squares of what is usual.
        n_features_in_: P.
        feature_names_in_: Names of the features, if a table had any.

    Examples:
        >>> series = np.sin(2 * np.pi * np.arange(300) / 25)
        >>> model = LipschitzRNNForecaster(25, 16, max_epochs=12, random_state=0)
        >>> model.fit(series[:250]).predict().shape
        (25,)
        >>> bool(np.abs(model.predict(horizon=50) - series[250:]).max() < 0.3)
        True
    """

    context_: int

    _records: ClassVar[Records] = {**RecurrentEstimator._records, "Histories": Histories}

    def __init__(
        self,
        horizon: int = 12,
        hidden_size: int = 64,
        num_layers: int = 1,
        *,
        context: int | None = None,
        window: int = 16,
        unit: str = "lipschitz",
        unit_options: dict[str, Any] | None = None,
        dropout: float = 0.0,
        lr: float = 0.01,
        batch_size: int = 64,
        max_epochs: int | None = None,
        patience: int | None = 20,
        validation_fraction: float = 0.15,
        weight_decay: float = 0.01,
        clip_norm: float = 1.0,
        standardize: bool = True,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
    ) -> None:
        self.horizon = horizon
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.context = context
        self.window = window
        self.unit = unit
        self.unit_options = unit_options
        self.dropout = dropout
        self.lr = lr
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.standardize = standardize
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: None = None, *, times: Any = None) -> Self:
        """Learn how series go on.

        Args:
            X: The series.
            y: Not looked at; here because scikit-learn hands it in.
            times: When observations were made; None for equal steps.

        Returns:
            The estimator.

        Raises:
            ValueError: If a parameter, a shape or a value is not as it should be.
            FloatingPointError: If the loss ceases to be finite.
            KeyboardInterrupt: If there is one; after a first epoch the estimator is fitted still.
        """
        with self._as_it_was_unless_trained():
            self._fit(X, times)
        return self

    def predict(self, X: Any = None, *, horizon: int | None = None, times: Any = None) -> Array:
        """Go on with series.

        Args:
            X: The series; None for those that ``fit`` saw.
            horizon: How many values to tell of each; None for as many as were learned.
            times: When observations were made, if ``fit`` was told.

        Returns:
            The forecasts.

        Raises:
            ValueError: If a shape or a value does not fit what ``fit`` saw.
        """
        check_is_fitted(self)
        histories = self._known
        if X is not None:
            histories = self._read(X, times, reset=False)
            self._require_size(histories.series)
        horizon = self.horizon if horizon is None else horizon
        forecasts = self._go_on(histories.series, require_count(self._where, "horizon", horizon))
        forecasts = forecasts[:, :, 0] if histories.flat else forecasts
        return forecasts[0] if histories.single else forecasts

    def score(self, X: Any, y: None = None, *, times: Any = None) -> float:
        """Coefficient of determination of forecasts: R² of the last K steps from those before.

        Args:
            X: The series, of more than K steps.
            y: Not looked at.
            times: When observations were made, if ``fit`` was told. Steps are taken to be equal
                over the last K.

        Returns:
            It, the mean over the features: 1 is perfect, 0 as good as the mean of what came.

        Raises:
            ValueError: If a shape or a value does not fit what ``fit`` saw.
        """
        check_is_fitted(self)
        series = self._read(X, times, reset=False).series
        self._require_size(series)
        steps, shortest = require_count(self._where, "horizon", self.horizon), series.counts.min()
        if shortest <= steps:
            raise ValueError(
                f"{self._where}: expected series of more than horizon={steps} steps, the last of "
                f"which are forecast, got one of {shortest}."
            )
        truth = last_steps(series, steps).values
        forecasts = self._go_on(without_last(series, steps), steps).reshape(truth.shape)
        pairs = zip(truth.T, forecasts.T, strict=True)
        known = ((y[~np.isnan(y)], forecast[~np.isnan(y)]) for y, forecast in pairs)
        return float(np.mean([r2_score(*pair) for pair in known]))

    def _fit(self, X: Any, times: Any) -> None:
        goes_on = self._goes_on
        histories = self._read(X, times, reset=not goes_on)
        series, longest = histories.series, int(histories.series.counts.max())
        if longest < 2:
            wanted, got = "a series of at least 2 steps", "one of 1 sample"
            raise ValueError(f"{self._where}: expected {wanted}, got {got}.")
        horizon = require_count(self._where, "horizon", self.horizon)
        context = self.context_ if goes_on else min(self._wanted_context(horizon), longest)
        architecture = self._make_architecture(
            series,
            horizon * series.values.shape[1],
            {"step_size": min(1.0, _TIME / context)},
            patch=1,
            window=min(require_count(self._where, "window", self.window), context),
            pooling="forecast",
            bidirectional=False,
        )
        make_task = partial(self._make_task, horizon=horizon, context=context, goes_on=goes_on)
        self.context_ = context
        self._known = replace(histories, series=last_steps(series, context))
        self._train(series, architecture, make_task)

    def _make_task(
        self,
        model: nn.Module,
        samples: Samples,
        generator: torch.Generator,
        device: torch.device,
        *,
        horizon: int,
        context: int,
        goes_on: bool,
    ) -> WindowTask:
        assert isinstance(model, ForecastModel)  # for the type checker: see `pooling`
        futures, limit = Futures.of(samples, horizon), cut(samples, self._held_fraction)
        if not goes_on:
            model.spread.copy_(futures.spread(limit))
        size = int(self.batch_size)
        task = WindowTask(model, futures, limit, context, size, generator, device)
        learned = bool((limit[samples.starts] > samples.starts + 1).any())
        if not (learned and (len(task.origins) or not self._held_fraction)):
            raise ValueError(
                f"{self._where}: expected series of enough steps to hold "
                f"{self.validation_fraction:g} of them back for early stopping, got "
                f"{int(samples.counts.max())}. Set patience=None."
            )
        return task

    def _wanted_context(self, horizon: int) -> int:
        if self.context is None:
            return max(64, 3 * horizon)
        return require_count(self._where, "context", self.context)

    def _read(self, X: Any, times: Any, *, reset: bool) -> Histories:
        return read_histories(self, X, times, reset=reset)

    def _go_on(self, series: Series, horizon: int) -> Array:
        """Forecasts (n, horizon, P): as many at once as were learned, then on from those."""
        require_threads()
        device, found, known = read_device(self), [], 0
        while known < horizon:
            samples = self.scaling_.apply(last_steps(series, self.context_), self._where)
            forecasts = last_forecasts(self.model_.to(device), samples, device)
            block = forecasts.double().numpy() * self.scaling_.scale + self.scaling_.mean
            series = series.extended(block, self.scaling_.time_unit)
            found.append(block)
            known += block.shape[1]
        return np.concatenate(found, 1)[:, :horizon]
