"""How far an input may move before the answer of a certified model can change.

Note [Certified radius]
    Let G be the gain from inputs to a difference of two logits, m that difference as it was
    computed, for an input x, and d a bound on how far any computed difference is from the exact
    one. Under every stored input within r of x, in l2 over all times and features, the computed
    difference is at least m - d - G r - d, which is above 0 for r < (m - 2d) / G.

    d is that of Note [Disturbance]. No certified radius exceeds m / G, so inputs are bounded by the
    largest of the sample's own steps plus m / G, and states by those of the sample plus the gain to
    the state times m / G.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_positive_int, require_shape
from lipschitz_rnn.analysis.ball import NO_CLASS
from lipschitz_rnn.analysis.certificates import StabilityCertificate
from lipschitz_rnn.analysis.disturbance import LARGEST, Disturbance
from lipschitz_rnn.analysis.gains import HeadNorms, gains_of, head_norms, read_head, state_gains
from lipschitz_rnn.analysis.norms import up
from lipschitz_rnn.analysis.responses import UnitResponse, unit_responses
from lipschitz_rnn.analysis.rounding import DTYPES
from lipschitz_rnn.linalg.balls import UNIT
from lipschitz_rnn.nn.layout import read_lengths
from lipschitz_rnn.ops.call import autocast_is_on


@dataclass(frozen=True, eq=False)
class CertifiedRadii:
    """How far each sample may be moved, in l2 over its whole sequence, without another answer.

    Attributes:
        radii: No stored input closer than this is computed to be of another class, (B,), float64;
            0 where nothing is certified.
        predicted: The classes, (B,); -1, which is never right, where a logit is NaN.
        target: The true ones, (B,), or None.
        disturbance: What rounding may take from a margin, twice d, (B,): the largest over classes.
        pairs: Gains from the input to differences of logits, (C, C).
    """

    radii: Tensor
    predicted: Tensor
    target: Tensor | None
    disturbance: Tensor
    pairs: np.ndarray


def certified_radii(
    certificate: StabilityCertificate,
    model: nn.Module,
    input: Tensor,
    target: Tensor | None = None,
    *,
    lengths: Tensor | None = None,
    batch_size: int = 256,
) -> CertifiedRadii:
    r"""How far each sample may be moved before the predicted class can change.

    .. math:: r = \min_{j \ne y} \frac{\text{logit}_y - \text{logit}_j - 2 d_{yj}}{G_{yj}}

    with G the gains of :func:`lipschitz_rnn.analysis.gains.input_gains` over the sample's length
    and d what rounding may do, so that the statement is about the classes the model computes; see
    Note [Certified radius]. That is on the CPU, by kernel or reference, or on a GPU without TF32;
    without autocast. In float32 rounding may take a good part of the margins: bounds on it grow
    with the length and the width. ``model.double()`` has next to none.

    Args:
        certificate: Of the model, which holds.
        model: A classifier that :func:`input_gains` accepts, in float32 or float64. It starts from
            zero, and every input is held for one step.
        input: The samples, (B, T, P), or (T, B, P) unless the model is ``batch_first``.
        target: Their classes, (B,).
        lengths: Valid steps of each sample of a padded batch, (B,), integers from 1 to T; all are
            whole if None. What stands after them plays no part.
        batch_size: How many go through the model at a time; each batch is of one length.

    Returns:
        The radii, at most 1e6.

    Raises:
        TypeError: If ``lengths`` are not integers.
        ValueError: If the certificate does not hold or is not of this model, the model is of
            another form or computes in lower precision, autocast is on, or shapes do not fit.
    """
    where = "certified_radii"
    head = _classifier_head(where, model, input)
    axis = 0 if model.rnn.batch_first else 1  # type: ignore[union-attr]
    steps, batch = input.shape[1 - axis], input.shape[axis]
    if target is not None:
        require_shape(where, "target", target, (batch,), "(B,)")
    if lengths is not None:
        lengths = read_lengths(where, lengths, batch, steps)
    require_positive_int(where, "batch_size", batch_size)
    layers = unit_responses(where, certificate, model)
    work = _Work(model, head, layers, head_norms(head, layers[-1]), axis, batch_size)
    radii, disturbance = torch.zeros(2, batch, dtype=torch.float64)
    predicted = torch.zeros(batch, dtype=torch.int64)
    horizons = [steps] if lengths is None else sorted(set(lengths.tolist()))
    for horizon in horizons:
        chosen = torch.arange(batch) if lengths is None else (lengths == horizon).nonzero()[:, 0]
        if not len(chosen):
            continue
        part = input.index_select(axis, chosen.to(input.device)).narrow(1 - axis, 0, horizon)
        radii[chosen], predicted[chosen], disturbance[chosen] = work.measure(part)
    pairs = gains_of(layers, work.norms, steps).pairs
    assert pairs is not None
    target = None if target is None else target.detach().cpu()
    return CertifiedRadii(radii, predicted, target, disturbance, pairs)


def _classifier_head(where: str, model: nn.Module, input: Tensor) -> nn.Linear:
    head = read_head(where, model)
    if head is None:
        name = type(model).__name__.removeprefix("Parametrized")
        raise ValueError(f"{where}: expected a SequenceClassifier, got {name}.")
    require_shape(where, "input", input, (None, None, None), "(B, T, P) or (T, B, P)")
    precision = _matmul_precision(where)
    if head.weight.dtype not in DTYPES or precision != "highest":
        raise ValueError(
            f"{where}: expected a model in float32 or float64 and products at the precision "
            f"'highest', got {head.weight.dtype} and '{precision}'."
        )
    if autocast_is_on(head.weight.device):
        raise ValueError(
            f"{where}: expected no autocast, got one for {head.weight.device.type}. It computes in "
            "lower precision; call this outside of it."
        )
    return head


def _matmul_precision(where: str) -> str:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # torch's newer switches, set to something its older one has no word for
        raise ValueError(
            f"{where}: expected float32 products at full precision, got an `fp32_precision` in "
            "torch.backends that lowers it. Set `fp32_precision` of torch.backends, and of its "
            "cuda.matmul and mkldnn.matmul, to 'ieee'."
        ) from None


@dataclass(frozen=True, eq=False)
class _Work:
    """What samples of all lengths are measured with."""

    model: nn.Module
    head: nn.Linear
    layers: list[list[UnitResponse]]
    norms: HeadNorms
    axis: int  # of samples
    batch_size: int

    def measure(self, input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Radii, classes and what rounding takes, (B,) each, of samples of one length."""
        horizon = input.shape[1 - self.axis]
        gains = gains_of(self.layers, self.norms, horizon).pairs
        assert gains is not None
        disturbance = Disturbance.of(self.layers, self.norms, self.head, horizon)
        moved = np.array(state_gains(self.layers, horizon))
        found: list[tuple[float, int, float]] = []
        for part in torch.split(input, self.batch_size, self.axis):
            with torch.no_grad():
                logits = self.model(part).to("cpu", torch.float64).numpy()
            by_time = part.movedim(self.axis, 1)
            steps = by_time.double().norm(dim=-1).amax(0).cpu().numpy()
            own = disturbance.bound_states(by_time)
            for row, step, states in zip(logits, steps, own.T, strict=True):
                found.append(_measure_one(row, float(step), states, moved, gains, disturbance))
        radii, predicted, taken = zip(*found, strict=True)
        numbers = torch.tensor([radii, taken], dtype=torch.float64)
        return numbers[0], torch.tensor(predicted), numbers[1]


