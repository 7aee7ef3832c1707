"""Optimisers by name, from torch.optim, with only the options that each one takes."""

import inspect
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.nn import Positive, UnitInterval

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


def undecayed(model: nn.Module) -> set[nn.Parameter]:
    """Parameters that weight decay must leave alone: those kept as logits and the like.

    Args:
        model: The model.

    Returns:
        Scalars, and what a positive or bounded number is computed from: its zero means nothing.
    """
    found = {p for p in model.parameters() if not p.dim()}
    for module in model.modules():
        if isinstance(module, parametrize.ParametrizationList) and any(
            isinstance(scheme, (Positive, UnitInterval)) for scheme in module
        ):
            found |= set(module.parameters(recurse=False))
    return found


def make_optimizer(
    parameters: Iterable[nn.Parameter],
    name: str,
    options: Mapping[str, Any],
    exempt: Collection[nn.Parameter] = (),
) -> torch.optim.Optimizer:
    """Build an optimiser.

    Args:
        parameters: What it updates.
        name: A key of :data:`OPTIMIZERS`.
        options: Keyword arguments for it.
        exempt: Those that weight decay leaves alone, see :func:`undecayed`.

    Returns:
        The optimiser, its state empty.
    """
    parameters = list(parameters)
    free = {id(p) for p in exempt}
    groups: list[dict[str, Any]] = [{"params": [p for p in parameters if id(p) not in free]}]
    kept = [p for p in parameters if id(p) in free]
    if kept:
        groups.append({"params": kept, "weight_decay": 0.0})
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
