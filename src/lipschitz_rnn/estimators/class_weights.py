"""How much each class counts in the loss of a classifier."""

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional

from lipschitz_rnn._base.checks import require_choice, require_in_range
from lipschitz_rnn.estimators.series import Array


def read_class_weight(where: str, given: object, classes: Array, codes: Array) -> Tensor:
    """Weights of classes.

    Args:
        where: What messages call the estimator.
        given: None, ``"balanced"``, or weights by class, 1 where there is none.
        classes: All of them, (C,).
        codes: The number of each series' class, (n,).

    Returns:
        (C,), float32; 1 for classes of which there are no series.

    Raises:
        TypeError: If a weight is no number.
        ValueError: If one is negative, or of no class while others have none, or all are zero.
    """
    present = np.unique(codes)
    if isinstance(given, dict):
        _require_weights(where, given, classes[present].tolist())
    elif given is not None:
        require_choice(where, "class_weight", given, ("balanced",))
    found = compute_class_weight(given, classes=classes[present], y=classes[codes])
    if not found.any():
        raise ValueError(
            f"{where}: expected a `class_weight` above 0 for some class of y, got {given}."
        )
    weights = np.ones(len(classes), dtype=np.float32)
    weights[present] = found
    return torch.from_numpy(weights)


def _require_weights(where: str, given: dict[object, float], classes: list[object]) -> None:
    for name, weight in given.items():
        require_in_range(where, f"class_weight[{name!r}]", weight, 0)
    missing = [name for name in classes if name not in given]
    foreign = [name for name in given if name not in classes]
    if missing and foreign:
        raise ValueError(
            f"{where}: expected `class_weight` of the classes of y, got one of {foreign[0]!r} and "
            f"none of {missing[0]!r}."
        )


def weighted_cross_entropy(answers: Tensor, target: Tensor, *, weights: Tensor) -> Tensor:
    """Mean cross-entropy of logits (B, C), weighted by class; 0 if all these weigh nothing."""
    if not weights[target].any():  # their mean would be 0/0
        return 0.0 * answers.sum()
    return functional.cross_entropy(answers, target, weight=weights)
