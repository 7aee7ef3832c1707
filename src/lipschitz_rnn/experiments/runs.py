"""Named runs from beginning to end: train, resume, load what was trained, and test it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Split
from lipschitz_rnn.data.tasks import TASKS, has_times
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
from lipschitz_rnn.training.distributed import from_first, together
from lipschitz_rnn.training.state import describe_data, require_same_data
from lipschitz_rnn.training.weights import load_model_tensors, load_weights

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
    from_first(RunFolder(run_dir).require_new)
    split, model = together(lambda: _prepare(config, data_dir, report))
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
    config = from_first(folder.read_config)
    summary = from_first(lambda: folder.read_summary() if folder.is_finished else None)
    if summary is not None:
        return summary
    split, model = together(lambda: _prepare(config, data_dir, report))
    return resume(run_dir, split, model, hooks=hooks, **_MEASURES)


def _prepare(
    config: RunConfig, data_dir: Path | None, report: Report | None
) -> tuple[Split, nn.Module]:
    """The samples and the untrained model, if there is a device for them."""
    require_device(config.training.device)
    split = build_data(config, data_dir, report)
    size = split.train.input_size
    return split, build_model(config, size, split.output_size, split.kind, timed=split.timed)


@dataclass(frozen=True)
class TrainedRun:
    """What a run came to.

    Attributes:
        config: Its configuration.
        model: In evaluation mode.
        data: Digest, sizes and kind of the samples it was trained on.
        timed: Whether they came with times.
    """

    config: RunConfig
    model: nn.Module
    data: dict[str, Any]
    timed: bool = False

    @property
    def input_dtype(self) -> str | None:
        """Type of the arrays it was trained on; None of others, and where it was not kept."""
        return self.data.get("input_dtype")  # earlier releases kept none


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
    name = config.data.name
    timed = data.pop("timed", name in TASKS and has_times(name))  # earlier releases kept less
    model = build_model(config, data["input_size"], data["output_size"], data["kind"])
    load_model_tensors(path, model, tensors)
    return TrainedRun(config, model.eval(), data, timed)


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
    settings = trained.config.training
    return evaluate(
        trained.model,
        split.test,
        settings.eval_batch_size,
        kind=split.kind,
        truncate_steps=settings.truncate_steps,
    )
