"""Measurements of runs, kept as files: what was measured once is not measured again."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.analysis.certificate_file import weights_digest
from lipschitz_rnn.experiments.plain import as_json, restore
from lipschitz_rnn.experiments.subjects import Subject
from lipschitz_rnn.training.environment import describe_environment

_Result = TypeVar("_Result")


def measured(
    folder: Path,
    what: str,
    subject: Subject,
    settings: Mapping[str, Any],
    kind: type[_Result],
    measure: Callable[[], _Result],
) -> _Result:
    """A measurement of a run from its file, or anew; a file of other settings is kept.

    Args:
        folder: Where the files are; made if it is not there.
        what: Is measured, such as ``"hessian"``.
        subject: The run.
        settings: All that the result depends on besides the run's weights and configuration.
        kind: Dataclass of the result.
        measure: Does it.

    Returns:
        The result.

    Raises:
        InputError: If a file of that name is none of ours.
    """
    key = {
        "of": what,
        "weights": weights_digest(subject.trained.model),
        "config": json.loads(as_json([subject.trained.config.model, subject.trained.config.data])),
        "data": subject.trained.data.get("digest"),
        "settings": json.loads(as_json(settings)),
    }
    path = folder / f"{what}-{subject.name}-{_short(key['settings'])}.json"
    if path.exists():
        found = _read(path)
        if found["key"] == key:
            return restore(kind, found["result"])
    result = measure()
    folder.mkdir(parents=True, exist_ok=True)
    content = {"key": key, "environment": describe_environment(), "result": result}
    write_atomically(path, f"{as_json(content)}\n".encode())
    return result


def _short(settings: Any) -> str:
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        key, result = found["key"], found["result"]
    except (ValueError, TypeError, KeyError):
        raise InputError(
            f"{path}: expected a measurement of ours in JSON, got something else. Move it away."
        ) from None
    return {"key": key, "result": result}
