"""What all estimators share: checking, training, pickling, files."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_in_range
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.estimators.model import Architecture
from lipschitz_rnn.estimators.parameters import (
    read_device,
    read_settings,
    read_unit,
    require_bool,
    require_count,
)
from lipschitz_rnn.estimators.samples import Samples
from lipschitz_rnn.estimators.scaling import Scaling
from lipschitz_rnn.estimators.series import Series
from lipschitz_rnn.estimators.storage import Records, load_state, save_state
from lipschitz_rnn.estimators.threads import require_threads
from lipschitz_rnn.estimators.trainer import Task, Training
from lipschitz_rnn.nn import UNITS
from lipschitz_rnn.training.device import forked
from lipschitz_rnn.training.weights import require_model_tensors

MakeTask = Callable[[nn.Module, Samples, torch.Generator, torch.device], Task]


class RecurrentEstimator(BaseEstimator):  # type: ignore[misc]
    """Base of the estimators; they have the parameters, and tell what to learn.

    Attributes:
        model_: The model, a plain module in standardised units.
        architecture_: What it was built from.
        scaling_: How series are standardised.
        history_: Figures of every epoch of the last training.
    """

    model_: nn.Module
    architecture_: Architecture
    scaling_: Scaling
    history_: list[dict[str, Any]]

    _records: ClassVar[Records] = {
        "Architecture": Architecture,
        "Scaling": Scaling,
        "Series": Series,
    }

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may hand in."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator as one safetensors file, which holds no code.

        At any instant the file is the old one or the new one, whole.

        Args:
            path: Where to.

        Raises:
            InputError: If a parameter is of a kind that such a file cannot hold, such as a
                ``RandomState``.
        """
        check_is_fitted(self)
        params = self.get_params(deep=False)
        state = {key: value for key, value in self.__getstate__().items() if key not in params}
        save_state(Path(path), self._where, params, state)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what :meth:`save` wrote. Nothing in the file is ever executed.

        Args:
            path: The file.

        Returns:
            The estimator: its parameters, what it learned, its answers to the last bit.

        Raises:
            InputError: If the file is truncated, changed, of another estimator or none of ours.
        """
        path = Path(path)
        params, state, tensors = load_state(path, cls.__name__, cls._records)
        made = isinstance(state.get("architecture_"), Architecture)
        if set(params) != set(cls._get_param_names()) or set(state) & set(dir(cls)) or not made:
            raise InputError(f"{path}: expected the parameters and state of a {cls.__name__}.")
        try:
            model = _build(state["architecture_"])
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{path}: expected a model that can be built, got: {error}") from None
        require_model_tensors(path, model, tensors)
        weights = {name: tensors[f"model/{name}"] for name in model.state_dict()}
        estimator = cls(**params)
        for name, value in (state | {"model_": _with_weights(model, weights)}).items():
            setattr(estimator, name, value)
        return estimator

    def __getstate__(self) -> dict[str, Any]:
        """The model as its weights: a module with parametrised tensors cannot be pickled."""
        state = dict(super().__getstate__())
        if "model_" in state:
            weights = state["model_"].state_dict()
            state["model_"] = {name: value.cpu().numpy() for name, value in weights.items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the model again and give it its weights."""
        state = dict(state)
        arrays = state.pop("model_", None)
        super().__setstate__(state)
        if arrays is not None:
            # a copy: what was pickled may lie in memory that is read only
            weights = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
            self.model_ = _with_weights(_build(self.architecture_), weights)

    @property
    def _where(self) -> str:
        return type(self).__name__

    @property
    def _goes_on(self) -> bool:
        """Whether the next training goes on from the weights of the last one."""
        return require_bool(self._where, "warm_start", self.warm_start) and hasattr(self, "model_")

    @property
    def _held_fraction(self) -> float:
        """How much is held back for early stopping."""
        return 0.0 if self.patience is None else float(self.validation_fraction)

    def _make_architecture(
        self, series: Series, output_size: int, defaults: dict[str, Any], **others: Any
    ) -> Architecture:
        """What a model of series is built from; ``defaults`` are those of Lipschitz units."""
        where, (unit, options) = self._where, read_unit(self)
        if series.gaps is not None and options.get("constraint") == "contractive":
            raise InputError(
                f"{where}: expected no `times` with constraint='contractive', which holds for "
                "no longer steps than the usual one, got both. Choose 'contractive-flow', or leave "
                "`times` out."
            )
        if series.gaps is not None and not UNITS[unit].takes_dt:
            raise InputError(
                f"{where}: expected a unit that takes irregular times, got {unit!r}. Leave `times` "
                "out, or choose another unit."
            )
        require_in_range(where, "dropout", self.dropout, 0, 1, open_high=True)
        return Architecture(
            unit=unit,
            options=(defaults if unit.startswith("lipschitz") else {}) | options,
            input_size=series.values.shape[1],
            output_size=output_size,
            hidden_size=require_count(where, "hidden_size", self.hidden_size),
            num_layers=require_count(where, "num_layers", self.num_layers),
            dropout=float(self.dropout),
            **others,
        )

    @contextlib.contextmanager
    def _as_it_was_unless_trained(self) -> Iterator[None]:
        """Leave every attribute as it was if an error comes before a model has been learned."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            if vars(self).get("model_") is before.get("model_"):
                self.__dict__ = before
            raise

    def _train(self, series: Series, architecture: Architecture, make_task: MakeTask) -> None:
        """Train a model on series: the last thing that ``fit`` does.

        Raises:
            KeyboardInterrupt: If it was cut short, once the estimator is fitted all the same.
        """
        require_threads()
        device, settings = read_device(self), read_settings(self)
        standardize = require_bool(self._where, "standardize", self.standardize)
        goes_on = self._goes_on
        if goes_on:
            self._require_same(architecture, series)
            architecture, scaling = self.architecture_, self.scaling_
        else:
            scaling = Scaling.measure(series, self._where, standardize=standardize)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=forked(device)):
            torch.manual_seed(seed)
            model = copy.deepcopy(self.model_) if goes_on else architecture.build()
            samples = scaling.apply(series, self._where)
            task = make_task(model.to(device), samples, generator, device)
            training = Training(self._where, model, task, settings)
            training.run()
        self.architecture_, self.scaling_, self.history_ = architecture, scaling, training.history
        self.model_ = model
        if training.interrupted:
            raise KeyboardInterrupt(
                f"{self._where}: interrupted after {len(training.history)} epochs; it is fitted, "
                "with the best weights so far."
            )

    def _require_same(self, architecture: Architecture, series: Series) -> None:
        """Raise ``ValueError`` unless a training can go on from the last one."""
        old_options, given = self.architecture_.options, read_unit(self)[1]
        pairs = {f"unit_options[{key!r}]": (old_options.get(key), given[key]) for key in given}
        chosen = [] if getattr(self, "patch", None) is None else ["patch"]
        for name, value in vars(architecture).items():
            if name not in _OF_THE_DATA or name in chosen:
                pairs[name] = getattr(self.architecture_, name), value
        for name, (old, value) in pairs.items():
            if value != old:
                raise ValueError(
                    f"{self._where}: expected `{name}` of the last fit, {old!r}, with "
                    f"warm_start=True, got {value!r}. Set warm_start=False to start anew."
                )
        self._require_times(series)

    def _require_size(self, series: Series) -> None:
        expected, got = self.architecture_.input_size, series.values.shape[1]
        if got != expected:
            raise ValueError(
                f"{self._where}: expected series of {expected} feature(s) as in `fit`, got {got}. "
                "Reshape your data: the features are the last axis."
            )
        self._require_times(series)

    def _require_times(self, series: Series) -> None:
        if (series.gaps is None) != (self.scaling_.time_unit is None):
            raise InputError(
                f"{self._where}: expected `times` both here and in the first `fit`, or in neither."
            )


_OF_THE_DATA = ("options", "patch", "window")
"""What is chosen by the length of the usual series: the choice of the first training stays."""


def _build(architecture: Architecture) -> nn.Module:
    """A model whose weights will be replaced: the generators are left alone."""
    with torch.random.fork_rng(devices=[]):
        return architecture.build()


def _with_weights(model: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    model.load_state_dict(weights)
    return model.eval()
