"""One step of a few streams by the library, the weights laid out once."""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from lipschitz_rnn.ops import library
from lipschitz_rnn.ops.library import Missing
from lipschitz_rnn.ops.native_call import SUFFIX, pointer

_ALIGNMENT = 64


@dataclass(frozen=True)
class PackedUnit:
    """The weights of one unit as the library's step reads them.

    Attributes:
        block: What holds them.
        address: Where they begin in it.
        advance_in_place: The library's step function for their dtype.
        method: The library's number of the integrator.
    """

    block: Tensor
    address: int
    advance_in_place: "ctypes._NamedFuncPointer"
    method: int

    def advance(
        self, x: int, h: int, batch: int, step_size: float, step_sizes: int | None = None
    ) -> None:
        """Advance ``batch`` states in place under as many inputs, all given by their addresses.

        The arrays are contiguous, on the CPU and of the unit's dtype: the caller has seen to it,
        since checking once more would cost as much as the step. ``step_sizes``, one for each state,
        stand in for ``step_size``.

        Raises:
            RuntimeError: If the library refuses.
        """
        status = self.advance_in_place(
            self.address, x, h, batch, step_size, step_sizes, self.method
        )
        if status:
            raise RuntimeError(f"lipschitz_scan_step: the native library reported status {status}.")


def pack_unit(
    a: Tensor | None, w: Tensor, u: Tensor, b: Tensor | None, method: int
) -> PackedUnit | None:
    """Lay the weights of a unit out, or return None where the library has no step for its size."""
    lib, suffix = library.library, SUFFIX[w.dtype]
    if isinstance(lib, Missing):
        return None
    hidden, features = u.shape
    variant = library.current_variant()
    size = getattr(lib, f"lipschitz_scan_pack_bytes_{suffix}")(
        hidden, features, int(a is not None), variant
    )
    if size < 0:
        return None
    block = torch.empty(size + _ALIGNMENT, dtype=torch.uint8)
    address = block.data_ptr() + -block.data_ptr() % _ALIGNMENT
    dense = [None if x is None else x.detach().contiguous() for x in (a, w, u, b)]
    status = getattr(lib, f"lipschitz_scan_pack_{suffix}")(
        hidden, features, *(pointer(x) for x in dense), variant, address
    )
    if status:
        raise RuntimeError(f"lipschitz_scan_pack: the native library reported status {status}.")
    return PackedUnit(block, address, getattr(lib, f"lipschitz_scan_step_{suffix}"), method)
