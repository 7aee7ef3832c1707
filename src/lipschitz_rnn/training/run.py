"""A run from its first update to its summary, and from where it was killed to the same summary."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Split
from lipschitz_rnn.training.config import RunConfig
from lipschitz_rnn.training.device import forked, use_threads
from lipschitz_rnn.training.distributed import from_first, together, worker_count, worker_number
from lipschitz_rnn.training.environment import describe_environment
from lipschitz_rnn.training.epoch_end import Watch
from lipschitz_rnn.training.events import Event, Hook, RunDone, RunStarted
from lipschitz_rnn.training.folder import RunFolder
from lipschitz_rnn.training.loop import train
from lipschitz_rnn.training.record import RecordFile, RunRecord
from lipschitz_rnn.training.run_end import Measure, count_parameters, finish_run, measured
from lipschitz_rnn.training.seeds import dropout_seed
from lipschitz_rnn.training.shares import make_scoring
from lipschitz_rnn.training.state import RunState
from lipschitz_rnn.training.weights import load_weights, require_model_tensors


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

    Inside a process group of ``torch.distributed`` every worker calls this alike and does its share
    of every batch, see Note [One run, several workers] in training/distributed.py; the first one
    alone writes, measures and calls hooks, and all return the summary.

    Args:
        config: The configuration.
        split: The samples.
        model: With its initial weights; it ends with those after the last epoch.
        run_dir: Folder for the run; made, or empty.
        hooks: Called with every event, in order. They look on: a change to the model would not
            reach other workers.
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
    state = _make_state(config, model, split)
    with _locked(folder):
        from_first(lambda: folder.create(config))
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
    config = from_first(folder.read_config)
    with _locked(folder):
        summary = from_first(lambda: folder.read_summary() if folder.is_finished else None)
        if summary is not None:
            return summary
        state = _make_state(config, model, split)
        if from_first(lambda: _is_untouched(folder)):
            return _begin(state, split, folder, tuple(hooks), measure, watch)
        with torch.random.fork_rng(devices=forked(state.device)):
            state.restore(folder.last)
            from_first(lambda: _require_best(state, folder))
            return _go_on(state, split, folder, tuple(hooks), measure, watch)


def _make_state(config: RunConfig, model: nn.Module, split: Split) -> RunState:
    digest = from_first(lambda: split.digest)

    def make() -> RunState:
        if split.digest != digest:
            raise InputError(
                f"{split.name}: expected the samples of the first worker (digest {digest[:12]}), "
                f"got others (digest {split.digest[:12]}). Give every machine the same data."
            )
        return RunState(config, model, split)

    return together(make)


@contextlib.contextmanager
def _locked(folder: RunFolder) -> Iterator[None]:
    """Have the first worker keep all others out of the folder."""
    with contextlib.ExitStack() as stack:
        from_first(lambda: stack.enter_context(folder.locked()))
        yield


def _is_untouched(folder: RunFolder) -> bool:
    """Whether the run was killed before its first checkpoint; raises if one was lost."""
    if folder.last.exists():
        return False
    if folder.best.exists() or (folder.record.exists() and folder.record.stat().st_size):
        raise InputError(f"{folder.last}: expected the checkpoint to go on from, got none.")
    return True


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
    _count_hands(state)
    with torch.random.fork_rng(devices=forked(state.device)):
        torch.manual_seed(dropout_seed(state.config.seed.dropout, worker_number()))
        with use_threads(progress.threads):
            progress.before = measured(state.model, measure)
        state.save(folder.last)
        return _go_on(state, split, folder, hooks, measure, watch)


def _count_hands(state: RunState) -> None:
    """Note the number of workers, and of threads for each: both change the order of sums."""
    threads = state.config.training.threads or torch.get_num_threads()
    state.progress.workers, state.progress.threads = worker_count(), from_first(lambda: threads)


def _go_on(
    state: RunState,
    split: Split,
    folder: RunFolder,
    hooks: tuple[Hook, ...],
    measure: Measure | None,
    watch: Watch | None,
) -> RunRecord:
    def call_hooks(event: Event) -> None:
        for hook in hooks:
            hook(event)

    def emit(event: Event) -> None:
        from_first(lambda: call_hooks(event))

    progress, settings = state.progress, state.config.training
    record = RecordFile(folder.record)
    from_first(lambda: record.cut_back(progress.record_length, progress.record_digest))
    if progress.workers != worker_count():
        _count_hands(state)
    with use_threads(progress.threads):
        state.score = make_scoring(state.model, split.train, settings)
        begun = {"epoch": progress.epoch, "update": progress.update, "workers": progress.workers}
        progress.sessions.append(begun | describe_environment())
        emit(_started(state, split, folder))
        train(state, split, folder, record, emit, watch)
        summary = finish_run(state, split, folder, record, measure)
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
        workers=progress.workers,
    )
