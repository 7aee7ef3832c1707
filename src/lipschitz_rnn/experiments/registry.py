"""Presets by name, and from a configuration to its data and its model."""

from collections.abc import Callable, Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import torch

from lipschitz_rnn._base.checks import nearest
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Split, load_split
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier
from lipschitz_rnn.training import RunConfig
from lipschitz_rnn.training.schema import to_table


def preset_names() -> tuple[str, ...]:
    """Names of the presets that come with the package.

    Returns:
        In alphabetical order.
    """
    files = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def load_preset(name: str, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a preset.

    Args:
        name: One of :func:`preset_names`, or the path of a TOML file.
        overrides: Settings ``"section.key=value"`` that replace the preset's.

    Returns:
        The configuration, checked.

    Raises:
        InputError: If there is no such preset, or something in it does not fit.

    Examples:
        >>> load_preset("smnist", ["model.hidden_size=64"]).model.hidden_size
        64
    """
    names = preset_names()
    if name in names:
        text = (_folder() / f"{name}.toml").read_text("utf-8")
        return RunConfig.from_toml(text, overrides, where=f"preset {name}")
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        return RunConfig.from_toml(path, overrides)
    raise InputError(
        f"preset: expected one of {', '.join(names)}, or a TOML file, got {name!r}. "
        f"{nearest(name, names)}".rstrip()
    )


def build_data(
    config: RunConfig,
    data_dir: Path | None = None,
    report: Callable[[str], None] | None = None,
) -> Split:
    """Get the samples of a run.

    Args:
        config: The configuration.
        data_dir: A data folder to ask first.
        report: Takes a line for every source that failed.

    Returns:
        Training, validation and test samples.
    """
    data = config.data
    return load_split(
        data.name,
        steps=data.steps,
        permutation=data.permutation,
        validation_size=data.validation_size,
        split_seed=data.split_seed,
        data_dir=data_dir,
        report=report,
    )


def build_model(config: RunConfig, input_size: int, num_classes: int) -> SequenceClassifier:
    """Build the model of a run; its initial weights depend on ``config.seed.init`` alone.

    The caller's random state stays as it is.

    Args:
        config: The configuration.
        input_size: P, features of a time step.
        num_classes: C.

    Returns:
        A classifier from (B, T, P) to (B, C).

    Raises:
        InputError: If the settings of the model do not fit together.

    Examples:
        >>> model = build_model(load_preset("smnist"), input_size=1, num_classes=10)
        >>> sum(parameter.numel() for parameter in model.parameters())
        34314
    """
    options = to_table(config.model)
    dropout = options.pop("dropout")
    between = dropout if config.model.num_layers > 1 else 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed.init)
        try:
            rnn = LipschitzRNN(input_size, **options, dropout=between, batch_first=True)
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"model settings of {config.name!r}: {reason}") from None
        return SequenceClassifier(rnn, num_classes, dropout=dropout)


def _folder() -> Traversable:
    return resources.files("lipschitz_rnn.experiments") / "presets"
