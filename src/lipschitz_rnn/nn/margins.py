"""How far inputs move the logits of a model that contracts by construction, to be trained with.

The differentiable twin of :mod:`lipschitz_rnn.analysis.gains`, for a diagonal metric that the model
brings itself: the same bound, in floating point, where that one is proved. See Note [Gain of a
certified unit] in lipschitz_rnn/analysis/responses.py.
"""

import math

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_in_range, require_positive_int, require_shape
from lipschitz_rnn.nn.contraction import make_metric
from lipschitz_rnn.nn.heads import SequenceRegressor
from lipschitz_rnn.nn.rnn import LipschitzRNN
from lipschitz_rnn.nn.unit import unit_weights


def logit_gains(model: nn.Module, horizon: int) -> Tensor:
    r"""Bounds on how far a change of the input moves the difference of two logits.

    .. math:: |(y_i - y_j)(x') - (y_i - y_j)(x)| \le G_{ij} \Bigl(\sum_t \|x'_t - x_t\|_2^2
        \Bigr)^{1/2}, \qquad G_{ij} = \kappa \Bigl(\sum_{t<T} \rho^{2t}\Bigr)^{1/2}
        \|P^{-1/2} (d_i - d_j)\|_2

    for one layer, with :math:`\kappa = \varepsilon L \|P^{1/2} U\|_2` for the Euler step, the rows
    :math:`d_i` of the head, and ρ and P of the constraint; gains of stacked layers are multiplied.

    Args:
        model: A :class:`SequenceClassifier` or :class:`SequenceRegressor`, without an encoder, that
            answers after the last step, of a :class:`LipschitzRNN` with
            ``constraint="contractive"``.
        horizon: T, the length of the sequences, or more.

    Returns:
        G, (C, C), float64, differentiable; 0 on the diagonal.

    Raises:
        ValueError: If the model is of another form.

    References:
        Tsuzuku, Sato, Sugiyama (2018), Lipschitz-Margin Training, NeurIPS.
    """
    where = "logit_gains"
    require_positive_int(where, "horizon", horizon)
    rnn, head = _require_form(where, model)
    below: float | Tensor = 1.0
    for layer in range(rnn.num_layers):
        suffixes = rnn._suffixes[layer * rnn.num_directions : (layer + 1) * rnn.num_directions]
        roots = [_metric_root(rnn, suffix) for suffix in suffixes]
        kicks = [below * _kick(rnn, *pair) for pair in zip(suffixes, roots, strict=True)]
        if layer < rnn.num_layers - 1:
            sums = _geometric_sum(rnn, 1, horizon)
            euclid = [sums * kick / root.min() for kick, root in zip(kicks, roots, strict=True)]
            below = torch.linalg.vector_norm(torch.stack(euclid))
    last = math.sqrt(_geometric_sum(rnn, 2, horizon))
    parts = torch.split(head.weight.double(), rnn.hidden_size, 1)
    gains = torch.zeros(len(head.weight), len(head.weight), dtype=torch.float64)
    for kick, root, part in zip(kicks, roots, parts, strict=True):
        gains = gains.to(part.device) + last * kick * _distances(part / root)
    return gains


def margin_logits(logits: Tensor, target: Tensor, gains: Tensor, radius: float) -> Tensor:
    r"""Logits as bad as an input change of a given size might make them.

    .. math:: y_j + r\,G_{cj} \quad \text{for the true class } c

    A sample whose largest of these is still its own class is certified at radius r. Cross-entropy
    of them trains for that: the loss of the worst case that the gains allow.

    Args:
        logits: (B, C).
        target: True classes, (B,).
        gains: G, (C, C).
        radius: r, at least 0.

    Returns:
        (B, C), in the dtype of the logits.

    Raises:
        ValueError: If a shape does not fit or the radius is negative.
    """
    where = "margin_logits"
    require_shape(where, "logits", logits, (None, None), "(B, C)")
    require_shape(where, "target", target, (logits.shape[0],), "(B,)")
    require_shape(where, "gains", gains, (logits.shape[1],) * 2, "(C, C)")
    require_in_range(where, "radius", radius, 0)
    return logits + radius * gains[target].to(logits.dtype)


def _require_form(where: str, model: nn.Module) -> tuple[LipschitzRNN, nn.Linear]:
    name = type(model).__name__.removeprefix("Parametrized")
    wanted = 'a SequenceClassifier of a LipschitzRNN with constraint="contractive"'
    if not isinstance(model, SequenceRegressor):
        raise ValueError(f"{where}: expected {wanted}, got {name}.")
    rnn = model.rnn
    if not isinstance(rnn, LipschitzRNN):
        raise ValueError(f"{where}: expected {wanted}, got one of {type(rnn).__name__}.")
    if rnn.options.constraint != "contractive":
        raise ValueError(
            f"{where}: expected {wanted}, got constraint={rnn.options.constraint!r}. Only a step "
            "that contracts by construction has a gain at every update."
        )
    if model.every_step or not isinstance(model.encoder, nn.Identity):
        raise ValueError(
            f"{where}: expected a model that answers once from its input, got "
            f"every_step={model.every_step} and an encoder {type(model.encoder).__name__}."
        )
    return rnn, model.head


def _metric_root(rnn: LipschitzRNN, suffix: str) -> Tensor:
    log_metric: Tensor = getattr(rnn, "log_metric" + suffix)
    return make_metric(log_metric)


def _geometric_sum(rnn: LipschitzRNN, power: int, count: int) -> float:
    """1 + ρ^power + ..., so many terms, for the ρ of one input."""
    options = rnn.options
    rate = power * options.rate * options.step_size
    return math.fsum(math.exp(-rate * i) for i in range(count))


def _kick(rnn: LipschitzRNN, suffix: str, root: Tensor) -> Tensor:
    """κ of one input: P-norm of what it adds to the next state, per its Euclidean norm."""
    options = rnn.options
    target = options.target
    step, slope = target.step_size, target.nonlinearity.lipschitz_constant
    u: Tensor = getattr(rnn, "weight_ih" + suffix).double()
    rows, weights = target.tableau.a_lower, [abs(c) for c in target.tableau.b]
    total: Tensor = step * slope * sum(weights) * torch.linalg.matrix_norm(root[:, None] * u, 2)
    if rows:
        a, w = (m.double() for m in unit_weights(rnn, suffix, options)[:2])
        pull = torch.linalg.matrix_norm(a, 2) + slope * torch.linalg.matrix_norm(w, 2)
        direct = slope * torch.linalg.matrix_norm(u, 2)
        moved = [torch.zeros_like(direct)]
        for row in rows:
            reached = (abs(c) * (pull * m + direct) for c, m in zip(row, moved, strict=True))
            moved.append(step * torch.stack(list(reached)).sum())
        rest = sum(b * pull * m for b, m in zip(weights, moved, strict=True))
        total = total + step * root.max() * rest
    substeps = math.fsum(math.exp(-options.rate * step * i) for i in range(options.substeps))
    return total * substeps


def _distances(rows: Tensor) -> Tensor:
    """Of every two rows, (C, C); its gradient is 0, not NaN, where they are equal."""
    square = (rows[:, None] - rows).square().sum(-1)
    apart = square > 0
    return torch.where(apart, torch.where(apart, square, 1.0).sqrt(), 0.0)
