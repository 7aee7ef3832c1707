"""Results of an analysis as what JSON can hold."""

import dataclasses
import json
from typing import Any

import numpy as np
from torch import Tensor

from lipschitz_rnn.analysis import UnitCertificate
from lipschitz_rnn.training.record import finite


def plain(value: Any) -> Any:
    """Dataclasses as tables by field, tensors as lists, complex numbers as [re, im].

    Args:
        value: A result.

    Returns:
        Dictionaries, lists and scalars. Of a certificate what it claims is kept, not its matrices.
    """
    if isinstance(value, UnitCertificate):
        names = ("holds", "reason", "strength", "growth", "rate", "contraction", "seconds")
        return {name: plain(getattr(value, name)) for name in names}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def as_json(value: Any) -> str:
    """Results as JSON text; numbers that are not finite become null.

    Args:
        value: As :func:`plain` takes it.

    Returns:
        One object, indented.
    """
    return json.dumps(finite(plain(value)), indent=1, allow_nan=False)
