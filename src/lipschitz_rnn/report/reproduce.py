"""How to do a run again, and with what it was done."""

import shlex
from dataclasses import dataclass

from lipschitz_rnn.nn.digest import weights_digest
from lipschitz_rnn.report.source import Source
from lipschitz_rnn.report.wording import Rows, duration

_VERSIONS = ("lipschitz_rnn", "commit", "python", "torch", "numpy", "safetensors")
_MACHINE = (
    "processor", "cores", "threads", "workers", "instruction_set", "kernel", "backend", "system",
    "gpu",
)  # fmt: skip


@dataclass(frozen=True)
class Reproduce:
    """What somebody needs who does not believe it.

    Attributes:
        commands: What each does, and the line to copy.
        toml: The whole configuration.
        versions: Of the code.
        machine: Where it ran.
        digests: Of the raw data and of the weights.
        sessions: In which it was done, if there were several.
    """

    commands: Rows
    toml: str
    versions: Rows
    machine: Rows
    digests: Rows
    sessions: tuple[str, ...]


def describe_reproduction(source: Source) -> Reproduce:
    """Commands, configuration, versions, machine and digests of a run.

    Args:
        source: The run.

    Returns:
        What is known of them; a run in hand has no versions yet.
    """
    run = shlex.quote(str(source.path))
    config = shlex.quote(str(source.path / "config.toml"))
    commands = [("train it again", f"lipschitz-rnn train {config} --out runs/again")]
    if source.summary is None:
        commands.append(("go on with it", f"lipschitz-rnn resume {run}"))
    option = "" if source.weights == "best" else " --weights last"
    commands.append(("test its weights", f"lipschitz-rnn evaluate {run}{option}"))
    commands.append(("write this report", f"lipschitz-rnn report {run}{option}"))
    environment = {} if source.summary is None else source.summary.environment
    sessions = [] if source.summary is None else source.summary.time.get("sessions", [])
    return Reproduce(
        tuple(commands),
        source.config.to_toml(),
        _known(environment, _VERSIONS),
        _known(environment, _MACHINE),
        _digests(source),
        tuple(_session(one) for one in sessions) if len(sessions) > 1 else (),
    )


def _known(table: dict[str, object], names: tuple[str, ...]) -> Rows:
    known = ((name, table.get(name)) for name in names)
    return tuple((name.replace("_", " "), str(value)) for name, value in known if value is not None)


def _digests(source: Source) -> Rows:
    rows = []
    if source.summary is not None:
        rows.append(("raw data, SHA-256", str(source.summary.data["digest"])))
    if source.subject is not None:
        digest = weights_digest(source.subject.trained.model)
        rows.append((f"{source.weights} weights, SHA-256", digest))
    return tuple(rows)


def _session(one: dict[str, object]) -> str:
    seconds = one.get("wall_seconds", one.get("seconds"))
    took = f", {duration(seconds)}" if isinstance(seconds, int | float) else ""
    machine = one.get("processor") or one.get("machine") or ""
    return f"from epoch {one.get('epoch', '?')}, update {one.get('update', '?')}{took} {machine}"
