"""Optimisers by name, from torch.optim, with only the options that each one takes."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.errors import InputError

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adadelta": torch.optim.Adadelta,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
"""Every optimiser that a configuration can ask for: torch's, by its name in lower case."""


def check_optimizer_options(where: str, name: str, options: Mapping[str, Any]) -> None:
    """Check that an optimiser takes the options, their values together included.

    Args:
        where: What error messages call the source.
        name: A key of :data:`OPTIMIZERS`.
        options: Keyword arguments for it.

    Raises:
        InputError: If it does not.
    """
    accepted = inspect.signature(OPTIMIZERS[name]).parameters
    for option, value in options.items():
        if option not in accepted:
            raise InputError(
                f"{where}: expected options that {name} takes, got {option}={value}. Remove it."
            )
    try:
        make_optimizer([nn.Parameter(torch.zeros(1))], name, options)
    except ValueError as error:
        raise InputError(f"{where}: {name} refuses its options: {error}") from None


def make_optimizer(
    parameters: Iterable[nn.Parameter], name: str, options: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """Build an optimiser.

    Args:
        parameters: What it updates. Weight decay leaves out scalars, such as a learned step size:
            they are kept as logits and the like, whose zero means nothing.
        name: A key of :data:`OPTIMIZERS`.
        options: Keyword arguments for it.

    Returns:
        The optimiser, its state empty.
    """
    parameters = list(parameters)
    groups: list[dict[str, Any]] = [{"params": [p for p in parameters if p.dim()]}]
    scalars = [p for p in parameters if not p.dim()]
    if scalars:
        groups.append({"params": scalars, "weight_decay": 0.0})
    return OPTIMIZERS[name](groups, **options)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as flat tensors, ``"<parameter number>/<entry>"``.

    Hyper-parameters are not in it: they follow from the configuration. Entries that are not tensors
    do not occur in the optimisers above, but for empty ones (None), which need no keeping.

    Returns:
        References, not copies.
    """
    state = optimizer.state_dict()["state"]
    return {
        f"{number}/{entry}": torch.as_tensor(value)
        for number, entries in state.items()
        for entry, value in entries.items()
        if value is not None
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore what :func:`optimizer_tensors` gave.

    Args:
        optimizer: One of the same kind over the same parameters.
        tensors: The state.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, entry = key.partition("/")
        state.setdefault(int(number), {})[entry] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
