"""What was trained: the settings that are not at their defaults, the data, the seeds."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from lipschitz_rnn.nn import unit_options
from lipschitz_rnn.report.source import Source
from lipschitz_rnn.report.wording import Rows, setting
from lipschitz_rnn.training import TrainingConfig

_ALWAYS = ("epochs", "lr", "batch_size", "optimizer")
_OF_MACHINE = ("threads", "checkpoint_seconds", "eval_batch_size")


@dataclass(frozen=True)
class Settings:
    """What was trained on what.

    Attributes:
        model: Unit, sizes, and options that differ from the unit's own defaults.
        training: How; what differs from the defaults.
        data: Which samples, with their digest.
        seeds: One for each source of chance.
    """

    model: Rows
    training: Rows
    data: Rows
    seeds: Rows


def describe_settings(source: Source) -> Settings:
    """The settings of a run.

    Args:
        source: The run.

    Returns:
        Rows by section.
    """
    config = source.config
    seeds = tuple((f.name, str(getattr(config.seed, f.name))) for f in dataclasses.fields(
        config.seed))  # fmt: skip
    return Settings(_model(source), _training(config.training), _data(source), seeds)


def _model(source: Source) -> Rows:
    model = source.config.model
    rows = [("unit", model.unit), ("hidden size", str(model.hidden_size))]
    common = {"num_layers": 1, "dropout": 0.0, "bidirectional": False, "embedding_size": None}
    rows += [
        (name.replace("_", " "), setting(getattr(model, name)))
        for name, default in common.items()
        if getattr(model, name) != default
    ]
    defaults = unit_options(model.unit)
    return (*rows, *_differing(model.options, defaults))


def _differing(options: dict[str, Any], defaults: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, value in options.items():
        default = defaults.get(name)
        if value != default:
            beside = "" if default is None else f" (default {setting(default)})"
            rows.append((name.replace("_", " "), setting(value) + beside))
    return rows


def _training(training: TrainingConfig) -> Rows:
    rows = []
    for field in dataclasses.fields(training):
        value = getattr(training, field.name)
        differs = field.default is not dataclasses.MISSING and value != field.default
        if field.name == "decay_factor":  # it means nothing where nothing decays
            differs = bool(training.decay_epochs)
        if field.name in _ALWAYS or (differs and field.name not in _OF_MACHINE):
            name = "learning rate" if field.name == "lr" else field.name.replace("_", " ")
            rows.append((name, setting(value)))
    return tuple(rows)


def _data(source: Source) -> Rows:
    data = source.config.data
    rows = [("data set", data.name), *((k.replace("_", " "), setting(v)) for k, v in
            data.options.items())]  # fmt: skip
    if source.kind is not None:
        rows.append(("kind of task", source.kind))
    if source.summary is not None:
        known = source.summary.data
        sizes = [(part, known[part]) for part in ("train", "validation", "test") if part in known]
        rows.append(("samples", ", ".join(f"{n:,} {part}" for part, n in sizes)))
        rows += [(str(name), str(note)) for name, note in known.get("notes", {}).items()]
        if known.get("source"):
            rows.append(("source", str(known["source"])))
    digest = _digest(source)
    return (*rows, *([("SHA-256 of the raw data", digest)] if digest else []))


def _digest(source: Source) -> str:
    if source.summary is not None:
        return str(source.summary.data["digest"])
    return "" if source.subject is None else str(source.subject.trained.data["digest"])
