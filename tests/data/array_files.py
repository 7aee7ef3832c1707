"""Folders of arrays, made here."""

import numpy as np

STEPS, INPUTS, ANSWERS = 12, 3, 2
PARTS = {"train": 10, "validation": 5, "test": 4}


def make_arrays(kind, seed=0, dtype=np.float32, lengths=False, dt=False, series=False):
    """Arrays of each file, by its name without the ending."""
    random, arrays = np.random.default_rng(seed), {}
    for part, count in PARTS.items():
        axes = (40 * count,) if series else (count, STEPS)
        noise = random.standard_normal((*axes, INPUTS))
        is_integer = np.dtype(dtype).kind in "iu"
        arrays[f"{part}_input"] = (100 + 20 * noise if is_integer else noise).astype(dtype)
        shape = axes if kind in {"symbols", "frames"} else axes[:1]
        arrays[f"{part}_target"] = (
            np.arange(np.prod(shape)).reshape(shape) % ANSWERS
            if kind in {"classes", "symbols"}
            else random.standard_normal((*shape, ANSWERS))
        )
        if lengths:
            arrays[f"{part}_lengths"] = random.integers(1, STEPS + 1, count)
        if dt:
            arrays[f"{part}_dt"] = random.uniform(0.5, 1.5, axes)
    return arrays


def save(folder, arrays):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder
