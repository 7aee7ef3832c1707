"""A run from its first update to its summary, and from where it was killed to the same summary."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Split
from lipschitz_rnn.training.config import RunConfig
from lipschitz_rnn.training.device import forked, use_threads
from lipschitz_rnn.training.environment import describe_backend, describe_environment
from lipschitz_rnn.training.epoch_end import Watch
from lipschitz_rnn.training.evaluate import evaluate
from lipschitz_rnn.training.events import Event, Hook, RunDone, RunStarted
from lipschitz_rnn.training.folder import RunFolder
from lipschitz_rnn.training.loop import train
from lipschitz_rnn.training.record import RecordFile, RunRecord, WeightsResult
from lipschitz_rnn.training.schema import to_table
from lipschitz_rnn.training.seeds import derive_seed
from lipschitz_rnn.training.state import (
    RunState,
    load_model_tensors,
    load_weights,
    require_model_tensors,
)

Measure = Callable[[nn.Module], dict[str, Any]]


def fit(
    config: RunConfig,
    split: Split,
    model: nn.Module,
    run_dir: Path,
    *,
    hooks: Iterable[Hook] = (),
    measure: Measure | None = None,
    watch: Watch | None = None,
) -> RunRecord:
    """Train a model and keep everything about it in a new folder.

    A run killed at any instant can be resumed, and equals the uninterrupted one bit for bit.
    Afterwards the caller's random state and number of threads are as they were.

    Args:
        config: The configuration.
        split: The samples.
        model: With its initial weights; it ends with those after the last epoch.
        run_dir: Folder for the run; made, or empty.
        hooks: Called with every event, in order.
        measure: What to record about the initial and the last weights, such as spectra; JSON can
            hold it.
        watch: What to record after every epoch, given the model, the epoch and their number; JSON
            can hold it.

    Returns:
        The summary.

    Raises:
        InputError: If the folder is not empty, another process trains in it, or there is no such
            device.
        FloatingPointError: If loss or gradient are not finite; the weights and checkpoints of
            before stay.
    """
    folder = RunFolder(run_dir)
    state = RunState(config, model, split)
    with folder.locked():
        folder.create(config)
        return _begin(state, split, folder, tuple(hooks), measure, watch)


def resume(
    run_dir: Path,
    split: Split,
    model: nn.Module,
    *,
    hooks: Iterable[Hook] = (),
    measure: Measure | None = None,
    watch: Watch | None = None,
) -> RunRecord:
    """Go on with a run that was interrupted; a finished one is left as it is.

    Args:
        run_dir: Its folder.
        split: The same samples.
        model: The same model, with its initial weights.
        hooks: As for :func:`fit`.
        measure: As for :func:`fit`.
        watch: As for :func:`fit`.

    Returns:
        The summary.

    Raises:
        InputError: If the folder or a file in it is not of this run, or the samples are others.
        FloatingPointError: As for :func:`fit`.
    """
    folder = RunFolder(run_dir)
    config = folder.read_config()
    with folder.locked():
        if folder.is_finished:
            return folder.read_summary()
        state = RunState(config, model, split)
        if not folder.last.exists():
            if folder.best.exists() or (folder.record.exists() and folder.record.stat().st_size):
                raise InputError(f"{folder.last}: expected the checkpoint to go on from, got none.")
            return _begin(state, split, folder, tuple(hooks), measure, watch)
        with torch.random.fork_rng(devices=forked(state.device)):
            state.restore(folder.last)
            _require_best(state, folder)
            return _go_on(state, split, folder, tuple(hooks), measure, watch)


def _require_best(state: RunState, folder: RunFolder) -> None:
    """Find out now, not after hours of training, if the best weights so far are gone."""
    if state.progress.best is None:
        return
    if not folder.best.exists():
        raise InputError(f"{folder.best}: expected the best weights of the run, got none.")
    tensors, _ = load_weights(folder.best, "best", state.config)
    require_model_tensors(folder.best, state.model, tensors)


def _begin(
    state: RunState,
    split: Split,
    folder: RunFolder,
    hooks: tuple[Hook, ...],
    measure: Measure | None,
    watch: Watch | None,
) -> RunRecord:
    progress = state.progress
    progress.threads = state.config.training.threads or torch.get_num_threads()
    with torch.random.fork_rng(devices=forked(state.device)):
        torch.manual_seed(derive_seed("dropout", state.config.seed.dropout))
        with use_threads(progress.threads):
            progress.before = _measured(state.model, measure)
        state.save(folder.last)
        return _go_on(state, split, folder, hooks, measure, watch)


def _go_on(
    state: RunState,
    split: Split,
    folder: RunFolder,
    hooks: tuple[Hook, ...],
    measure: Measure | None,
    watch: Watch | None,
) -> RunRecord:
    def emit(event: Event) -> None:
        for hook in hooks:
            hook(event)

    record = RecordFile(folder.record, state.progress.record_length, state.progress.record_digest)
    with use_threads(state.progress.threads):
        begun = {"epoch": state.progress.epoch, "update": state.progress.update}
        state.progress.sessions.append(begun | describe_environment())
        emit(_started(state, split, folder))
        train(state, split, folder, record, emit, watch)
        summary = _finish(state, split, folder, record, measure)
        emit(RunDone(summary))
    return summary


def _started(state: RunState, split: Split, folder: RunFolder) -> RunStarted:
    settings, progress = state.config.training, state.progress
    per_epoch = len(split.train.plan(settings.batch_size))
    return RunStarted(
        name=state.config.name,
        folder=folder.path,
        epochs=settings.epochs,
        updates_per_epoch=per_epoch,
        updates_done=progress.epoch * per_epoch + progress.update,
        train_count=len(split.train),
        parameters=count_parameters(state.model),
        metric=state.metric.name,
    )


def _finish(
    state: RunState,
    split: Split,
    folder: RunFolder,
    record: RecordFile,
    measure: Measure | None,
) -> RunRecord:
    """Look at the test samples, for the first time, and write the summary."""
    after = _measured(state.model, measure)
    last, best = _test(state, split, folder)
    for name, result in (("last", last), ("best", best)):
        record.append({"event": "test", "weights": name, **dataclasses.asdict(result)})
    state.save(folder.last)  # brings the wall time up to date; the position is the end already
    progress, config = state.progress, state.config
    backend = describe_backend(config.model, _width(state, split), config.training.device).name
    samples = config.training.epochs * len(split.train)
    summary = RunRecord(
        name=config.name,
        config=to_table(config),
        environment=_environment(state) | {"backend": backend},
        data=_describe_split(split),
        parameters=count_parameters(state.model),
        time={
            "wall_seconds": progress.wall_seconds,
            "train_seconds": progress.train_seconds,
            "samples_per_second": samples / progress.train_seconds,
            "sessions": progress.sessions,
        },
        metric=state.metric.name,
        last=last,
        best=best,
        before=progress.before,
        after=after,
    )
    summary.write(folder.summary)
    return summary


def _environment(state: RunState) -> dict[str, Any]:
    """Where the session that ends the run has run."""
    session = state.progress.sessions[-1]
    return {key: value for key, value in session.items() if key not in {"epoch", "update"}}


def _width(state: RunState, split: Split) -> int:
    """P of the recurrent layer, which reads embeddings of a text."""
    model = state.config.model
    is_text = split.train.carries_state
    return (model.embedding_size or model.hidden_size) if is_text else split.train.input_size


def _describe_split(split: Split) -> dict[str, Any]:
    return {
        "name": split.name,
        "kind": split.kind,
        "source": split.source,
        "digest": split.digest,
        **{part: len(getattr(split, part)) for part in ("train", "validation", "test")},
        "trivial": dict(split.trivial),
        "notes": dict(split.notes),
    }


def _measured(model: nn.Module, measure: Measure | None) -> dict[str, Any]:
    with torch.no_grad():
        return measure(model) if measure else {}


def _test(state: RunState, split: Split, folder: RunFolder) -> tuple[WeightsResult, WeightsResult]:
    """Test the last weights, then the best; the model keeps the last."""
    progress, model = state.progress, state.model
    batch_size = state.config.training.eval_batch_size
    test = evaluate(model, split.test, batch_size, kind=split.kind).for_record()
    last = WeightsResult(**(progress.last or {}), test=test)
    if progress.best == progress.last:
        return last, last
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    tensors, _ = load_weights(folder.best, "best", state.config)
    load_model_tensors(folder.best, model, tensors)
    test = evaluate(model, split.test, batch_size, kind=split.kind).for_record()
    model.load_state_dict(weights)
    return last, WeightsResult(**(progress.best or {}), test=test)


def count_parameters(model: nn.Module) -> int:
    """Numbers in a model that are learned.

    Args:
        model: The model.

    Returns:
        Their count.
    """
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
