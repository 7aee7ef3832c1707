"""What an export came to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lipschitz_rnn.export.interface import Interface, Shape

SIZES = ((7, 3), (1, 2))
"""Steps and samples of the random sequences on which an export is compared with its model."""


@dataclass(frozen=True)
class ExportedFile:
    """A file that holds a model, and how close it is to it.

    Attributes:
        path: The file.
        size: In bytes.
        inputs: Shapes by name; letters are free sizes.
        outputs: Likewise.
        difference: The largest one between the answers and states of the file and of the model, on
            random inputs, divided by the largest of the model's where that is above 1.
        compared_by: What ran the file.
    """

    path: Path
    size: int
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    difference: float
    compared_by: str


def compare(face: Interface, run: Callable[[dict[str, Tensor]], Mapping[str, Tensor]]) -> float:
    """How far an export is from its model.

    Args:
        face: The model.
        run: The export, from inputs to outputs by name.

    Returns:
        The largest difference, as in :class:`ExportedFile`.

    Raises:
        RuntimeError: If it is more than rounding, half of the digits that the dtype has.
    """
    worst = 0.0
    for seed, (steps, batch) in enumerate(SIZES):
        inputs = face.sample(steps, batch, seed)
        expected, got = face.run(inputs), run(inputs)
        for name, known in expected.items():
            scale = max(1.0, float(known.abs().max()))
            found = got[name]
            if found.shape != known.shape:
                worst = float("inf")
                continue
            worst = max(worst, float((found - known).abs().max()) / scale)
    if not worst <= torch.finfo(face.dtype).eps ** 0.5:
        raise RuntimeError(
            f"the exported {type(face.model).__name__} differs from the model by {worst:.3g}; "
            "nothing was written. If modules of it have hooks or a forward of their own, that is "
            "not exported; else please report it."
        )
    return worst


def file_of(
    face: Interface, path: Path, size: int, difference: float, compared_by: str
) -> ExportedFile:
    """What is said of a file that was written."""
    inputs = {name: shape for name, (_, shape) in face.inputs().items()}
    outputs = {name: shape for name, (_, shape) in face.outputs().items()}
    return ExportedFile(path, size, inputs, outputs, difference, compared_by)
