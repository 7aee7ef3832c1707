"""Measurements of runs, kept as files: what was measured once is not measured again."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.experiments.plain import as_json, restore
from lipschitz_rnn.experiments.subjects import Subject
from lipschitz_rnn.nn.digest import weights_digest
from lipschitz_rnn.training.config import DataConfig, ModelConfig
from lipschitz_rnn.training.environment import describe_environment

_Result = TypeVar("_Result")


VERSION = 1
"""Of what measurements mean: raised when the code that makes one changes its numbers."""

_LATER = frozenset({"memory", "path", "shift", "warp"})
"""Settings that came after version 1: unset, they must not rename what was measured before."""


def measured(
    folder: Path,
    what: str,
    subject: Subject,
    depends: Mapping[str, Any],
    kind: type[_Result],
    measure: Callable[[], _Result],
) -> _Result:
    """A measurement of a run from its file, or anew.

    Args:
        folder: Where the files are; made if it is not there.
        what: Is measured, such as ``"hessian"``.
        subject: The run.
        depends: All that the result depends on besides the run's weights and configuration.
        kind: Dataclass of the result.
        measure: Does it.

    Returns:
        The result. Files of other weights, settings or versions have other names, and are kept.

    Raises:
        InputError: If a file of that name is none of ours.
        OSError: If nothing can be written there; that is found out before anything is measured.
    """
    key = measurement_key(what, subject, depends)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{what}-{subject.name}-{_short(key)}.json"
    if path.exists():
        return _read(path, key, kind)
    write_atomically(path.with_suffix(".try"), b"")
    path.with_suffix(".try").unlink()
    result = measure()
    content = {"key": key, "environment": describe_environment(), "result": result}
    write_atomically(path, f"{as_json(content)}\n".encode())
    return result


def measurement_key(what: str, subject: Subject, depends: Mapping[str, Any]) -> dict[str, Any]:
    """What tells one measurement from another.

    Args:
        what: Is measured.
        subject: The run.
        depends: As :func:`measured` takes it.

    Returns:
        As JSON has it.
    """
    config = subject.trained.config
    key: dict[str, Any] = json.loads(
        as_json(
            {
                "version": VERSION,
                "of": what,
                "weights": weights_digest(subject.trained.model),
                "config": [_settings(config.model), _settings(config.data)],
                "data": subject.trained.data,
                "depends": depends,
            }
        )
    )
    return key


def _settings(section: ModelConfig | DataConfig) -> dict[str, Any]:
    """All settings, set or not; of those that came later only the ones that are set."""
    table = dataclasses.asdict(section)
    return {name: x for name, x in table.items() if x or name not in _LATER}


def _short(key: dict[str, Any]) -> str:
    text = json.dumps(key, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _read(path: Path, key: dict[str, Any], kind: type[_Result]) -> _Result:
    try:
        found = json.loads(path.read_bytes())
        if found["key"] == key:
            return restore(kind, found["result"])
    except (ValueError, TypeError, KeyError):
        pass
    raise InputError(
        f"{path}: expected a measurement of ours in JSON, got something else. Move it away."
    )
