"""A model's weights in the checkpoints of a run, compared with the model before they are loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.training.checkpoint import load_checkpoint
from lipschitz_rnn.training.config import RunConfig
from lipschitz_rnn.training.schema import from_table
from lipschitz_rnn.training.upgrade import upgrade_data


def load_weights(
    path: Path, kind: str, config: RunConfig
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the model's weights from a checkpoint of a run.

    Args:
        path: The file.
        kind: ``"last"`` or ``"best"``.
        config: Of the run.

    Returns:
        What :func:`load_model_tensors` takes; and digest, sizes and kind of the data the model was
        trained on.

    Raises:
        InputError: If the file is damaged, or of another configuration or kind.
    """
    tensors, meta = load_checkpoint(path)
    require_own(path, meta, kind, config)
    return tensors, upgrade_data(meta["data"])


def load_model_tensors(
    path: Path, model: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "model/"
) -> None:
    """Load the tensors named ``model/...`` after comparing all names, shapes and dtypes.

    Args:
        path: What error messages call the source.
        model: The model; unchanged if this fails.
        tensors: Tensors by name, others among them.
        prefix: What names begin with.

    Raises:
        InputError: If they are not this model's.
    """
    require_model_tensors(path, model, tensors, prefix)
    model.load_state_dict(under(prefix, tensors))


def require_model_tensors(
    path: Path, model: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "model/"
) -> None:
    """Raise ``InputError`` unless the tensors named ``model/...`` are those of the model."""
    given = under(prefix, tensors)
    wanted = model.state_dict()
    if set(given) != set(wanted):
        name = min(set(given) ^ set(wanted))
        which = "has none" if name in wanted else "has one too many"
        raise InputError(f"{path}: expected the weights of this model, but of {name!r} it {which}.")
    for name, value in wanted.items():
        if (given[name].shape, given[name].dtype) != (value.shape, value.dtype):
            raise InputError(
                f"{path}: expected {name!r} of shape {tuple(value.shape)} in {value.dtype}, "
                f"got {tuple(given[name].shape)} in {given[name].dtype}."
            )


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, by the rest of their names."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def require_own(path: Path, meta: dict[str, Any], kind: str, config: RunConfig) -> None:
    """Raise ``InputError`` unless a checkpoint is of this kind and this configuration."""
    if meta.get("kind") != kind:
        raise InputError(f"{path}: expected a {kind!r} checkpoint, got {meta.get('kind')!r}.")
    # Read back, not compared as it stands: a setting that a later release adds is then at its
    # default in both, and the runs of before stay readable.
    if from_table(RunConfig, meta.get("config"), str(path)) != config:
        raise InputError(
            f"{path}: expected a checkpoint of the configuration in config.toml, got another's."
        )
