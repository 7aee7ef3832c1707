"""Classes of series."""

from functools import partial
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_consistent_length, column_or_1d

from lipschitz_rnn.estimators.class_weights import read_class_weight, weighted_cross_entropy
from lipschitz_rnn.estimators.parameters import read_device
from lipschitz_rnn.estimators.series import Array
from lipschitz_rnn.estimators.whole import SeriesEstimator


class LipschitzRNNClassifier(ClassifierMixin, SeriesEstimator):  # type: ignore[misc]
    r"""Tell the class of a series with a recurrent network, as a scikit-learn estimator.

    .. math::
        h_t = \mathrm{unit}(x_{kt-w+1}, \dots, x_{kt}; h_{t-1}), \qquad
        p = \mathrm{softmax}\bigl(
            D\,[h_T, \operatorname{mean}_t h_t, \max_t h_t, \operatorname{std}_t h_t] + d\bigr)

    The unit reads the series in both directions, a window of w observations at every step and k
    observations further at the next. Weights are learned by AdamW with a learning rate that rises
    and falls once (1cycle), from cross-entropy.

    Args:
        hidden_size: H, features of the state, in each direction.
        num_layers: Layers on top of each other.
        unit: The recurrent unit, a key of :data:`lipschitz_rnn.nn.UNITS`: ``"lstm"`` trains an LSTM
            in exactly the same way.
        unit_options: Options of the unit, such as ``{"beta": 0.8, "step_size": 0.1}``: see
            :func:`lipschitz_rnn.nn.unit_options`. Of Lipschitz units ``gamma_a`` is
            0.3 and ``step_size`` 0.5 unless set here: with every step a state forgets a seventh.
            Their U starts three times as large as elsewhere.
        bidirectional: Whether a second set of units reads the series backwards.
        pooling: What the head sees: ``"statistics"``: the last state, and mean, maximum and
            deviation of all; ``"last"``: the last state.
        patch: k; None for 1, or for series of more than 64 steps what makes them 64.
        window: w; at most half the usual series, but at least k.
        dropout: Probability of dropping a number between layers and before the head, in training.
        lr: Largest learning rate.
        batch_size: Series per update.
        max_epochs: Passes over the series; None for as many as make 1500 updates, at least 20.
        patience: For early stopping: epochs without a better loss on held back series after which
            to stop, with the best weights. None: nothing is held back, every epoch is run.
        validation_fraction: How many of each class to hold back for early stopping.
        weight_decay: Of matrices.
        clip_norm: Largest norm of a gradient.
        class_weight: Weights of classes in the loss, by class; ``"balanced"`` makes all classes
            weigh the same however many series they have; None does so for series.
        standardize: Whether features are brought to mean 0 and deviation 1 over the training set.
        warm_start: Whether ``fit`` goes on from the weights that are there.
        random_state: Seed of weights, order and dropout: an int, a ``RandomState`` or None.
            torch's global generator is left as it is.
        device: Where to compute: ``"cpu"``, ``"cuda"``.

    Shape:
        - X: (n, T, P); or a list of n arrays (T_i, P) or (T_i,); or (n, T), a table of n series of
          one feature. NaN is a missing value, and stands for the last one observed before.
        - y: (n,), classes of any kind
        - times: (n, T) or n arrays (T_i,): increasing time stamps of the observations, numbers in
          one unit or dates. The time between two observations, divided by the median over the
          training set, is how long the earlier one is held, at most 8; the last one: 1.

    Attributes:
        classes_: (C,), sorted.
        model_: The ``torch.nn.Module`` that maps standardised series to logits.
        architecture_: What it is built from.
        scaling_: ``mean`` and ``scale`` of the features, and the ``time_unit``.
        history_: Loss, and validation loss, of every epoch.
        n_features_in_: P; of a table its number of columns.
        feature_names_in_: Names of its columns, if it had any.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> X = [rng.normal(size=length).cumsum() for length in rng.integers(20, 40, size=60)]
        >>> y = ["up" if series[-1] > 0 else "down" for series in X]
        >>> model = LipschitzRNNClassifier(8, max_epochs=40, random_state=0).fit(X[:40], y[:40])
        >>> model.score(X[40:], y[40:]) > 0.8
        True
    """

    classes_: Array

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
        class_weight: dict[Any, float] | str | None = None,
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
        self.class_weight = class_weight
        self.standardize = standardize
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any, *, times: Any = None) -> Self:
        """Learn the classes of series.

        Args:
            X: The series.
            y: Their classes.
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
            classes, codes = self._read_classes(y, len(series), goes_on)
            weights = read_class_weight(self._where, self.class_weight, classes, codes)
            criterion = partial(weighted_cross_entropy, weights=weights.to(read_device(self)))
            self.classes_ = classes
            self._fit(series, torch.from_numpy(codes), len(classes), codes, criterion)
        return self

    def predict_proba(self, X: Any, *, times: Any = None) -> Array:
        """Probabilities of the classes.

        Args:
            X: The series.
            times: When observations were made, if ``fit`` was told.

        Returns:
            (n, C), in the order of ``classes_``.

        Raises:
            ValueError: If a shape or a value does not fit what ``fit`` saw.
        """
        probabilities: Array = self._predict(X, times).double().softmax(1).numpy()
        return probabilities

    def predict(self, X: Any, *, times: Any = None) -> Array:
        """The likeliest class.

        Args:
            X: The series.
            times: When observations were made, if ``fit`` was told.

        Returns:
            (n,), of ``classes_``.

        Raises:
            ValueError: If a shape or a value does not fit what ``fit`` saw.
        """
        codes = self._predict(X, times).argmax(1).numpy()
        found: Array = self.classes_[codes]
        return found

    def score(self, X: Any, y: Any, sample_weight: Any = None, *, times: Any = None) -> float:
        """Accuracy: the share of series whose class is predicted.

        Args:
            X: The series.
            y: Their classes.
            sample_weight: Of each series, (n,).
            times: When observations were made, if ``fit`` was told.

        Returns:
            It, in [0, 1].

        Raises:
            ValueError: If a shape or a value does not fit what ``fit`` saw.
        """
        return float(accuracy_score(y, self.predict(X, times=times), sample_weight=sample_weight))

    def _read_classes(self, y: Any, count: int, goes_on: bool) -> tuple[Array, Array]:
        """Classes, and the number of each series' class among them."""
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        check_consistent_length(range(count), y)
        if not goes_on:
            return np.unique(y, return_inverse=True)
        new = np.setdiff1d(y, self.classes_)
        if len(new):
            raise ValueError(
                f"{self._where}: expected the classes of the last fit, with warm_start=True, got "
                f"also {new.tolist()[0]!r}. Set warm_start=False to start anew."
            )
        return self.classes_, np.searchsorted(self.classes_, y)
