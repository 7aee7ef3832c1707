"""Which parameter of a model belongs to which part of it."""

import re

from torch import nn

GROUPS = ("A", "W", "U", "head", "other")
"""Parts of a model, as the equation of the unit names them."""

_FREE = re.compile(r"(.*?)parametrizations\.([^.]+)\.original\d*")
_OF_A_UNIT = re.compile(
    r"(weight_a|weight_hh|weight_zh|weight_ih|bias|bias_ih|bias_hh)((?:_l\d+)?(?:_reverse)?)"
)
_GROUP = {"weight_a": "A", "weight_hh": "W", "weight_zh": "W", "weight_ih": "U"}


def parameter_groups(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """Names of a model's trainable parameters, by the part of the model they belong to.

    ``"A"``: of the linear term, ``weight_a``. ``"W"``: other matrices from state to state,
    ``weight_hh`` and ``weight_zh``. ``"U"``: what reads the input, ``weight_ih`` and the biases
    beside it. ``"head"``: the parameters of a module of that name. ``"other"``: the rest, such as
    encoders, gates and learned scalars, and all of a model without such names. Behind a
    parametrization the free matrix counts, not the scalars of the scheme. A parameter that several
    modules share goes by its first name.

    Args:
        model: Any module. Names are as in ``model.named_parameters()``, of all layers, directions
            and cells, with the suffixes of torch's layers.

    Returns:
        All five groups, empty ones too; each parameter that requires a gradient in exactly one.

    Examples:
        >>> from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier
        >>> groups = parameter_groups(SequenceClassifier(LipschitzRNN(1, 8), 10))
        >>> groups["A"], groups["U"]
        (('rnn.parametrizations.weight_a_l0.original',), ('rnn.weight_ih_l0', 'rnn.bias_l0'))
    """
    parameters = dict(model.named_parameters())
    known = {_owner_and_leaf(name) for name in parameters}
    found: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name, parameter in parameters.items():
        if parameter.requires_grad:
            found[_group_of(name, known)].append(name)
    return {group: tuple(names) for group, names in found.items()}


def _owner_and_leaf(name: str) -> tuple[str, str]:
    """The module that a parameter is of, with a dot, and its name there without parametrization."""
    free = _FREE.fullmatch(name)
    if free:
        return free[1], free[2]
    owner, dot, leaf = name.rpartition(".")
    return owner + dot, leaf


def _group_of(name: str, known: set[tuple[str, str]]) -> str:
    owner, leaf = _owner_and_leaf(name)
    if "head" in owner.split("."):
        return "head"
    of_unit = _OF_A_UNIT.fullmatch(leaf)
    if of_unit is None:
        return "other"
    kind, suffix = of_unit.groups()
    if not kind.startswith("bias"):
        return _GROUP[kind]
    # every linear layer has a `bias`; that of a unit stands beside its input matrix
    return "U" if (owner, "weight_ih" + suffix) in known else "other"
