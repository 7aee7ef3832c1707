"""Named runs from beginning to end: train, resume, and load what was trained."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Split, encode_samples
from lipschitz_rnn.data.image_tasks import IMAGE_TASKS
from lipschitz_rnn.experiments.registry import build_data, build_model
from lipschitz_rnn.experiments.spectra import measure_spectra, record_spectra
from lipschitz_rnn.training import (
    EvaluationResult,
    Hook,
    RunConfig,
    RunFolder,
    RunRecord,
    evaluate,
    fit,
    resume,
)
from lipschitz_rnn.training.device import require_device
from lipschitz_rnn.training.state import (
    describe_data,
    load_model_tensors,
    load_weights,
    require_same_data,
)

Report = Callable[[str], None]

_MEASURES: dict[str, Any] = {"measure": measure_spectra, "watch": record_spectra}


def train_run(
    config: RunConfig,
    run_dir: Path,
    *,
    data_dir: Path | None = None,
    hooks: Iterable[Hook] = (),
    report: Report | None = None,
) -> RunRecord:
    """Train as a configuration says; nothing is written before everything is known to fit.

    Args:
        config: The configuration.
        run_dir: Folder for the run; new, or empty.
        data_dir: A data folder to ask first.
        hooks: Called with every event of the training.
        report: Takes a line for every data source that failed.

    Returns:
        The summary, with the spectra of the initial and of the last weights; those after every
        epoch are in the record.
    """
    RunFolder(run_dir).require_new()
    require_device(config.training.device)
    split = build_data(config, data_dir, report)
    model = _model_for(config, split)
    return fit(config, split, model, run_dir, hooks=hooks, **_MEASURES)


def resume_run(
    run_dir: Path,
    *,
    data_dir: Path | None = None,
    hooks: Iterable[Hook] = (),
    report: Report | None = None,
) -> RunRecord:
    """Go on with a run that was interrupted; a finished one is left as it is.

    Args:
        run_dir: Its folder.
        data_dir: A data folder to ask first.
        hooks: Called with every event of the training; with none if the run is finished.
        report: Takes a line for every data source that failed.

    Returns:
        The summary.
    """
    folder = RunFolder(run_dir)
    config = folder.read_config()
    if folder.is_finished:
        return folder.read_summary()
    split = build_data(config, data_dir, report)
    model = _model_for(config, split)
    return resume(run_dir, split, model, hooks=hooks, **_MEASURES)


def _model_for(config: RunConfig, split: Split) -> nn.Module:
    size = split.train.input_size
    return build_model(config, size, split.output_size, split.kind, timed=split.timed)


@dataclass(frozen=True)
class TrainedRun:
    """What a run came to.

    Attributes:
        config: Its configuration.
        model: In evaluation mode.
        data: Digest, sizes and kind of the samples it was trained on.
    """

    config: RunConfig
    model: nn.Module
    data: dict[str, Any]


def load_trained(run_dir: Path, weights: str = "best") -> TrainedRun:
    """Load a trained model without its data.

    Args:
        run_dir: Folder of the run, finished or not.
        weights: ``"best"`` on the validation samples, or ``"last"``.

    Returns:
        The configuration and the model.

    Raises:
        InputError: If there are no such weights, or they are not of this run.
    """
    folder = RunFolder(run_dir)
    config = folder.read_config()
    paths = {"best": folder.best, "last": folder.last}
    if weights not in paths:
        raise InputError(f"weights: expected best or last, got {weights!r}.")
    path = paths[weights]
    if not path.exists():
        raise InputError(f"{path}: expected the weights of a run, got none so far.")
    tensors, data = load_weights(path, weights, config)
    model = build_model(config, data["input_size"], data["output_size"], data["kind"])
    load_model_tensors(path, model, tensors)
    return TrainedRun(config, model.eval(), data)


def evaluate_run(
    run_dir: Path,
    weights: str = "best",
    *,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> EvaluationResult:
    """Test a trained model.

    Args:
        run_dir: Folder of the run.
        weights: ``"best"`` on the validation samples, or ``"last"``.
        data_dir: A data folder to ask first.
        report: Takes a line for every data source that failed.

    Returns:
        Loss and figures on the test samples.
    """
    trained = load_trained(run_dir, weights)
    split = build_data(trained.config, data_dir, report)
    require_same_data(run_dir, trained.data, describe_data(split))
    batch_size = trained.config.training.eval_batch_size
    return evaluate(trained.model, split.test, batch_size, kind=split.kind)


def predict_run(run_dir: Path, samples: np.ndarray, weights: str = "best") -> Tensor:
    """Classify samples with a trained model.

    Args:
        run_dir: Folder of the run.
        samples: As :func:`lipschitz_rnn.data.encode_samples` takes them.
        weights: ``"best"`` on the validation samples, or ``"last"``.

    Returns:
        Probabilities of the classes, shape (n, C).

    Raises:
        InputError: If the model is not one of images.
    """
    trained = load_trained(run_dir, weights)
    data = trained.config.data
    if data.name not in IMAGE_TASKS:
        raise InputError(
            f"predict: expected a model of {' or '.join(IMAGE_TASKS)}, got one of {data.name}."
        )
    input = encode_samples(
        samples,
        name=data.name,
        steps=data.steps or 1,
        permutation=data.permutation,
        pipeline=data.pipeline or "task",
    )  # (n, T, P)
    with torch.no_grad():
        batches = torch.split(input, trained.config.training.eval_batch_size)
        return torch.cat([trained.model(batch).softmax(-1) for batch in batches])
