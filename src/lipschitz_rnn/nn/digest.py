"""A name for the weights of a model, the same wherever they are."""

import hashlib
import json

import torch
from torch import Tensor, nn


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of a model's state: names, dtypes, shapes and bytes of its tensors, by name.

    Args:
        model: The model, on any device.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: If the state holds something else than tensors.
    """
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"weights_digest: expected tensors in the model's state, got {name!r} of "
                f"{type(value).__name__}."
            )
        header = json.dumps([name, str(value.dtype), list(value.shape)])
        found.update(header.encode() + b"\0")
        plain = value.detach().cpu().contiguous().reshape(-1)
        found.update(plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    return found.hexdigest()
