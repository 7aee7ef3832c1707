"""What is made of a finished run so that others may have it."""

import dataclasses

from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.training import RunFolder, load_checkpoint
from lipschitz_rnn.training.checkpoint import save_checkpoint

SHARED_LIMIT = 1_000_000
"""Weights up to so many bytes are meant to be committed beside their card."""

LICENSED = ("ptb-char", "ptb-word")
"""Data sets whose models are not to be shared."""


def forget_source(folder: RunFolder) -> None:
    """Leave a folder of this machine out of the summary; the digest says which data they were.

    Args:
        folder: Of a finished run.
    """
    summary = folder.read_summary()
    source = str(summary.data.get("source", "")).split(" ")[0]
    dataclasses.replace(summary, data=summary.data | {"source": source}).write(folder.summary)


def strip_optimizer(folder: RunFolder) -> None:
    """Leave only the weights in the last checkpoint of a finished run.

    Args:
        folder: Of the run.
    """
    tensors, meta = load_checkpoint(folder.last)
    weights = {name: value for name, value in tensors.items() if name.startswith("model/")}
    if len(weights) < len(tensors):
        save_checkpoint(folder.last, weights, meta)


def keep_private(folder: RunFolder, data_name: str) -> None:
    """Have git ignore weights not to be committed: large ones, and those of licensed text.

    Args:
        folder: Of the run.
        data_name: Of its data set.
    """
    size = max(file.stat().st_size for file in (folder.last, folder.best) if file.exists())
    ignore = folder.path / ".gitignore"
    if size > SHARED_LIMIT or data_name in LICENSED:
        write_atomically(ignore, b"*.safetensors*\n")
    else:  # a checkpoint with the optimiser was too large, the weights alone are not
        ignore.unlink(missing_ok=True)
