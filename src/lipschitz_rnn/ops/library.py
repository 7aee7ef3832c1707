"""Finds and binds the native library; says why where there is none.

The functions and the struct are those of ``csrc/lipschitz_scan.h``.
"""

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import ClassVar

from lipschitz_rnn._base.checks import require_choice

ABI_VERSION = 2
AUTO = -1
_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
_PREFIX = "" if sys.platform == "win32" else "lib"
_NAMES = ("baseline", "avx2", "avx512")
TYPES = {"f32": ctypes.c_float, "f64": ctypes.c_double}


class ScanStruct(ctypes.Structure):
    """``lipschitz_scan_call``."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int64) for name in ("steps", "batch", "hidden", "features")),
        *((name, ctypes.c_int32) for name in ("method", "variant", "threads", "reserved")),
        *((name, ctypes.c_void_p) for name in ("input", "h0", "a", "w", "u", "b", "step_sizes")),
        ("step_per_sample", ctypes.c_int64),
        ("step_size", ctypes.c_double),
        ("stride", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("states", "tanhs", "last")),
        *((name, ctypes.c_void_p) for name in ("grad_states", "grad_last")),
        *(
            (f"grad_{name}", ctypes.c_void_p)
            for name in ("input", "h0", "a", "w", "u", "b", "step")
        ),
        ("workspace", ctypes.c_void_p),
        ("workspace_bytes", ctypes.c_int64),
    ]


@dataclass(frozen=True)
class Missing:
    """There is no library.

    Attributes:
        reason: Why, as a sentence without a full stop.
    """

    reason: str


def _declare(library: ctypes.CDLL) -> None:
    call, i64, i32, pointer = (
        ctypes.POINTER(ScanStruct),
        ctypes.c_int64,
        ctypes.c_int,
        ctypes.c_void_p,
    )
    real = ctypes.c_double
    for suffix in TYPES:
        signatures: dict[str, tuple[type, list[type]]] = {
            "forward_workspace": (i64, [call]),
            "backward_workspace": (i64, [call]),
            "forward": (i32, [call]),
            "backward": (i32, [call]),
            "pack_bytes": (i64, [i64, i64, i32, i32]),
            "pack": (i32, [i64, i64, pointer, pointer, pointer, pointer, i32, pointer]),
            "step": (i32, [pointer, pointer, pointer, i64, real, pointer, i32]),
            "tanh": (i32, [pointer, pointer, i64, i32]),
        }
        for name, (result, arguments) in signatures.items():
            function = getattr(library, f"lipschitz_scan_{name}_{suffix}")
            function.restype, function.argtypes = result, arguments
    library.lipschitz_scan_peak_f32.restype = real
    library.lipschitz_scan_peak_f32.argtypes = [i64, i32, i32]
    library.lipschitz_scan_call_bytes.restype = i64


def _open() -> ctypes.CDLL | Missing:
    name = f"{_PREFIX}lipschitz_scan{_SUFFIX}"
    # not beside __file__: an editable install keeps the library and the sources apart
    found = resources.files("lipschitz_rnn.ops").joinpath(name)
    if not found.is_file():
        return Missing(
            "the package was installed without a C++ compiler, so it has no native library"
        )
    try:
        with resources.as_file(found) as path:
            library = ctypes.CDLL(str(path))
        version = library.lipschitz_scan_abi_version()
        if version != ABI_VERSION:
            return Missing(
                f"the native library has interface version {version}, this package needs "
                f"{ABI_VERSION}; install the package again"
            )
        _declare(library)
    except (OSError, AttributeError) as error:
        return Missing(f"the native library cannot be loaded: {error}")
    if library.lipschitz_scan_call_bytes() != ctypes.sizeof(ScanStruct):
        return Missing(
            "the native library disagrees about its structures; install the package again"
        )
    return library


# Once, at import: torch.compile would otherwise trace the loader.
library: ctypes.CDLL | Missing = _open()


def variants() -> tuple[str, ...]:
    """Names of the variants that this machine can run, the widest last; empty without a library."""
    if isinstance(library, Missing):
        return ()
    return tuple(
        name for index, name in enumerate(_NAMES) if library.lipschitz_scan_has_variant(index)
    )


class _Chosen:
    """The variant in force in this process: tests and benchmarks change it."""

    index = AUTO


def _index(where: str, name: str) -> int:
    if name == "auto":
        return AUTO
    require_choice(where, "variant", name, ("auto", *variants()))
    return _NAMES.index(name)


@functools.cache
def _from_environment() -> int:
    return _index("lipschitz_scan (LIPSCHITZ_RNN_ISA)", os.environ.get("LIPSCHITZ_RNN_ISA", "auto"))


def current_variant() -> int:
    """Number of the variant in force.

    Returns:
        That of ``use_variant``, else that of ``LIPSCHITZ_RNN_ISA``, else the best.

    Raises:
        ValueError: If the environment variable names none that this machine can run.
    """
    forced = _Chosen.index if _Chosen.index != AUTO else _from_environment()
    if forced != AUTO or isinstance(library, Missing):
        return forced
    best: int = library.lipschitz_scan_best_variant()
    return best


def variant_name() -> str:
    """Name of the variant in force."""
    return _NAMES[current_variant()]


def explain_kernel() -> str:
    """What runs the native backend here, for people.

    Returns:
        The variant in force and those that could be; or why there is none.
    """
    if isinstance(library, Missing):
        return f"none: {library.reason}"
    try:
        return f"{variant_name()} (of {', '.join(variants())})"
    except ValueError as error:
        return f"none: {error}"


@contextlib.contextmanager
def use_variant(name: str) -> Iterator[None]:
    """Force a variant of the kernel within a ``with`` block, for the whole process.

    Args:
        name: One of :func:`variants`, or ``"auto"``.

    Yields:
        Nothing.

    Raises:
        ValueError: If this machine cannot run it.
    """
    before = _Chosen.index
    _Chosen.index = _index("use_variant", name)
    try:
        yield
    finally:
        _Chosen.index = before
