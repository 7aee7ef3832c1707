"""What a trained model says of samples that a user brings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import encode_samples
from lipschitz_rnn.data.array_dataset import SCALES, as_input, require_input
from lipschitz_rnn.data.image_tasks import IMAGE_TASKS
from lipschitz_rnn.experiments.runs import TrainedRun, load_trained


def predict_run(
    run_dir: Path, samples: np.ndarray, weights: str = "best", *, choose: bool = False
) -> Tensor:
    """Answer samples with a trained model.

    Args:
        run_dir: Folder of the run.
        samples: Of an image task as :func:`lipschitz_rnn.data.encode_samples` takes them. Of
            arrays, of the type that was trained on, since training scales by it: sequences
            (n, T, P), or one long series (T, P), of any length, of finite numbers. They are read in
            the pieces that training read.
        weights: ``"best"`` on the validation samples, or ``"last"``.
        choose: Whether the class is wanted instead of the probabilities of all of them.

    Returns:
        Probabilities of the classes, (n, C), or values, (n, Q); where every step is answered,
        (n, T, C) or (n, T, Q); of one long series (T, C) or (T, Q). Classes lack the last axis.

    Raises:
        InputError: If the model is of another kind of task, the samples are not for it, or an
            answer is not finite.
    """
    trained = load_trained(run_dir, weights)
    name = trained.config.data.name
    with torch.no_grad():
        if name in IMAGE_TASKS:
            answers = _answer_images(trained, samples)
        elif name == "arrays":
            answers = _answer_arrays(trained, samples)
        else:
            known = " or ".join((*IMAGE_TASKS, "arrays"))
            raise InputError(f"predict: expected a model of {known}, got one of {name}.")
    _require_finite(answers, trained)
    if trained.data["kind"] not in {"classes", "symbols"}:
        return answers
    return answers.argmax(-1) if choose else answers.softmax(-1)


def _answer_images(trained: TrainedRun, samples: np.ndarray) -> Tensor:
    data = trained.config.data
    input = encode_samples(
        samples,
        name=data.name,
        steps=data.steps or 1,
        permutation=data.permutation,
        pipeline=data.pipeline or "task",
    )  # (n, T, P)
    batches = torch.split(input, trained.config.training.eval_batch_size)
    return torch.cat([trained.model(batch) for batch in batches])


def _answer_arrays(trained: TrainedRun, samples: np.ndarray) -> Tensor:
    config, size = trained.config, trained.data["input_size"]
    is_series = config.data.steps is not None
    if trained.timed:
        raise InputError("predict: expected a model of samples without dt, got one with.")
    axes = 2 if is_series else 3
    if samples.ndim != axes or samples.shape[-1] != size or not samples.size:
        wanted = f"one long series, (T, {size})" if is_series else f"sequences, (n, T, {size})"
        raise InputError(f"predict: expected {wanted}, got shape {samples.shape}.")
    samples = _as_trained(trained.input_dtype, samples)
    _require_numbers(samples, "step" if is_series else "sample")
    if is_series:
        return _answer(trained, samples[np.newaxis], config.data.steps)[0]
    batches = range(0, len(samples), config.training.eval_batch_size)
    rows = (samples[first : first + batches.step] for first in batches)
    return torch.cat([_answer(trained, part, config.training.truncate_steps) for part in rows])


def _as_trained(dtype: str | None, samples: np.ndarray) -> np.ndarray:
    """Samples of the type that was trained on: others would be scaled in another way."""
    if samples.dtype.kind in "iu" and dtype is not None and dtype in SCALES:
        limits = np.iinfo(dtype)
        if samples.min() >= limits.min and samples.max() <= limits.max:  # as text files have them
            return samples.astype(dtype)
    try:
        require_input(samples)
    except TypeError as error:
        raise InputError(f"predict: {error} Convert it to what was trained on.") from None
    given = samples.dtype.name
    if dtype is not None and given != dtype and {given, dtype} & SCALES.keys():
        raise InputError(
            f"predict: expected samples in {dtype}, as trained on, got {given}, which is scaled "
            "in another way. Convert them to what was trained on."
        )
    return samples


def _require_numbers(samples: np.ndarray, what: str) -> None:
    """Refuse what no model can read, by the first sample, or step of a series, that has it."""
    rows = samples.reshape(len(samples), -1)
    with np.errstate(over="ignore"):
        good = np.isfinite(rows.astype(np.float32, copy=False))
    if not good.all():
        place = int(good.all(axis=1).argmin())
        value = rows[place][~good[place]][0]
        raise InputError(
            f"predict: expected finite numbers in single precision, got {value} in {what} {place}, "
            "counted from 0. Fill what is missing, or give `stream` one sequence at a time, which "
            "fills it."
        )


def _require_finite(answers: Tensor, trained: TrainedRun) -> None:
    """No class is to be chosen among what are no numbers."""
    good = answers.isfinite().flatten(1).all(1)
    if not bool(good.all()):
        is_series = trained.config.data.name == "arrays" and trained.config.data.steps is not None
        raise InputError(
            f"predict: expected finite answers, got others to {'step' if is_series else 'sample'} "
            f"{int(good.int().argmin())}, counted from 0: its inputs are too large for the model, "
            "whose states grew without bound. Compare them with the training samples."
        )


def _answer(trained: TrainedRun, samples: np.ndarray, steps: int | None) -> Tensor:
    """Answers to sequences (B, T, P), read piece after piece."""
    answers = list(_answer_pieces(trained.model, samples, steps or samples.shape[1]))
    return torch.cat(answers, 1) if trained.model.every_step else answers[-1]


def _answer_pieces(model: Any, samples: np.ndarray, steps: int) -> Iterator[Tensor]:
    state = None
    for first in range(0, samples.shape[1], steps):
        input = as_input(samples[:, first : first + steps])
        answers, state = model(input, state, need_state=True)
        yield answers
