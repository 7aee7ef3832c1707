"""A penalty on expansion, for those who only want to lean towards contraction."""

import torch
from torch import Tensor, nn

from lipschitz_rnn.nn.cells import LipschitzRNNCell
from lipschitz_rnn.nn.contraction import make_multipliers
from lipschitz_rnn.nn.contraction_search import Target, step_growth
from lipschitz_rnn.nn.rnn import LipschitzRNN
from lipschitz_rnn.nn.unit import unit_weights
from lipschitz_rnn.nn.units.scanned import ScanCell


def contraction_penalty(model: nn.Module, rate: float = 0.0) -> Tensor:
    r"""By how much the units of a model fail to contract, to be added to a loss.

    .. math:: \sum_{units} \max\bigl(0,\; g(A, W) - g_\mu\bigr)

    with g the growth per unit of time that the metric I and one multiplier for all entries prove of
    the step that is run, and :math:`g_\mu = (e^{-2\varepsilon\mu} - 1)/\varepsilon` that of
    contraction at rate μ. At 0 every unit is certified by the strength ``"norm"``; nothing keeps it
    there, which is what ``constraint="contractive"`` is for.

    A learned ε enters with its present value, as a number: the penalty moves A and W alone, and
    does not make a step shorter to escape.

    Args:
        model: Holds any number of :class:`LipschitzRNN` and :class:`LipschitzRNNCell`, ungated, at
            least one, and no other unit of the Lipschitz kind.
        rate: μ, at least 0.

    Returns:
        A scalar, float64, differentiable; NaN for matrices that are not finite.

    Raises:
        TypeError: If there is no such unit, or another kind beside it, of which nothing is known.
        ValueError: If a unit is gated.

    Examples:
        >>> contraction_penalty(LipschitzRNN(1, 8, gamma_a=2.0)).item()
        0.0
    """
    total = torch.zeros((), dtype=torch.float64)
    for unit in _find(model):
        suffixes = unit._suffixes if isinstance(unit, LipschitzRNN) else [""]
        for suffix in suffixes:
            a, w = unit_weights(unit, suffix, unit.options)[:2]
            total = total.to(w.device) + _excess(a, w, _target(unit, suffix, rate))
    return total


def _find(model: nn.Module) -> list[LipschitzRNN | LipschitzRNNCell]:
    """The units to speak of; raises where leaving one out would look as if it cost nothing."""
    where = "contraction_penalty"
    units = []
    for module in model.modules():
        if isinstance(module, (LipschitzRNN, LipschitzRNNCell)):
            units.append(module)
        options = getattr(module, "_unit" if isinstance(module, ScanCell) else "options", None)
        if getattr(options, "gated", False):
            raise ValueError(
                f"{where}: expected ungated units, got a gated one. The gate multiplies A h too, "
                "so its slopes have no bound: leave out the gate or the penalty."
            )
        if isinstance(module, ScanCell):
            name = type(module).__name__.removeprefix("Parametrized")
            raise TypeError(
                f"{where}: expected Lipschitz units, got {name}. The penalty speaks of A and W of "
                "LipschitzRNN and LipschitzRNNCell alone."
            )
    if not units:
        raise TypeError(
            f"{where}: expected a model with a LipschitzRNN or LipschitzRNNCell, got none in "
            f"{type(model).__name__}. Other units have no matrices A and W to speak of."
        )
    return units


def _target(unit: LipschitzRNN | LipschitzRNNCell, suffix: str, rate: float) -> Target:
    options, target = unit.options, unit.options.target
    step_size = target.step_size
    if "step_size" in options.trainable:
        step_size = getattr(unit, f"step_size{suffix}").item() / options.substeps
    return Target(rate, step_size, target.tableau, target.nonlinearity)


def _excess(a: Tensor | None, w: Tensor, target: Target) -> Tensor:
    wide = w.double()
    linear = torch.zeros_like(wide) if a is None else a.double()
    if not (torch.isfinite(linear).all() and torch.isfinite(wide).all()):
        return wide.new_tensor(torch.nan)
    flat = torch.zeros(len(target.tableau.b), w.shape[0], dtype=wide.dtype, device=w.device)
    growth = step_growth(linear, wide, make_multipliers(flat, w, target), target)
    if not torch.isfinite(growth):  # no multiplier of this kind: condition (a) is always a number
        top = torch.linalg.eigvalsh((linear + linear.mT) / 2)[-1]
        growth = 2 * (top + target.sector[1] * torch.linalg.matrix_norm(wide, 2))
    return torch.relu(growth - target.growth)
