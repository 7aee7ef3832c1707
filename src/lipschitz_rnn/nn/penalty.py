"""A penalty on expansion, for those who only want to lean towards contraction."""

import torch
from torch import Tensor, nn

from lipschitz_rnn.nn.cells import LipschitzRNNCell
from lipschitz_rnn.nn.contraction import Target, make_multipliers, step_growth
from lipschitz_rnn.nn.rnn import LipschitzRNN
from lipschitz_rnn.nn.unit import unit_weights


def contraction_penalty(model: nn.Module, rate: float = 0.0) -> Tensor:
    r"""By how much the units of a model fail to contract, to be added to a loss.

    .. math:: \sum_{units} \max\bigl(0,\; g(A, W) - g_\mu\bigr)

    with g the growth per unit of time that the metric I and one multiplier for all entries prove of
    the step that is run, and :math:`g_\mu = (e^{-2\varepsilon\mu} - 1)/\varepsilon` that of
    contraction at rate μ. At 0 every unit is certified by the strength ``"norm"``; nothing keeps it
    there, which is what ``constraint="contractive"`` is for.

    Args:
        model: Holds any number of :class:`LipschitzRNN` and :class:`LipschitzRNNCell`, ungated.
        rate: μ, at least 0.

    Returns:
        A scalar, float64, differentiable; 0 for a model without such units.

    Examples:
        >>> float(contraction_penalty(LipschitzRNN(1, 8, gamma_a=2.0)))
        0.0
    """
    total = torch.zeros((), dtype=torch.float64)
    for module in model.modules():
        if not isinstance(module, (LipschitzRNN, LipschitzRNNCell)) or module.options.gated:
            continue
        options = module.options
        ask = Target(
            rate, options.target.step_size, options.target.tableau, options.target.nonlinearity
        )
        suffixes = module._suffixes if isinstance(module, LipschitzRNN) else [""]
        for suffix in suffixes:
            a, w = unit_weights(module, suffix, options)[:2]
            total = total.to(w.device) + _excess(a, w, ask)
    return total


def _excess(a: Tensor | None, w: Tensor, target: Target) -> Tensor:
    wide = w.double()
    linear = torch.zeros_like(wide) if a is None else a.double()
    flat = torch.zeros(len(target.tableau.b), w.shape[0], dtype=wide.dtype, device=w.device)
    growth = step_growth(linear, wide, make_multipliers(flat, w, target.step_size), target)
    if not torch.isfinite(growth):  # no multiplier of this kind: condition (a) is always a number
        top = torch.linalg.eigvalsh((linear + linear.mT) / 2)[-1]
        growth = 2 * (top + target.sector[1] * torch.linalg.matrix_norm(wide, 2))
    return torch.relu(growth - target.growth)
