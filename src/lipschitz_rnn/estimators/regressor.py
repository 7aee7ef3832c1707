"""Numbers from series."""

from typing import Any, Self

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_array, check_consistent_length
from torch.nn import functional

from lipschitz_rnn.estimators.scaling import moments
from lipschitz_rnn.estimators.series import Array
from lipschitz_rnn.estimators.whole import SeriesEstimator


class LipschitzRNNRegressor(RegressorMixin, SeriesEstimator):  # type: ignore[misc]
    r"""Tell one or several numbers of a series with a recurrent network.

    .. math::
        h_t = \mathrm{unit}(x_{kt-w+1}, \dots, x_{kt}; h_{t-1}), \qquad
        \hat y = m + s \odot \bigl(
            D\,[h_T, \operatorname{mean}_t h_t, \max_t h_t, \operatorname{std}_t h_t] + d\bigr)

    m and s being mean and deviation of the training targets. Weights are learned from the squared
    error of standardised targets, otherwise as in :class:`LipschitzRNNClassifier`.

    Args:
        hidden_size: As in :class:`LipschitzRNNClassifier`, and so are the others.
        num_layers: Layers on top of each other.
        unit: The recurrent unit.
        unit_options: Its options.
        bidirectional: Whether a second set of units reads the series backwards.
        pooling: What the head sees, ``"statistics"`` or ``"last"``.
        patch: Observations from one step to the next.
        window: Observations that a step reads.
        dropout: Probability of dropping a number between layers and before the head.
        lr: Largest learning rate.
        batch_size: Series per update.
        max_epochs: Passes over the series.
        patience: Epochs without a better validation loss after which to stop; None for never.
        validation_fraction: How many series to hold back for early stopping.
        weight_decay: Of matrices.
        clip_norm: Largest norm of a gradient.
        standardize: Whether features are standardised; targets always are.
        warm_start: Whether ``fit`` goes on from the weights that are there.
        random_state: Seed of weights, order and dropout.
        device: Where to compute.

    Shape:
        - X, times: as in :class:`LipschitzRNNClassifier`
        - y: (n,) or (n, Q)

    Attributes:
        model_: The ``torch.nn.Module`` that maps standardised series to standardised targets.
        architecture_: What it is built from.
        scaling_: ``mean`` and ``scale`` of the features, and the ``time_unit``.
        target_mean_: m, (Q,).
        target_scale_: s, (Q,).
        history_: Loss, and validation loss, of every epoch.
        n_features_in_: P; of a table its number of columns.
        feature_names_in_: Names of its columns, if it had any.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(200, 15)).cumsum(1)
        >>> y = X.max(1)
        >>> model = LipschitzRNNRegressor(16, max_epochs=60, random_state=0).fit(X[:150], y[:150])
        >>> model.score(X[150:], y[150:]) > 0.8
        True
    """

    target_mean_: Array
    target_scale_: Array

    def __init__(
        self,
        hidden_size: int = 64,
        num_layers: int = 1,
        *,
        unit: str = "lipschitz",
        unit_options: dict[str, Any] | None = None,
        bidirectional: bool = True,
        pooling: str = "statistics",
        patch: int | None = None,
        window: int = 16,
        dropout: float = 0.3,
        lr: float = 0.01,
        batch_size: int = 64,
        max_epochs: int | None = None,
        patience: int | None = None,
        validation_fraction: float = 0.15,
        weight_decay: float = 0.01,
        clip_norm: float = 1.0,
        standardize: bool = True,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
    ) -> None:
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.unit = unit
        self.unit_options = unit_options
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.patch = patch
        self.window = window
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

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may hand in."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, *, times: Any = None) -> Self:
        """Learn numbers of series.

        Args:
            X: The series.
            y: Their numbers.
            times: When observations were made; None for equal steps.

        Returns:
            The estimator.

        Raises:
            ValueError: If a parameter, a shape or a value is not as it should be.
            FloatingPointError: If the loss ceases to be finite.
            KeyboardInterrupt: If there is one; after a first epoch the estimator is fitted still.
        """
        goes_on = self._goes_on
        with self._as_it_was_unless_trained():
            series = self._read(X, times, reset=not goes_on)
            columns = self._read_targets(y, len(series))
            mean, scale = moments(columns, f"{self._where}: y")
            if goes_on and len(mean) == len(self.target_mean_):  # others are refused below
                mean, scale = self.target_mean_, self.target_scale_
            target = torch.from_numpy(((columns - mean) / scale).astype(np.float32))
            self.target_mean_, self.target_scale_ = mean, scale
            self._fit(series, target, len(mean), np.zeros(len(series)), functional.mse_loss)
        return self

    def predict(self, X: Any, *, times: Any = None) -> Array:
        """The numbers of series.

        Args:
            X: The series.
            times: When observations were made, if ``fit`` was told.

        Returns:
            (n,) or (n, Q), as ``fit`` was given.

        Raises:
            ValueError: If a shape or a value does not fit what ``fit`` saw.
        """
        answers = self._predict(X, times).double().numpy()
        numbers: Array = answers * self.target_scale_ + self.target_mean_
        return numbers[:, 0] if self._flat else numbers

    def score(self, X: Any, y: Any, sample_weight: Any = None, *, times: Any = None) -> float:
        """Coefficient of determination, R²: 1 is perfect, 0 as good as the mean of y.

        Args:
            X: The series.
            y: Their numbers.
            sample_weight: Of each series, (n,).
            times: When observations were made, if ``fit`` was told.

        Returns:
            It, the mean over the numbers of a series.

        Raises:
            ValueError: If a shape or a value does not fit what ``fit`` saw.
        """
        return float(r2_score(y, self.predict(X, times=times), sample_weight=sample_weight))

    def _read_targets(self, y: Any, count: int) -> Array:
        """The numbers of so many series, (n, Q); and whether they had a second axis is noted."""
        if y is None:
            raise ValueError(
                f"{self._where}: expected targets, got None: it requires y to be passed, but the "
                "target y is None."
            )
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=self)
        check_consistent_length(range(count), y)
        self._flat = y.ndim == 1
        columns: Array = y.reshape(count, -1)
        return columns
