"""Checks of constructor arguments, made in ``fit`` as scikit-learn asks."""

from typing import Any

import numpy as np
import torch

from lipschitz_rnn._base.checks import nearest, require_choice, require_in_range
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.estimators.trainer import Settings
from lipschitz_rnn.nn import UNITS, unit_options


def require_count(where: str, name: str, value: object) -> int:
    """Raise unless a value is an integer, Python's or NumPy's, of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{where}: expected `{name}` to be an int, got {type(value).__name__}.")
    if value < 1:
        raise ValueError(f"{where}: expected `{name}` >= 1, got {value}.")
    return int(value)


def require_bool(where: str, name: str, value: object) -> bool:
    """Raise ``TypeError`` unless a value is true or false."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{where}: expected `{name}` to be True or False, got {value!r}.")
    return bool(value)


def read_settings(estimator: Any) -> Settings:
    """How to train, checked, from the parameters of an estimator."""
    where = type(estimator).__name__
    require_in_range(where, "lr", estimator.lr, 0, open_low=True)
    require_in_range(where, "weight_decay", estimator.weight_decay, 0)
    require_in_range(where, "clip_norm", estimator.clip_norm, 0, open_low=True)
    require_in_range(
        where, "validation_fraction", estimator.validation_fraction, 0, 1, open_high=True
    )
    require_count(where, "batch_size", estimator.batch_size)
    epochs, patience = estimator.max_epochs, estimator.patience
    return Settings(
        lr=float(estimator.lr),
        max_epochs=None if epochs is None else require_count(where, "max_epochs", epochs),
        patience=None if patience is None else require_count(where, "patience", patience),
        weight_decay=float(estimator.weight_decay),
        clip_norm=float(estimator.clip_norm),
    )


def read_unit(estimator: Any) -> tuple[str, dict[str, Any]]:
    """Name and options of the unit, checked, from the parameters of an estimator."""
    where = type(estimator).__name__
    require_choice(where, "unit", estimator.unit, UNITS)
    known = unit_options(estimator.unit)
    given = estimator.unit_options
    if given is not None and not isinstance(given, dict):
        raise TypeError(
            f"{where}: expected `unit_options` to be a dict or None, got {type(given).__name__}."
        )
    for option in given or {}:
        if option not in known:
            raise ValueError(
                f"{where}: expected `unit_options` of {estimator.unit!r}, any of "
                f"{', '.join(known)}, got {option!r}. {nearest(option, known)}".rstrip()
            )
    return estimator.unit, dict(given or {})


def read_device(estimator: Any) -> torch.device:
    """Where to compute, checked, from the parameters of an estimator."""
    where = type(estimator).__name__
    try:
        device = torch.device(estimator.device)
    except (RuntimeError, TypeError):
        raise ValueError(
            f"{where}: expected `device` to be 'cpu', 'cuda' or 'cuda:0', .., got "
            f"{estimator.device!r}."
        ) from None
    try:
        torch.zeros(1, device=device).item()
    except (AssertionError, RuntimeError) as error:  # the former without CUDA, of all things
        raise InputError(
            f"{where}: expected a `device` on which torch can compute here, got "
            f"{estimator.device!r}: {str(error).splitlines()[0]} Call set_params(device='cpu')."
        ) from None
    return device
