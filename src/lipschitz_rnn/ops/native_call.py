"""One call of the native library: checks, the struct, the workspace."""

import ctypes

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_shape, require_square
from lipschitz_rnn.ops import buffers, library
from lipschitz_rnn.ops.library import Missing, ScanStruct
from lipschitz_rnn.ops.tableau import EULER, MIDPOINT, ButcherTableau

METHODS: dict[ButcherTableau, int] = {EULER: 0, MIDPOINT: 1}
"""The integrators that the library has, by its numbers for them."""

BY_NUMBER = {number: tableau for tableau, number in METHODS.items()}

SUFFIX = {torch.float32: "f32", torch.float64: "f64"}
"""Of the library's functions, by dtype."""

_ALIGNMENT = 64
_STATUS = {
    1: "arguments that make no sense",
    2: "a variant that this machine cannot run",
    3: "too small a workspace",
}


def run(name: str, dtype: torch.dtype, struct: ScanStruct) -> None:
    """Call the library with a workspace of the size it asks for."""
    lib = library.library
    assert not isinstance(lib, Missing)  # the backend refuses without one
    suffix = SUFFIX[dtype]
    size = getattr(lib, f"lipschitz_scan_{name}_workspace_{suffix}")(ctypes.byref(struct))
    if size < 0:
        raise RuntimeError(f"lipschitz_scan: the native library refused the call's sizes ({name}).")
    memory = buffers.take((size + _ALIGNMENT,), torch.uint8)
    struct.workspace = memory.data_ptr() + -memory.data_ptr() % _ALIGNMENT
    struct.workspace_bytes = size
    status = getattr(lib, f"lipschitz_scan_{name}_{suffix}")(ctypes.byref(struct))
    if status:
        raise RuntimeError(
            f"lipschitz_scan: the native library reported {_STATUS.get(status, status)} ({name})."
        )


def pointer(tensor: Tensor | None) -> int | None:
    """Its address, or None (NULL) for no tensor or no elements."""
    return None if tensor is None or not tensor.numel() else tensor.data_ptr()


def require_dense(tensors: dict[str, Tensor | None], like: Tensor) -> None:
    """The last check before addresses leave for C; what fails it never came through the backend."""
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        if tensor.device.type != "cpu" or tensor.dtype != like.dtype or not tensor.is_contiguous():
            raise ValueError(
                f"lipschitz_rnn::scan: expected `{name}` to be contiguous, {like.dtype} and on the "
                f"CPU, got {tensor.dtype} on {tensor.device} with strides {tensor.stride()}."
            )


def _require_shapes(tensors: dict[str, Tensor | None], sizes: tuple[int, int, int, int]) -> None:
    steps, batch, hidden, features = sizes
    expected: dict[str, tuple[tuple[int, ...], ...]] = {
        "input": ((steps, batch, features),),
        "h0": ((batch, hidden),),
        "a": ((hidden, hidden),),
        "w": ((hidden, hidden),),
        "u": ((hidden, features),),
        "b": ((hidden,),),
        "step_sizes": ((steps,), (steps, batch)),
        "grad_states": ((steps, batch, hidden),),
        "grad_last": ((batch, hidden),),
    }
    for name, tensor in tensors.items():
        if tensor is not None and tuple(tensor.shape) not in expected[name]:
            raise ValueError(
                f"lipschitz_rnn::scan: expected `{name}` of shape {expected[name][0]}, got "
                f"{tuple(tensor.shape)}."
            )


def make_struct(
    tensors: dict[str, Tensor | None], step_size: float, method: int, stride: int
) -> ScanStruct:
    """Check everything that the library will read, and bundle it; outputs are filled in later."""
    input, w = tensors["input"], tensors["w"]
    assert input is not None and w is not None
    require_shape("lipschitz_rnn::scan", "input", input, (None, None, None), "(T, B, P)")
    require_square("lipschitz_rnn::scan", "w", w)
    sizes = (*input.shape, w.shape[0])
    steps, batch, features, hidden = sizes
    require_dense(tensors, input)
    _require_shapes(tensors, (steps, batch, hidden, features))
    if min(steps, batch, hidden, stride) < 1 or method not in BY_NUMBER:
        raise ValueError(
            "lipschitz_rnn::scan: expected at least one step, sample, unit and stride, and a "
            f"method of {tuple(BY_NUMBER)}, got {sizes}, stride {stride}, method {method}."
        )
    struct = ScanStruct(
        steps=steps,
        batch=batch,
        hidden=hidden,
        features=features,
        method=method,
        variant=library.current_variant(),
        threads=torch.get_num_threads(),
        step_size=step_size,
        stride=stride,
    )
    for name, tensor in tensors.items():
        setattr(struct, name, pointer(tensor))
    step_sizes = tensors["step_sizes"]
    struct.step_per_sample = int(step_sizes is not None and step_sizes.dim() == 2)
    return struct
