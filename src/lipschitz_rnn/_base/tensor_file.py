"""Tensors and JSON in one safetensors file that knows its own digest, whole or absent on disk."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically

_VERSION = "1"
_BLANK = "0" * 64


def write_tensors(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write a file; at any instant ``path`` holds the old one or the new one, whole.

    The file is a regular safetensors file. Its metadata hold ``meta`` as JSON and the SHA-256 of
    the file (taken with the digest's own 64 places zero), so that a change of any bit is noticed.

    Args:
        path: Where to.
        tensors: Tensors by name.
        meta: What else to keep; JSON can hold it.
    """
    import safetensors.torch  # where it is needed: importing the package stays fast

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {
        "format": "pt",  # what other readers of safetensors files look for
        "lipschitz_rnn": _VERSION,
        "meta": json.dumps(meta, sort_keys=True, allow_nan=False),
        "sha256": _BLANK,
    }
    data = safetensors.torch.save(plain, metadata)
    digest = hashlib.sha256(data).hexdigest()
    # The first match is ours: it stands in the header, where quotes inside strings are escaped.
    write_atomically(path, data.replace(_entry(_BLANK), _entry(digest), 1))


def read_tensors(path: Path, what: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote. Nothing in the file is ever executed.

    Args:
        path: The file.
        what: What it should be, for messages, such as ``"checkpoint"``.

    Returns:
        The tensors by name, and the meta data.

    Raises:
        InputError: If the file is truncated, changed, or none of ours.
    """
    import safetensors.torch

    data = path.read_bytes()
    metadata = _read_metadata(path, data, what)
    digest = metadata.get("sha256", "")
    if hashlib.sha256(data.replace(_entry(digest), _entry(_BLANK), 1)).hexdigest() != digest:
        raise InputError(f"{path}: expected the content its digest names, got a damaged file.")
    try:
        return safetensors.torch.load(data), json.loads(metadata["meta"])
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path}: expected a readable {what}, got {error!r}.") from None


def _entry(digest: str) -> bytes:
    return f'"sha256":"{digest}"'.encode()


def _read_metadata(path: Path, data: bytes, what: str) -> dict[str, str]:
    """The metadata of a safetensors file that is one of ours, by its header alone."""
    length = int.from_bytes(data[:8], "little")
    try:
        if len(data) < 8 + length:
            raise ValueError
        header = json.loads(data[8 : 8 + length])
        metadata: dict[str, str] = header["__metadata__"]
        version = metadata["lipschitz_rnn"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            f"{path}: expected a lipschitz-rnn {what}, got a truncated or foreign file."
        ) from None
    if version != _VERSION:
        raise InputError(
            f"{path}: expected a {what} of format {_VERSION}, got {version!r}. "
            "Read it with the release that wrote it."
        )
    return metadata
