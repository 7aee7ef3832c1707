"""Arrays that a user brings, turned into the sequences a trained model expects."""

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.image_tasks import ImageTask, find_image_task
from lipschitz_rnn.data.sequence import check_steps, to_sequences


def encode_samples(
    array: np.ndarray,
    *,
    name: str,
    steps: int,
    permutation: str | None = None,
    pipeline: str = "task",
) -> Tensor:
    """Model input from raw samples, by the same steps as in training.

    The elements of a sample, in C order, are the pixels of the image in scanline order, whatever
    the array's shape; the permutation is applied to them here and must not have been before.

    Args:
        array: One sample or several: ``(H, W)``, ``(H * W,)`` or ``(T, P)``, with or without a
            leading n. Integers of any width are pixels as the data set stores them, 0 to 255 for
            mnist and 0 to 16 for digits; floats are on the scale 0 to 1.
        name: The task, ``"mnist"`` or ``"digits"``.
        steps: Sequence length T.
        permutation: Name of the permutation the model was trained with.
        pipeline: ``"task"`` or ``"authors"``, as the model was trained with.

    Returns:
        Shape ``(n, T, P)``, float32, n = 1 for a single sample.

    Raises:
        InputError: If the shape, the type or a value does not fit; the message names the first
            row that is wrong.

    Examples:
        >>> encode_samples(np.full((8, 8), 4), name="digits", steps=2).unique()
        tensor([0.2500])
    """
    task = find_image_task(name)
    check_steps(task.pixels, steps)
    rows = _rows(np.asarray(array), task, steps)
    scale = task.scale(pipeline, permutation)
    if rows.dtype.kind in "iu":
        _check_values(rows, 0, task.maximum, _integer_scale(task))
        pixels = torch.from_numpy(rows.astype(np.uint8))
        return to_sequences(pixels, steps, permutation).to(torch.float32) * scale
    if rows.dtype.kind == "f":
        _check_finite(rows)
        _check_values(rows, 0, 1, _float_scale(task))
        values = to_sequences(torch.from_numpy(rows.astype(np.float32)), steps, permutation)
        return values * (scale * task.maximum)
    raise InputError(f"encode_samples: expected integers or floats, got {rows.dtype}.")


def _rows(array: np.ndarray, task: ImageTask, steps: int) -> np.ndarray:
    """``(n, H * W)``, checked."""
    single = {
        (task.side, task.side): "H, W",
        (task.pixels,): "H * W",
        (steps, task.pixels // steps): "T, P",
    }
    if array.shape not in single and array.shape[1:] not in single:
        shapes = ", ".join(
            f"({', '.join(map(str, ('n', *shape)))})" for shape in dict.fromkeys(single)
        )
        raise InputError(
            f"encode_samples: expected {task.name} samples of shape {shapes}, or one without n, "
            f"got {array.shape}."
        )
    rows = array.reshape(-1, task.pixels) if array.size else array.reshape(0, task.pixels)
    if not len(rows):
        raise InputError("encode_samples: expected at least one sample, got none.")
    return rows


def _integer_scale(task: ImageTask) -> str:
    return (
        f"Integers are pixels from 0 to {task.maximum}; give values on the model's scale [0, 1] "
        "as floats."
    )


def _float_scale(task: ImageTask) -> str:
    return (
        f"Floats are on the model's scale [0, 1]; divide pixels by {task.maximum}, or give them "
        "as integers."
    )


def _check_finite(rows: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        value = rows[bad[0]][~np.isfinite(rows[bad[0]])][0]
        raise InputError(f"encode_samples: expected finite values, got {value} in row {bad[0]}.")


def _check_values(rows: np.ndarray, low: int, high: int, remedy: str) -> None:
    outside = (rows < low) | (rows > high)
    bad = np.flatnonzero(outside.any(axis=1))
    if bad.size:
        value = rows[bad[0]][outside[bad[0]]][0]
        raise InputError(
            f"encode_samples: expected values from {low} to {high}, "
            f"got {value} in row {bad[0]}. {remedy}"
        )
