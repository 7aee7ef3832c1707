"""One checkpoint, one file: tensors and JSON in safetensors; on disk it is whole or absent."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lipschitz_rnn._base.tensor_file import read_tensors, write_tensors


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write a checkpoint; at any instant ``path`` holds the old one or the new one, whole.

    The file is a regular safetensors file that knows its own digest, so that a change of any bit
    is noticed.

    Args:
        path: Where to.
        tensors: Tensors by name.
        meta: What else to keep; JSON can hold it.
    """
    write_tensors(path, tensors, meta)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_checkpoint` wrote. Nothing in the file is ever executed.

    Args:
        path: The file.

    Returns:
        The tensors by name, and the meta data.

    Raises:
        InputError: If the file is truncated, changed, or no checkpoint of ours.
    """
    return read_tensors(path, "checkpoint")
