"""Samples of one's own, from a folder of .npy files that may be larger than memory."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.array_dataset import ArrayDataset
from lipschitz_rnn.data.cache import data_folders
from lipschitz_rnn.data.files import manifest_digest
from lipschitz_rnn.data.npy import Content, examine, map_array
from lipschitz_rnn.data.series import SeriesStream
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.split import Split

PARTS = ("train", "validation", "test")
_NEEDED, _OPTIONAL = ("input", "target"), ("dt", "lengths")
_LARGEST = float(np.finfo(np.float32).max)


def load_arrays(
    *,
    path: str | Path,
    steps: int | None = None,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> Split:
    r"""Sequences, or one long series, from files that are mapped into memory.

    The folder holds ``train_input.npy``, ``train_target.npy``, and the same for ``validation`` and
    ``test``. What they are follows from their shapes, in either order of memory; C order is read
    faster.

    | input | target | what is asked |
    |---|---|---|
    | (n, T, P) | (n,) integers | a class after the last step, ``"classes"`` |
    | (n, T, P) | (n, Q) floating | values after the last step, ``"values"`` |
    | (n, T, P) | (n, T) integers | a class at every step, ``"symbols"`` |
    | (n, T, P) | (n, T, Q) floating | values at every step, ``"frames"`` |
    | (T, P) | (T,) integers, (T, Q) floating | the same at every step of one long series |

    Inputs are float16, float32, float64, or uint8 and int16, which are scaled to [0, 1] and
    [-1, 1). Classes count from 0. Beside them there may be ``train_dt.npy``, for how long each
    input is held, (n, T) or (T,), floating; and, for sequences, ``train_lengths.npy``, (n,)
    integers: the steps of each, what stands behind them being ignored.

    A batch is read by indexing, when it is wanted. Each file is also read once from end to end, for
    its SHA-256 and for numbers that are not finite; what was found is kept in the cache folder, and
    read again only if size or times of change differ. The digest covers every byte of every file.

    Args:
        path: The folder. A relative one is looked for in the data folders first, then in the
            working directory.
        steps: Of a series, K, steps between two updates; of sequences, not to be given.
        data_dir: A data folder to look into first.
        report: Told when a large file is read for the first time.

    Returns:
        The three parts.

    Raises:
        InputError: If a file is missing, damaged or of the wrong type, or two do not fit together.
    """
    folder = _find(Path(path).expanduser(), data_dir)
    parts = {part: _map_part(folder, part, steps) for part in PARTS}
    train, contents = parts["train"], dict[str, Content]()
    for part, dataset in parts.items():
        _require_like(folder, part, dataset, train)
        contents |= _examine_part(folder, part, dataset, report)
    if train.target.dtype.kind == "f":
        output_size = train.target.shape[-1]
    else:
        output_size = 1 + int(max(contents[f"{part}_target.npy"].high for part in PARTS))
    return Split(
        name="arrays",
        train=train,
        validation=parts["validation"],
        test=parts["test"],
        output_size=output_size,
        source=f"folder {folder}",
        digest=manifest_digest({name: content.sha256 for name, content in contents.items()}),
        kind=_kind(train),
    )


def _find(folder: Path, data_dir: Path | None) -> Path:
    places = [*(root / folder for root in data_folders(data_dir)), folder]
    for place in places:
        if place.is_dir():
            return place
    shown = ", ".join(str(place) for place in dict.fromkeys(places))
    raise InputError(
        f"arrays: expected data.path to be a folder, got none: {shown}. "
        "If it was moved, name where it is now by --data-dir, or put a link there."
    )


def _map_part(folder: Path, part: str, steps: int | None) -> ArrayDataset | SeriesStream:
    arrays: dict[str, np.ndarray] = {}
    for name in (*_NEEDED, *_OPTIONAL):
        file = folder / f"{part}_{name}.npy"
        if file.exists():
            arrays[name] = map_array(file)
        elif name in _NEEDED:
            raise InputError(
                f"{file}: expected a file, got none. The folder holds PART_input.npy and "
                "PART_target.npy for each PART of train, validation and test."
            )
    values, target, dt = arrays["input"], arrays["target"], arrays.get("dt")
    lengths = arrays.get("lengths")
    try:
        if values.ndim != 2:
            if steps is not None:
                raise ValueError(
                    "input: expected one long series, (T, P), with data.steps, got "
                    f"{values.shape}. Unset it for sequences."
                )
            return ArrayDataset(values, target, dt, None if lengths is None else lengths.copy())
        if steps is None:
            raise ValueError(
                f"input: expected shape (n, T, P), got {values.shape}. If it is one long series, "
                "(T, P), set data.steps, the steps between two updates."
            )
        if lengths is not None:
            raise ValueError("lengths: expected none of one long series, got a file. Remove it.")
        return SeriesStream(values, target, steps, dt)
    except (ValueError, TypeError) as error:
        name, _, reason = str(error).partition(": ")
        raise InputError(f"{folder / f'{part}_{name}.npy'}: {reason}") from None


def _require_like(
    folder: Path, part: str, given: ArrayDataset | SeriesStream, train: ArrayDataset | SeriesStream
) -> None:
    """Raise ``InputError`` unless a part asks what the training part asks."""
    for name, mine, theirs in (
        ("question", _kind(given), _kind(train)),
        ("axes of the input", given.values.ndim, train.values.ndim),
        ("P", given.input_size, train.input_size),
        ("Q", _answer_size(given), _answer_size(train)),
        ("times dt", given.dt is not None, train.dt is not None),
    ):
        if mine != theirs:
            raise InputError(
                f"{folder}: expected {part} to be like train, got another {name}: {mine}, "
                f"not {theirs}."
            )


def _answer_size(dataset: ArrayDataset | SeriesStream) -> int:
    return dataset.target.shape[-1] if dataset.target.dtype.kind == "f" else 0


def _kind(dataset: ArrayDataset | SeriesStream) -> str:
    is_number = dataset.target.dtype.kind == "f"
    every_step = dataset.carries_state or dataset.target.ndim == (3 if is_number else 2)
    if every_step:
        return "frames" if is_number else "symbols"
    return "values" if is_number else "classes"


def _examine_part(
    folder: Path, part: str, dataset: ArrayDataset | SeriesStream, report: Report | None
) -> Mapping[str, Content]:
    """What each file holds, by name."""
    contents = {}
    for name in (*_NEEDED, *_OPTIONAL):
        file = folder / f"{part}_{name}.npy"
        if not file.exists():
            continue
        content = contents[file.name] = examine(file, report)
        least = 0.0 if name == "dt" or _is_class(name, dataset) else -_LARGEST
        if content.low < least or content.high > _LARGEST:
            raise InputError(
                f"{file}: expected numbers from {least:g} to {_LARGEST:g}, got "
                f"{content.low:g} to {content.high:g}."
            )
    return contents


def _is_class(name: str, dataset: ArrayDataset | SeriesStream) -> bool:
    return name == "target" and dataset.target.dtype.kind != "f"
