"""Presets by name, and from a configuration to its data and its model."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import nn

from lipschitz_rnn._base.checks import nearest
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.packaged import PRESETS, toml_names, toml_text
from lipschitz_rnn.data import Split, load_split
from lipschitz_rnn.nn import UNITS, LanguageModel, SequenceClassifier, SequenceRegressor, make_layer
from lipschitz_rnn.training import RunConfig


def preset_names() -> tuple[str, ...]:
    """Names of the presets that come with the package.

    Returns:
        In alphabetical order.
    """
    return toml_names(PRESETS)


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
        text = toml_text(PRESETS, name)
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
    return load_split(config.data.name, **config.data.options, data_dir=data_dir, report=report)


def build_model(
    config: RunConfig,
    input_size: int,
    output_size: int,
    kind: str = "classes",
    *,
    timed: bool = False,
) -> nn.Module:
    """Build the model of a run; its initial weights depend on ``config.seed.init`` alone.

    The caller's random state stays as it is.

    Args:
        config: The configuration.
        input_size: P, features of a time step; for a text its number of symbols.
        output_size: Q, numbers of an answer.
        kind: What is asked, one of :data:`lipschitz_rnn.data.KINDS`.
        timed: Whether the samples come with times, so that the unit must take ``dt``.

    Returns:
        A module from (B, T, P) to (B, Q) or, where every step is answered, (B, T, Q); for a text
        from symbols (B, T) and a state to both.

    Raises:
        InputError: If the settings of the model do not fit together.

    Examples:
        >>> model = build_model(load_preset("smnist"), input_size=1, output_size=10)
        >>> sum(parameter.numel() for parameter in model.parameters())
        34314
    """
    model = config.model
    is_text = kind in {"characters", "words"}
    width = (model.embedding_size or model.hidden_size) if is_text else input_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed.init)
        try:
            rnn = make_layer(
                model.unit,
                width,
                model.hidden_size,
                model.num_layers,
                batch_first=True,
                dropout=model.dropout if model.num_layers > 1 else 0.0,
                bidirectional=model.bidirectional,
                **model.options,
            )
            require_dt(model.unit, timed)
            return _with_head(config, rnn, output_size, kind)
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"model settings of {config.name!r}: {reason}") from None


def require_dt(unit: str, timed: bool) -> None:
    """Raise ``ValueError`` if samples come with times and the unit takes none."""
    able = [name for name in UNITS if UNITS[name].takes_dt]
    if timed and unit not in able:
        raise ValueError(
            f"expected a unit that takes irregular times ({', '.join(able)}), got {unit!r}"
        )


def _with_head(config: RunConfig, rnn: nn.Module, output_size: int, kind: str) -> nn.Module:
    dropout = config.model.dropout
    if kind in {"characters", "words", "spectra"} and config.model.bidirectional:
        raise ValueError("expected bidirectional=False where what follows is to be predicted")
    if kind in {"characters", "words"}:
        return LanguageModel(rnn, output_size, dropout=dropout)
    if config.model.embedding_size is not None:
        raise ValueError("expected no embedding_size for inputs that are numbers")
    every_step = kind in {"frames", "spectra", "symbols"}
    head = SequenceClassifier if kind in {"classes", "symbols"} else SequenceRegressor
    return head(rnn, output_size, every_step=every_step, dropout=dropout)
