"""How far inputs move a certified model: its states, its outputs, its logits."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_positive_int
from lipschitz_rnn.analysis.as_written import require_as_written
from lipschitz_rnn.analysis.certificates import StabilityCertificate
from lipschitz_rnn.analysis.norms import product, together, up
from lipschitz_rnn.analysis.responses import UnitResponse, unit_responses
from lipschitz_rnn.analysis.rounding import nonlinearity_bounds
from lipschitz_rnn.linalg.balls import BallMatrix
from lipschitz_rnn.nn import SequenceRegressor


@dataclass(frozen=True, eq=False)
class StateBound:
    """How large states can become from zero, in the Euclidean norm and exact arithmetic.

    Attributes:
        horizon: Inputs read; None for any number.
        input_bound: On the norm of each; infinity where none is needed.
        units: The norm of every unit's state never exceeds these, in the certificate's order.
        state: Nor the last layer's, both directions side by side, this one.
    """

    horizon: int | None
    input_bound: float
    units: tuple[float, ...]
    state: float


def state_bound(
    certificate: StabilityCertificate,
    model: nn.Module,
    *,
    input_bound: float | None = None,
    horizon: int | None = None,
) -> StateBound:
    r"""How large the states of a certified model can become, whatever it reads, from :math:`h_0=0`.

    .. math:: \|h_t\|_P \le \rho\,\|h_{t-1}\|_P + \sup_x \|F(0, x)\|_P

    Args:
        certificate: Of the model, which holds.
        model: A layer, or a model with one as ``rnn``.
        input_bound: Bound on :math:`\|x_t\|_2` of what the recurrent layer reads at each time. Not
            needed for tanh, sigmoid and sine, which are bounded themselves.
        horizon: T, or None for a bound that holds forever.

    Returns:
        The bounds.

    Raises:
        ValueError: If the certificate does not hold or is not of this model, or the nonlinearity
            of the first layer is not bounded and ``input_bound`` is None.
    """
    where = "state_bound"
    if horizon is not None:
        require_positive_int(where, "horizon", horizon)
    layers = unit_responses(where, certificate, model)
    reach = math.inf if input_bound is None else float(input_bound)
    sigma = layers[0][0].unit.nonlinearity
    if input_bound is None and math.isinf(nonlinearity_bounds(sigma)[0]):
        raise ValueError(
            f"{where}: expected `input_bound` for {sigma.name!r}, which has no bound of its own, "
            "got None."
        )
    if not reach >= 0:
        raise ValueError(f"{where}: expected `input_bound` of at least 0, got {input_bound}.")
    below, units = reach, []
    for layer in layers:
        found = [response.state_bound(below, horizon) for response in layer]
        units += found
        below = together(found)
    return StateBound(horizon, reach, tuple(units), below)


@dataclass(frozen=True, eq=False)
class Gains:
    """How far inputs move what a certified model computes, over a horizon, in exact arithmetic.

    Inputs and their differences are measured in l2 over all times and features together.

    Attributes:
        horizon: T.
        state: Euclidean norm of the last state's difference (of the last layer, both directions
            side by side), per norm of the inputs'.
        sequence: The same of the whole output sequence, in l2.
        logits: Of each number of the answer, (C,); None without a head.
        pairs: Of the difference of two of them, (C, C); None without a head.
    """

    horizon: int
    state: float
    sequence: float
    logits: np.ndarray | None
    pairs: np.ndarray | None


def read_head(where: str, model: nn.Module) -> nn.Linear | None:
    """The head of a model whose answers gains are known for; None for a bare layer.

    Args:
        where: Name of the caller.
        model: The model.

    Returns:
        The head.

    Raises:
        ValueError: If something stands between input, recurrent layer and head, or changes what one
            of them computes, with the reason.
    """
    require_as_written(where, model)
    if not isinstance(model, SequenceRegressor):
        if hasattr(model, "rnn"):
            raise ValueError(
                f"{where}: expected a SequenceClassifier, a SequenceRegressor or a bare layer, got "
                f"{type(model).__name__}: what stands before or after the layer has no known gain."
            )
        return None
    reason = None
    if not isinstance(model.encoder, nn.Identity):
        reason = f"an encoder {type(model.encoder).__name__}, whose gain is not known"
    elif model.every_step:
        reason = "every_step=True; pass model.rnn for the gain of the sequence"
    elif model.training and (model.dropout or getattr(model.rnn, "dropout", 0)):
        reason = "dropout in training mode; call model.eval()"
    if reason is not None:
        raise ValueError(
            f"{where}: expected a model that answers once from its input, got {reason}"
        )
    return model.head


@dataclass(frozen=True, eq=False)
class HeadNorms:
    """Dual norms of the rows of a head D in the metrics of the last layer.

    Attributes:
        rows: D in float64, (C, directions · N).
        single: Of each row, (directions, C).
        pairs: Of the difference of two rows, (directions, C, C).
    """

    rows: np.ndarray
    single: np.ndarray
    pairs: np.ndarray


def head_norms(head: nn.Linear, layer: list[UnitResponse]) -> HeadNorms:
    """How far each logit, and each difference of two, follows a state that moves.

    Args:
        head: The head.
        layer: The last layer.

    Returns:
        The norms.
    """
    weight: Tensor = head.weight.detach().to("cpu", torch.float64)
    rows = weight.numpy()
    columns = [BallMatrix.exact(row[:, None]) for row in rows]
    count, width = len(rows), len(layer[0].unit.w)
    single, pairs = np.zeros((len(layer), count)), np.zeros((len(layer), count, count))
    for d, response in enumerate(layer):
        part = slice(d * width, (d + 1) * width)
        for i, own in enumerate(columns):
            single[d, i] = response.metric.dual(_part(own, part))
            for j in range(i):
                pairs[d, i, j] = response.metric.dual(_part(own - columns[j], part))
        pairs[d] += pairs[d].T
    return HeadNorms(rows, single, pairs)


def _part(column: BallMatrix, part: slice) -> BallMatrix:
    return BallMatrix(column.center[part], column.radius[part])


def weighted(norms: np.ndarray, bounds: list[float]) -> np.ndarray:
    """Bounds on what moves with the states of all directions.

    Args:
        norms: Dual norms, (directions, ...).
        bounds: On the P-norm of each direction's difference.

    Returns:
        Their sum over directions, rounded up.
    """
    total = np.zeros(norms.shape[1:])
    for own, bound in zip(norms, bounds, strict=True):
        total += np.vectorize(product, otypes=[float])(own, bound)
    return np.asarray(np.vectorize(up, otypes=[float])(total))


def input_gains(certificate: StabilityCertificate, model: nn.Module, horizon: int) -> Gains:
    """Bounds on how far a change of the input moves the states and the answer of a certified model.

    Layers are taken one by one and their gains multiplied; see Note [Gain of a certified unit].

    Args:
        certificate: Of the model, which holds.
        model: A bare layer, or a :class:`SequenceClassifier` or :class:`SequenceRegressor` of one,
            with no encoder, that answers after the last step.
        horizon: T, the length of the sequences, or more.

    Returns:
        The gains.

    Raises:
        ValueError: If the certificate does not hold or is not of this model, or the model has a
            part whose gain is not known.

    Examples:
        >>> import torch
        >>> from lipschitz_rnn import LipschitzRNN
        >>> from lipschitz_rnn.analysis import certify
        >>> rnn = LipschitzRNN(1, 4, gamma_a=1.0, step_size=0.1)
        >>> gains = input_gains(certify(rnn), rnn, 100)
        >>> difference = rnn(torch.ones(100, 1))[1] - rnn(torch.zeros(100, 1))[1]
        >>> bool(difference.norm() <= gains.state * 10)  # ones(100) has norm 10
        True
    """
    where = "input_gains"
    require_positive_int(where, "horizon", horizon)
    head = read_head(where, model)
    layers = unit_responses(where, certificate, model)
    norms = None if head is None else head_norms(head, layers[-1])
    return gains_of(layers, norms, horizon)


def state_gains(layers: list[list[UnitResponse]], horizon: int) -> tuple[float, ...]:
    """How far each unit's state, at any time, moves with the input.

    Args:
        layers: Units by layer and direction.
        horizon: T.

    Returns:
        Bounds in the Euclidean norm, in the certificate's order, per l2 norm of the inputs' change.
    """
    below, units = 1.0, []
    for layer in layers:
        units += [r.metric.in_euclid(up(product(below, r.last(horizon)))) for r in layer]
        whole = together([r.metric.in_euclid(r.whole(horizon)) for r in layer])
        below = up(product(below, whole))
    return tuple(units)


def gains_of(layers: list[list[UnitResponse]], norms: HeadNorms | None, horizon: int) -> Gains:
    """The gains of layers whose units' responses are known; see :func:`input_gains`.

    Args:
        layers: Units by layer and direction.
        norms: Of the head, or None.
        horizon: T.

    Returns:
        The gains.
    """
    below = 1.0
    for layer in layers[:-1]:
        below = up(product(below, together([r.metric.in_euclid(r.whole(horizon)) for r in layer])))
    layer = layers[-1]
    last = [up(product(below, r.last(horizon))) for r in layer]
    whole = [up(product(below, r.whole(horizon))) for r in layer]
    state, sequence = (
        together([r.metric.in_euclid(gain) for r, gain in zip(layer, gains, strict=True)])
        for gains in (last, whole)
    )
    if norms is None:
        return Gains(horizon, state, sequence, None, None)
    logits, pairs = weighted(norms.single, last), weighted(norms.pairs, last)
    np.fill_diagonal(pairs, 0.0)
    return Gains(horizon, state, sequence, logits, pairs)