def _measure_one(
    logits: np.ndarray,
    step: float,
    states: np.ndarray,
    moved: np.ndarray,
    gains: np.ndarray,
    disturbance: Disturbance,
) -> tuple[float, int, float]:
    """Radius, class and what rounding takes of one sample, whose states are within ``states``."""
    y = int(logits.argmax())
    others = np.arange(len(logits)) != y
    margins, gain = (logits[y] - logits[others]) * (1 - 4 * UNIT), gains[y, others]
    reach = _smallest_ratio(margins, gain)
    near = (states + moved * reach) * (1 + 8 * UNIT)
    lost = 2 * disturbance.of_pairs(up(step * (1 + 1e-12) + reach), tuple(near))[y, others]
    radius = max(_smallest_ratio(margins - lost * (1 + 1e-12), gain) * (1 - 1e-12), 0.0)
    return radius, NO_CLASS if np.isnan(logits).any() else y, float(lost.max(initial=0.0))


def _smallest_ratio(margins: np.ndarray, gains: np.ndarray) -> float:
    """Of margins to gains, at most LARGEST; 0 where a margin is not above 0, or not a number."""
    if not (margins > 0).all():
        return 0.0
    return float(np.min(margins / np.maximum(gains, 2.0**-1000), initial=LARGEST))


def certified_accuracy(radii: CertifiedRadii, grid: Sequence[float] | Tensor) -> Tensor:
    """Share of samples that are right, and proved to stay so up to a radius.

    Args:
        radii: Of samples with their targets.
        grid: Radii, at least 0; at 0 it is the accuracy as usual.

    Returns:
        One number for each radius, float64. It never rises with the radius.

    Raises:
        ValueError: If there are no targets, or a radius is negative.
    """
    where = "certified_accuracy"
    if radii.target is None:
        raise ValueError(f"{where}: expected radii with a `target`, got None. Pass it before.")
    at = torch.as_tensor(grid, dtype=torch.float64).reshape(-1, 1)
    if not bool((at >= 0).all()):
        raise ValueError(f"{where}: expected radii of at least 0, got {at.min().item()}.")
    right = radii.predicted == radii.target
    return (right & (radii.radii >= at)).double().mean(1)
