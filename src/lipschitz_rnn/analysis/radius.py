"""How far an input may move before the answer of a certified model can change.

Note [Certified radius]
    Let G be the gain from inputs to a difference of two logits, m that difference as it was
    computed, for an input x, and d a bound on how far any computed difference is from the exact
    one. Under every stored input within r of x, in l2 over all times and features, the computed
    difference is at least m - d - G r - d, which is above 0 for r < (m - 2d) / G.

    d is that of a disturbed trajectory: with η of rounding_bound and the error e of the inputs
    (those of the layers below; 0 for the first),

        ‖h̃_t - h_t‖_P ≤ Σ_{i<T} ρ^i (‖P‖₂^{1/2} η + κ e) =: E,

    times the dual norm of the row of the head, plus the head's own rounding. η needs bounds on
    what is computed, which is not bounded before it is known to stay near what is exact. So a
    bound H̃ on the computed states is tried: if H + E(η(H̃)) ≤ H̃, with H that of exact states, then
    H̃ holds by induction over time. Inputs are bounded by the largest of the sample's own steps plus
    m / G, which no certified radius exceeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_positive_int, require_shape
from lipschitz_rnn.analysis.certificates import StabilityCertificate
from lipschitz_rnn.analysis.gains import HeadNorms, gains_of, head_norms, read_head, weighted
from lipschitz_rnn.analysis.norms import geometric_sum, together, up
from lipschitz_rnn.analysis.responses import UnitResponse, unit_responses
from lipschitz_rnn.analysis.rounding import DTYPES, gamma, rounding_bound
from lipschitz_rnn.linalg.balls import UNIT
from lipschitz_rnn.ops.call import autocast_is_on

LARGEST = 1e6
"""Radii are not followed beyond this: rounding is bounded for bounded inputs only."""


@dataclass(frozen=True, eq=False)
class CertifiedRadii:
    """How far each sample may be moved, in l2 over its whole sequence, without another answer.

    Attributes:
        radii: No stored input closer than this is computed to be of another class, (B,), float64;
            0 where nothing is certified.
        predicted: The classes, (B,).
        target: The true ones, (B,), or None.
        disturbance: What rounding may take from a margin, twice d, (B,): the largest over classes.
        pairs: Gains from the input to differences of logits, (C, C).
    """

    radii: Tensor
    predicted: Tensor
    target: Tensor | None
    disturbance: Tensor
    pairs: np.ndarray


@dataclass(frozen=True, eq=False)
class _Disturbance:
    """Bounds d on the errors of computed differences of logits."""

    layers: list[list[UnitResponse]]
    norms: HeadNorms
    bias: np.ndarray  # absolute values, (C,)
    horizon: int
    dtype: torch.dtype
    known: dict[int, np.ndarray] = field(default_factory=dict)

    def of_pairs(self, input_bound: float) -> np.ndarray:
        """(C, C), under inputs of at most this norm at each time."""
        if not input_bound < LARGEST**2:  # not a number, perhaps
            return np.full_like(self.norms.pairs[0], math.inf)
        # on a grid of powers, so that samples share it; the factor is far above log2's error
        exponent = math.ceil(8 * math.log2(max(input_bound, 2.0**-20)))
        if exponent not in self.known:
            self.known[exponent] = self._of_pairs(2.0 ** (exponent / 8) * (1 + 1e-9))
        return self.known[exponent]

    def _of_pairs(self, x: float) -> np.ndarray:
        off = 0.0
        for layer in self.layers:
            exact = [response.state_bound(x, self.horizon) for response in layer]
            errors = [
                self._settle(response, bound, up(x + off), off)
                for response, bound in zip(layer, exact, strict=True)
            ]
            euclid = [r.metric.in_euclid(error) for r, error in zip(layer, errors, strict=True)]
            x, off = together(exact), together(euclid)
        own = self._of_head(up(x + off))
        total = weighted(self.norms.pairs, errors) + own[:, None] + own
        return np.asarray(total * (1 + 8 * UNIT))

    def _settle(self, response: UnitResponse, exact: float, x: float, off: float) -> float:
        """E in the P-norm, for bounds on exact states, on computed inputs and on their error."""
        metric, limit = response.metric, exact * (1 + 1e-4) + 1e-30
        total = geometric_sum(response.contraction, self.horizon)
        for _ in range(64):
            lost = rounding_bound(response.unit, limit, x, self.dtype, norms=response.norms)
            found = up(total * (metric.ceiling * lost + response.kick * off))
            if up(exact + metric.in_euclid(found)) <= limit < math.inf:
                return found
            limit *= 2
        return math.inf

    def _of_head(self, state: float) -> np.ndarray:
        """The rounding of D h + d itself, and underflow, (C,)."""
        rows = self.norms.rows
        count = rows.shape[1]
        sizes = np.sqrt(np.sum(rows**2, 1)) * (1 + 4 * (count + 4) * UNIT)
        lost = torch.finfo(self.dtype).tiny * (2 * count + 8) * (1 + sizes + state)
        error = gamma(count + 3, self.dtype) * (sizes * state + self.bias) + lost
        return np.asarray(error * (1 + 64 * UNIT))


def certified_radii(
    certificate: StabilityCertificate,
    model: nn.Module,
    input: Tensor,
    target: Tensor | None = None,
    *,
    batch_size: int = 256,
) -> CertifiedRadii:
    r"""How far each sample may be moved before the predicted class can change.

    .. math:: r = \min_{j \ne y} \frac{\text{logit}_y - \text{logit}_j - 2 d_{yj}}{G_{yj}}

    with G the gains of :func:`lipschitz_rnn.analysis.gains.input_gains` and d what rounding may do,
    so that the statement is about the classes the model computes; see Note [Certified radius]. That
    is on the CPU, by kernel or reference, or on a GPU without TF32; without autocast.

    Args:
        certificate: Of the model, which holds.
        model: A classifier that :func:`input_gains` accepts, in float32 or float64. It starts from
            zero, and every input is held for one step.
        input: The samples, (B, T, P), or (T, B, P) unless the model is ``batch_first``.
        target: Their classes, (B,).
        batch_size: How many go through the model at a time.

    Returns:
        The radii, at most 1e6.

    Raises:
        ValueError: If the certificate does not hold or is not of this model, the model is of
            another form or computes in lower precision, autocast is on, or shapes do not fit.
    """
    where = "certified_radii"
    head = _classifier_head(where, model, input)
    axis = 0 if model.rnn.batch_first else 1  # type: ignore[union-attr]
    horizon, batch = input.shape[1 - axis], input.shape[axis]
    if target is not None:
        require_shape(where, "target", target, (batch,), "(B,)")
    require_positive_int(where, "batch_size", batch_size)
    layers = unit_responses(where, certificate, model)
    norms = head_norms(head, layers[-1])
    pairs = gains_of(layers, norms, horizon).pairs
    assert pairs is not None
    bias = np.zeros(len(pairs))
    if head.bias is not None:
        bias = abs(head.bias.detach().to("cpu", torch.float64).numpy())
    disturbance = _Disturbance(layers, norms, bias, horizon, head.weight.dtype)
    answers, lengths = [], []
    with torch.no_grad():
        for part in torch.split(input, batch_size, axis):
            answers.append(model(part).to("cpu", torch.float64))
            lengths.append(part.double().norm(dim=-1).amax(1 - axis).cpu())
    found = _measure(torch.cat(answers).numpy(), torch.cat(lengths).numpy(), pairs, disturbance)
    radii, predicted, taken = (torch.from_numpy(array) for array in found)
    target = None if target is None else target.detach().cpu()
    return CertifiedRadii(radii, predicted, target, taken, pairs)


def _classifier_head(where: str, model: nn.Module, input: Tensor) -> nn.Linear:
    head = read_head(where, model)
    if head is None:
        name = type(model).__name__.removeprefix("Parametrized")
        raise ValueError(f"{where}: expected a SequenceClassifier, got {name}.")
    require_shape(where, "input", input, (None, None, None), "(B, T, P) or (T, B, P)")
    if head.weight.dtype not in DTYPES or torch.get_float32_matmul_precision() != "highest":
        raise ValueError(
            f"{where}: expected a model in float32 or float64 and products at the precision "
            f"'highest', got {head.weight.dtype} and '{torch.get_float32_matmul_precision()}'."
        )
    if autocast_is_on(head.weight.device):
        raise ValueError(
            f"{where}: expected no autocast, got one for {head.weight.device.type}. It computes in "
            "lower precision; call this outside of it."
        )
    return head


def _measure(
    logits: np.ndarray, lengths: np.ndarray, gains: np.ndarray, disturbance: _Disturbance
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radii, classes and what rounding takes, (B,) each."""
    predicted = logits.argmax(1)
    radii, taken = np.zeros(len(logits)), np.zeros(len(logits))
    for i, (row, y) in enumerate(zip(logits, predicted, strict=True)):
        others = np.arange(len(row)) != y
        margins, gain = (row[y] - row[others]) * (1 - 4 * UNIT), gains[y, others]
        reach = _smallest_ratio(margins, gain)
        lost = 2 * disturbance.of_pairs(up(float(lengths[i]) * (1 + 1e-12) + reach))[y, others]
        taken[i] = lost.max(initial=0.0)
        radii[i] = max(_smallest_ratio(margins - lost * (1 + 1e-12), gain) * (1 - 1e-12), 0.0)
    return radii, predicted, taken


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
