"""Argument checks with one wording: ``where: expected ..., got .... remedy``."""

import difflib
import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.errors import InputError


def _sentence(where: str, expected: str, got: str, remedy: str = "") -> str:
    return f"{where}: expected {expected}, got {got}." + (f" {remedy}" if remedy else "")


def require_shape(
    where: str,
    name: str,
    tensor: Tensor,
    shape: tuple[int | None, ...],
    letters: str,
    remedy: str = "",
) -> None:
    """Raise ``ValueError`` unless ``tensor`` has ``shape``, which users know as ``letters``."""
    # `None` in `shape` admits any size on that axis.
    fits = tensor.dim() == len(shape) and all(
        want is None or want == size for want, size in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        sizes = ", ".join("*" if size is None else str(size) for size in shape)
        shown = f"({sizes}{',' if len(shape) == 1 else ''})"
        expected = f"`{name}` of shape {letters} = {shown}" if shape else f"a scalar `{name}`"
        raise ValueError(_sentence(where, expected, str(tuple(tensor.shape)), remedy))


def require_tensor(where: str, name: str, value: object) -> None:
    """Raise ``TypeError`` unless ``value`` is a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(_sentence(where, f"`{name}` to be a torch.Tensor", type(value).__name__))


def require_floating(where: str, name: str, tensor: Tensor) -> None:
    """Raise ``TypeError`` unless ``tensor`` holds real floating-point numbers."""
    if not tensor.is_floating_point():
        raise TypeError(
            _sentence(
                where, f"a floating-point `{name}`", str(tensor.dtype), "Convert it with .float()."
            )
        )


def require_square(where: str, name: str, matrix: Tensor) -> None:
    """Raise ``ValueError`` unless ``matrix`` is a single square matrix."""
    if matrix.dim() != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(_sentence(where, f"a square matrix `{name}`", str(tuple(matrix.shape))))


def require_in_range(
    where: str,
    name: str,
    value: float,
    low: float,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
    remedy: str = "",
) -> None:
    """Raise ``ValueError`` unless the number is finite and in the range."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(_sentence(where, f"`{name}` to be a number", type(value).__name__))
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    # a comparison, not math.isfinite, which torch.compile cannot trace for a symbolic float
    if not (above and below and abs(value) < math.inf):
        left = "<" if open_low else "<="
        if high == math.inf:
            expected = f"a finite `{name}` {'>' if open_low else '>='} {low:g}"
        else:
            expected = f"{low:g} {left} `{name}` {'<' if open_high else '<='} {high:g}"
        raise ValueError(_sentence(where, expected, repr(value), remedy))


def require_positive_int(where: str, name: str, value: object) -> None:
    """Raise unless ``value`` is an integer of at least one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(_sentence(where, f"`{name}` to be an int", type(value).__name__))
    if value < 1:
        raise ValueError(_sentence(where, f"`{name}` >= 1", str(value)))


def require_choice(where: str, name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ``ValueError`` that names the nearest valid choice unless ``value`` is one."""
    valid = tuple(choices)
    if value not in valid:
        raise ValueError(
            _sentence(
                where,
                f"`{name}` to be one of {', '.join(valid)}",
                repr(value),
                nearest(value, valid),
            )
        )


def require_name(where: str, name: str, known: Iterable[str], expected: str = "one of") -> None:
    """Raise ``InputError`` that names the nearest known name unless a user's ``name`` is one."""
    valid = tuple(known)
    if name not in valid:
        expected = f"{expected} {', '.join(valid)}"
        raise InputError(_sentence(where, expected, repr(name), nearest(name, valid)))


def nearest(value: object, valid: Iterable[str]) -> str:
    """``Did you mean 'x'?`` for the closest valid name, or nothing when none is close."""
    close = difflib.get_close_matches(str(value), list(valid), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def require_same(where: str, tensors: dict[str, Tensor | None]) -> None:
    """Raise unless all tensors share one dtype and one device; ``None`` entries are skipped."""
    present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    first_name, first = next(iter(present.items()))
    for name, tensor in present.items():
        if tensor.dtype != first.dtype:
            expected = f"`{name}` of the dtype of `{first_name}`, {first.dtype}"
            raise TypeError(_sentence(where, expected, str(tensor.dtype)))
    require_same_device(where, present)


def require_same_device(where: str, tensors: dict[str, Tensor]) -> None:
    """Raise ``ValueError`` unless all tensors are on one device."""
    first_name, first = next(iter(tensors.items()))
    for name, tensor in tensors.items():
        if tensor.device != first.device:
            expected = f"`{name}` on the device of `{first_name}`, {first.device}"
            raise ValueError(_sentence(where, expected, str(tensor.device)))


def values_exist(tensor: Tensor) -> bool:
    """Whether there are numbers to look at: not on ``meta``, nor fake, compiled or transformed."""
    return (
        tensor.device.type != "meta"
        and type(tensor) in (Tensor, torch.nn.Parameter)
        and not torch.compiler.is_compiling()
        and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    )


def values_are_visible(tensor: Tensor) -> bool:
    """Whether looking at the numbers costs nothing: on an accelerator it would wait for them."""
    return tensor.device.type == "cpu" and values_exist(tensor)
