"""The fast way through ``LipschitzRNN.step``: weights kept as the kernel reads them.

A step of one stream takes the kernel a microsecond or two. Computing A and W from their free
matrices, checking a call and going through torch's dispatcher take far longer, so the weights are
laid out once and used until a parameter changes.
"""

import math
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lipschitz_rnn.nn.unit import UnitOptions, unit_weights
from lipschitz_rnn.ops import backend, library
from lipschitz_rnn.ops.call import autocast_is_on
from lipschitz_rnn.ops.native_call import METHODS, SUFFIX
from lipschitz_rnn.ops.native_step import PackedUnit, pack_unit
from lipschitz_rnn.ops.nonlinearity import NONLINEARITIES, as_nonlinearity
from lipschitz_rnn.ops.tableau import as_tableau
from lipschitz_rnn.ops.transforms import is_transformed

Slots = list[tuple[dict[str, Any], str]]


class PackedLayer:
    """All units of a layer, laid out for the kernel, and what tells that they are still those.

    Attributes:
        units: Each unit and its step size.
        dtype: Of the weights.
    """

    def __init__(self, units: list[tuple[PackedUnit, float]], module: nn.Module) -> None:
        self.units = units
        self.variant = library.current_variant()
        # Where the parameters hang, not the parameters: one may be replaced.
        self._slots: Slots = [
            (owner._parameters, name) for owner in module.modules() for name in owner._parameters
        ]
        self._count = len(module._parameters), module._modules.get("parametrizations")
        self._seen = self._look()
        self.dtype = next(module.parameters()).dtype

    def _look(self) -> list[tuple[Any, ...]]:
        tensors = [owner.get(name) for owner, name in self._slots]
        # An update in place raises the version; `.data = ...` changes the address; `=` the object.
        return [(id(x), x._version, x.data_ptr()) for x in tensors if x is not None]

    def is_current(self, module: nn.Module) -> bool:
        """Whether the parameters are those that were laid out."""
        count = len(module._parameters), module._modules.get("parametrizations")
        return (
            count == self._count
            and self._look() == self._seen
            and self.variant == library.current_variant()
        )


_packed: "weakref.WeakKeyDictionary[nn.Module, PackedLayer]" = weakref.WeakKeyDictionary()
"""Beside the modules, not in them: a copied or saved module must not carry addresses along."""


def packed_layer(
    module: nn.Module, suffixes: Callable[[], list[str]], options: UnitOptions, input: Tensor
) -> PackedLayer | None:
    """The layer as the kernel reads it, or None where the call must go the general way."""
    if (
        torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or type(input) is not Tensor
        or input.device.type != "cpu"
        or backend.forced_name() not in ("auto", "native")
        or is_transformed()
        or autocast_is_on(input.device)
    ):
        return None
    try:
        found = _packed.get(module)
        if found is None or not found.is_current(module):
            found = _pack(module, suffixes(), options)
    except RuntimeError:  # inference tensors have no version to watch
        return None
    return found if found is not None and found.dtype == input.dtype else None


def _pack(module: nn.Module, suffixes: list[str], options: UnitOptions) -> PackedLayer | None:
    tableau = as_tableau("LipschitzRNN", options.method)
    tanh = as_nonlinearity("LipschitzRNN", options.nonlinearity) is NONLINEARITIES["tanh"]
    if tableau not in METHODS or not tanh or options.gated or options.substeps != 1:
        return None
    units = []
    for suffix in suffixes:
        a, w, u, b = unit_weights(module, suffix, options)
        if w.dtype not in SUFFIX or w.device.type != "cpu":
            return None
        unit = pack_unit(a, w, u, b, METHODS[tableau])
        if unit is None:
            return None
        learned = "step_size" in options.trainable
        step = getattr(module, f"step_size{suffix}").item() if learned else options.step_size
        units.append((unit, step))
    layer = PackedLayer(units, module)
    _packed[module] = layer
    return layer


def step_times(dt: float | Tensor | None, input: Tensor) -> float | Tensor | None:
    """``dt`` as a number or (B,); None for one that the general way must look at, or refuse."""
    if input.dim() not in (1, 2) or not input.numel():
        return None
    if dt is None:
        return 1.0
    if isinstance(dt, (int, float)) and not isinstance(dt, bool):
        return float(dt) if 0 <= dt < math.inf else None
    if not isinstance(dt, Tensor) or not dt.is_floating_point() or dt.device.type != "cpu":
        return None
    if dt.dim() == 0:
        return step_times(dt.item(), input)
    if dt.shape != input.shape[:-1] or not bool(((dt >= 0) & (dt < math.inf)).all()):
        return None
    return dt


def advance(packed: PackedLayer, input: Tensor, h: Tensor, time: float | Tensor) -> Tensor:
    """Advance the states of all layers, (L, B, H) or (L, H), in place; returns the output."""
    x = input.contiguous()
    batch = 1 if x.dim() == 1 else x.shape[0]
    size = h[0].numel() * h.element_size()
    address = h.data_ptr()
    source = x.data_ptr()
    for unit, step_size in packed.units:
        if isinstance(time, Tensor):  # as in the general way: rounded once, at the end
            steps = (step_size * time.double()).to(h.dtype)
            unit.advance(source, address, batch, 0.0, steps.data_ptr())
        else:
            unit.advance(source, address, batch, step_size * time)
        source, address = address, address + size
    return h[-1].clone()
