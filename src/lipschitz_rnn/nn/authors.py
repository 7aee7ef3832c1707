"""Weights in the names and the convention of the paper's authors."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_floating, require_shape, require_tensor
from lipschitz_rnn.nn.heads import SequenceClassifier
from lipschitz_rnn.nn.rnn import LipschitzRNN

WHERE = "load_authors_tensors"


def load_authors_tensors(
    model: SequenceClassifier, tensors: Mapping[str, Tensor], *, gate: str | None = None
) -> None:
    r"""Load weights that are named, and laid out, as the authors of the Lipschitz RNN do.

    They update row vectors,

    .. math::
        h \leftarrow h + \varepsilon\bigl(\alpha h A(B) + \tanh(h W(C) + x E^\top + e)\bigr), \qquad
        y = h D^\top + d

    with A and W from B and C by the symmetric-skew scheme. Column vectors want the transposed
    matrices, and the transpose of the scheme is the scheme of the transpose: :math:`M_A = B^\top`,
    :math:`M_W = C^\top`; E and D stay as they are. β, γ, α and ε are no tensors: build the model
    with the values that the weights were trained with.

    Args:
        model: A classifier over a ``LipschitzRNN`` of one layer and direction; changed in place,
            and left as it was if anything does not fit.
        tensors: ``"B"``, ``"C"``, ``"E.weight"``, ``"E.bias"``, ``"D.weight"``, ``"D.bias"`` and,
            for a gated model, the weight and bias of ``gate``.
        gate: Name of the linear map of the gate's input, such as ``"E_gate"``, for a model with
            ``gated=True``.

    Raises:
        TypeError: If the model is of another kind, or a value is no floating-point tensor.
        ValueError: If names or shapes do not fit.

    Examples:
        >>> model = SequenceClassifier(LipschitzRNN(1, 4, beta=0.8), num_classes=2)
        >>> shapes = {"B": (4, 4), "C": (4, 4), "E.weight": (4, 1), "E.bias": (4,)}
        >>> shapes |= {"D.weight": (2, 4), "D.bias": (2,)}
        >>> load_authors_tensors(model, {name: torch.randn(s) for name, s in shapes.items()})

    References:
        Erichson et al. (2021), Lipschitz Recurrent Neural Networks, ICLR.
    """
    targets = _targets(model, gate)
    _check_names(tensors, targets)
    found: dict[str, Tensor] = {}
    for name, (target, transposed) in targets.items():
        tensor = tensors[name]
        require_tensor(WHERE, name, tensor)
        require_floating(WHERE, name, tensor)
        shape = tuple(target.shape)
        require_shape(WHERE, name, tensor, shape, _letters(name))
        found[name] = tensor.mT if transposed else tensor
    with torch.no_grad():
        for name, (target, _) in targets.items():
            target.copy_(found[name])


def _targets(model: SequenceClassifier, gate: str | None) -> dict[str, tuple[Tensor, bool]]:
    """For each name the parameter it goes to, and whether it is transposed on the way."""
    rnn = _check_model(model, gate)
    free: Any = rnn.parametrizations
    targets: dict[str, tuple[Tensor, bool]] = {
        "B": (free.weight_a_l0.original, True),
        "C": (free.weight_hh_l0.original, True),
        "E.weight": (rnn.weight_ih_l0, False),  # type: ignore[dict-item]
        "E.bias": (rnn.bias_l0, False),  # type: ignore[dict-item]
        "D.weight": (model.head.weight, False),
        "D.bias": (model.head.bias, False),
    }
    if gate is not None:
        targets[f"{gate}.weight"] = (rnn.weight_gate_l0, False)  # type: ignore[assignment]
        targets[f"{gate}.bias"] = (rnn.bias_gate_l0, False)  # type: ignore[assignment]
    return targets


def _check_model(model: nn.Module, gate: str | None) -> LipschitzRNN:
    if not isinstance(model, SequenceClassifier) or not isinstance(model.rnn, LipschitzRNN):
        got = type(model).__name__.removeprefix("Parametrized")
        if isinstance(model, SequenceClassifier):
            got += f" over a {type(model.rnn).__name__}"
        raise TypeError(f"{WHERE}: expected a SequenceClassifier over a LipschitzRNN, got {got}.")
    rnn = model.rnn
    wanted = {
        "num_layers=1": rnn.num_layers == 1,
        "bidirectional=False": not rnn.bidirectional,
        "a linear term (alpha other than 0)": rnn.options.has_linear,
        "biases in unit and head": rnn.bias and model.head.bias is not None,
        "no encoder": isinstance(model.encoder, nn.Identity),
        "its parametrisations": {"weight_a_l0", "weight_hh_l0"}
        <= set(getattr(rnn, "parametrizations", {})),
    }
    lacking = [name for name, holds in wanted.items() if not holds]
    if lacking:
        raise ValueError(
            f"{WHERE}: expected a model with {', '.join(wanted)}, got one without: "
            f"{', '.join(lacking)}."
        )
    if rnn.options.gated != (gate is not None):
        expected = "the name of the gate's linear map as `gate`" if gate is None else "no `gate`"
        raise ValueError(
            f"{WHERE}: expected {expected} for a model with gated={rnn.options.gated}, got "
            f"gate={gate!r}."
        )
    return rnn


def _check_names(tensors: Mapping[str, Tensor], targets: Mapping[str, object]) -> None:
    missing = [name for name in targets if name not in tensors]
    unknown = [str(name) for name in tensors if name not in targets]
    if missing or unknown:
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        parts += [f"unknown: {', '.join(unknown)}"] if unknown else []
        raise ValueError(
            f"{WHERE}: expected tensors named {', '.join(targets)}, got others; {'; '.join(parts)}."
        )


def _letters(name: str) -> str:
    known = {"B": "(H, H)", "C": "(H, H)", "D.weight": "(classes, H)", "D.bias": "(classes,)"}
    return known.get(name, "(H, P)" if name.endswith("weight") else "(H,)")
