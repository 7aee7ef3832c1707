"""Whether modules compute what this library wrote: a proof is about that code and no other."""

import torch
from torch import nn

_OWN = ("lipschitz_rnn.", "torch.nn.")
_HARMLESS = frozenset({"__dict__", "__doc__", "__init__", "__module__", "__repr__", "extra_repr"})


def require_as_written(where: str, model: nn.Module, error: type[Exception] = ValueError) -> None:
    """Refuse modules whose computation was changed from outside.

    That is: a subclass that overrides anything of ours or torch's but how it is made and shown, an
    attribute of the instance that hides a method, forward hooks. Parametrisations may be anybody's:
    they say what a stored matrix is, and matrices are read through them.

    Args:
        where: Name of the caller.
        model: The model; every module within it is looked at.
        error: What to raise.

    Raises:
        Exception: An ``error`` that names the part.
    """
    shared = torch.nn.modules.module
    if shared._global_forward_hooks or shared._global_forward_pre_hooks:
        raise error(f"{where}: expected no forward hooks, got some for all modules. Remove them.")
    for name, module in model.named_modules():
        if "parametrizations" in name.split("."):
            continue
        reason = _change_of(module)
        if reason is not None:
            part = f" at {name!r}" if name else ""
            raise error(
                f"{where}: expected modules that compute as they were written here, got "
                f"{reason}{part}. What is proved says nothing of that."
            )


def _change_of(module: nn.Module) -> str | None:
    kind = type(module)
    known = [base for base in kind.__mro__ if base.__module__.startswith(_OWN)]
    for base in kind.__mro__:
        if base in known or base.__module__ in {"builtins", "typing", "abc"}:
            continue
        changed = sorted(
            name
            for name in vars(base)
            if name not in _HARMLESS and any(callable(vars(one).get(name)) for one in known)
        )
        if changed:
            return f"{base.__name__} with its own {changed[0]!r}"
    hidden = sorted(name for name in vars(module) if callable(getattr(kind, name, None)))
    if hidden:
        return f"a {kind.__name__} with its own {hidden[0]!r}"
    if module._forward_hooks or module._forward_pre_hooks:
        return f"a {kind.__name__} with forward hooks"
    return None
