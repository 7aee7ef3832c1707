"""How a run ends: the test samples, looked at for the first time, and the summary."""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from lipschitz_rnn.data import Split
from lipschitz_rnn.training.distributed import from_first
from lipschitz_rnn.training.environment import describe_backend
from lipschitz_rnn.training.evaluate import judge
from lipschitz_rnn.training.folder import RunFolder
from lipschitz_rnn.training.record import RecordFile, RunRecord, WeightsResult
from lipschitz_rnn.training.schema import to_table
from lipschitz_rnn.training.state import RunState
from lipschitz_rnn.training.weights import load_model_tensors, load_weights

Measure = Callable[[nn.Module], dict[str, Any]]


def finish_run(
    state: RunState,
    split: Split,
    folder: RunFolder,
    record: RecordFile,
    measure: Measure | None,
) -> RunRecord:
    """Test the last and the best weights, and write the summary.

    Args:
        state: Stands behind the last epoch.
        split: Its test samples are looked at here.
        folder: Where the summary goes.
        record: Where a line for each of the two goes.
        measure: What to record about the last weights.

    Returns:
        The summary.
    """
    after = measured(state.model, measure)
    results = dict(zip(("last", "best"), _test(state, split, folder), strict=True))

    def append() -> None:
        for name, result in results.items():
            record.append({"event": "test", "weights": name, **dataclasses.asdict(result)})

    from_first(append)
    state.save(folder.last)  # brings the wall time up to date; the position is the end already

    def write() -> RunRecord:
        summary = _summary(state, split, after, results)
        summary.write(folder.summary)
        return summary

    return from_first(write)


def _summary(
    state: RunState, split: Split, after: dict[str, Any], results: dict[str, WeightsResult]
) -> RunRecord:
    progress, config = state.progress, state.config
    backend = describe_backend(config.model, _width(state, split), config.training.device).name
    samples = config.training.epochs * len(split.train)
    return RunRecord(
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
        before=progress.before,
        after=after,
        **results,
    )


def _environment(state: RunState) -> dict[str, Any]:
    """Where the session that ends the run has run."""
    session = state.progress.sessions[-1]
    return {key: value for key, value in session.items() if key not in {"epoch", "update"}}


def _width(state: RunState, split: Split) -> int:
    """P of the recurrent layer, which reads embeddings of a text."""
    model = state.config.model
    is_text = split.kind in {"characters", "words"}
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


def measured(model: nn.Module, measure: Measure | None) -> dict[str, Any]:
    """What the first worker measures of the weights, without gradients; nothing if not asked."""

    def work() -> dict[str, Any]:
        with torch.no_grad():
            return measure(model) if measure else {}

    return from_first(work)


def _test(state: RunState, split: Split, folder: RunFolder) -> tuple[WeightsResult, WeightsResult]:
    """Test the last weights, then the best; the model keeps the last."""
    progress, model = state.progress, state.model
    settings = state.config.training
    test = judge(settings, model, split.test, split.kind).for_record()
    last = WeightsResult(**(progress.last or {}), test=test)
    if progress.best == progress.last:
        return last, last
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    tensors, _ = from_first(lambda: load_weights(folder.best, "best", state.config))
    load_model_tensors(folder.best, model, tensors)
    test = judge(settings, model, split.test, split.kind).for_record()
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
