"""How far a change of the input moves the logits: by derivatives, as attained, and as certified."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lipschitz_rnn._base.checks import require_in_range, require_positive_int, require_shape
from lipschitz_rnn.analysis.attacks import pgd
from lipschitz_rnn.analysis.ball import batch_axis
from lipschitz_rnn.analysis.certificates import StabilityCertificate
from lipschitz_rnn.analysis.gains import input_gains
from lipschitz_rnn.analysis.sensitivity import QUANTILES

_STARTS = 8  # samples that are climbed from: those of the largest local gain


@dataclass(frozen=True, eq=False)
class InputSensitivity:
    """Derivatives of each sample's logits by its input; in float64.

    Attributes:
        norms: Frobenius norm of that by the input of each time, in the order of the input, (T, B).
        mean: Over the samples, (T,).
        levels: Which quantiles.
        quantiles: Over the samples, (len(levels), T).
        largest: Largest singular value of that by the whole sequence, (B,): the gain from a small
            change, in l2 over all times and features, to the l2 norm of the change of all logits.
        pairs: That to a difference of two logits, the largest over pairs, (B,); 0 of a single one.
    """

    norms: Tensor
    mean: Tensor
    levels: tuple[float, ...]
    quantiles: Tensor
    largest: Tensor
    pairs: Tensor


def input_sensitivity(
    model: nn.Module, input: Tensor, *, dt: float | Tensor | None = None, batch_size: int = 64
) -> InputSensitivity:
    r"""How much the logits of each sample depend on its input at each time.

    .. math:: J_t = \frac{\partial y}{\partial x_t}, \qquad J = (J_1, \ldots, J_T), \qquad
        \|J_t\|_F, \quad \|J\|_2, \quad \max_{i \ne j} \|J_i - J_j\|_2

    with :math:`J_i` the row of logit i. It takes one backward pass a logit. The model is copied and
    looked at in float64 and eval mode: what parametrisations make is converted exactly, but A and W
    of a ``constraint`` are made anew, and may differ in the last bits of the model's precision.

    Args:
        model: Answers each sequence once, (B, C), independently of the others. Samples lie along
            the first axis of the input, or along the second of a recurrent model without
            ``batch_first``. It is left alone.
        input: The samples, (B, T, P) or (T, B, P), in any dtype.
        dt: For how long each input is held, as the model takes it: a number, (T,) or (T, B), the
            latter in the layout of the input.
        batch_size: Samples at a time; only their J is held, (batch_size, C, T P).

    Returns:
        The norms; NaN for a sample whose derivatives are not finite.

    Raises:
        ValueError: If the model answers otherwise, or a shape or value does not fit.

    Examples:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
        >>> _ = model.requires_grad_(False)[1].weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
        >>> found = input_sensitivity(model, torch.zeros(1, 2, 1))
        >>> found.norms[:, 0].tolist(), found.largest.item(), found.pairs.item()
        ([3.0, 4.0], 4.0, 5.0)

    References:
        Novak et al. (2018), Sensitivity and generalization in neural networks: an empirical study,
        ICLR, sec. 3.
    """
    answers, x = _prepare("input_sensitivity", model, input, dt)
    norms, largest, distances = _measure(answers, x, batch_size)
    quantiles, pairs = norms.quantile(norms.new_tensor(QUANTILES), -1), distances.amax((1, 2))
    return InputSensitivity(norms, norms.mean(-1), QUANTILES, quantiles, largest, pairs)


class _Answers(nn.Module):
    """A model in float64 and eval mode that is told for how long inputs are held."""

    def __init__(self, where: str, model: nn.Module, axis: int, dt: float | Tensor | None) -> None:
        super().__init__()
        self.where, self.model, self.axis, self.dt = where, model, axis, dt
        self.batch_first = axis == 0  # for pgd

    def forward(self, input: Tensor) -> Tensor:
        found = self.model(input) if self.dt is None else self.model(input, dt=self.dt)
        if not isinstance(found, Tensor) or found.shape[:-1] != (input.shape[self.axis],):
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(
                f"{self.where}: expected a model that answers once from each sequence, (B, C), got "
                f"{got}. Pass a SequenceClassifier without every_step."
            )
        return found

    def part(self, input: Tensor, index: Tensor) -> tuple["_Answers", Tensor]:
        """Some of the samples, and what answers them."""
        dt = self.dt
        if isinstance(dt, Tensor) and dt.dim() == 2:
            dt = dt.index_select(self.axis, index)
        return _Answers(self.where, self.model, self.axis, dt), input.index_select(self.axis, index)


def _prepare(
    where: str, model: nn.Module, input: Tensor, dt: float | Tensor | None
) -> tuple[_Answers, Tensor]:
    require_shape(where, "input", input, (None, None, None), "(B, T, P) or (T, B, P)")
    if not input.numel():
        raise ValueError(f"{where}: expected an `input` with samples, got {tuple(input.shape)}.")
    changed = copy.deepcopy(model).requires_grad_(False)
    for module in changed.modules():
        if parametrize.is_parametrized(module):
            for name, made in module.parametrizations.items():  # type: ignore[operator, union-attr]
                # removing them would change the class, which the original shares
                made.forward = getattr(module, name).detach().double
    dt = dt.detach().double() if isinstance(dt, Tensor) else dt
    return _Answers(where, changed.double().eval(), batch_axis(model), dt), input.detach().double()


def _jacobian(answers: _Answers, input: Tensor) -> Tensor:
    """Of logits by inputs, (B, C, T, P)."""
    x = input.detach().requires_grad_()
    # cuDNN's recurrent layers have no backward pass in eval mode
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        totals = answers(x).sum(0)  # samples are independent: one pass serves them all
        rows = [torch.autograd.grad(one, x, retain_graph=True)[0] for one in totals]
    return torch.stack(rows).movedim(1 + answers.axis, 0)


def _norms_of(jacobian: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """By time, (B, T); the largest singular value, (B,); of differences of rows, (B, C, C)."""
    flat = jacobian.flatten(2)
    finite = flat.isfinite().flatten(1).all(1)
    gram = (flat @ flat.mT).where(finite[:, None, None], 0.0)  # LAPACK takes no NaN
    largest = torch.linalg.eigvalsh(gram)[:, -1].clamp_min(0).sqrt().where(finite, torch.nan)
    # by the Gram matrix, rows that are nearly the same would cancel
    distances = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return jacobian.square().sum((1, 3)).sqrt(), largest, distances


def _measure(answers: _Answers, input: Tensor, batch_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same of all samples, the first with time first, (T, B)."""
    require_positive_int(answers.where, "batch_size", batch_size)
    batches = torch.split(torch.arange(input.shape[answers.axis], device=input.device), batch_size)
    found = [_norms_of(_jacobian(*answers.part(input, index))) for index in batches]
    norms, largest, distances = (torch.cat(kind) for kind in zip(*found, strict=True))
    return norms.mT, largest, distances


@dataclass(frozen=True, eq=False)
class MeasuredGain:
    """Lower bounds on the gain from inputs to a difference of two logits, beside the certified one.

    Attributes:
        local: The largest finite one of the samples' ``InputSensitivity.pairs``: of small changes.
        attained: The largest ratio that was met by a change of finite size.
        certified: No ratio exceeds it; None without a certificate that holds.
        looseness: The certified over the larger of the others; None without a certificate.
        sample: Where the larger of ``local`` and ``attained`` is, as an index into the samples.
        pair: The two logits of that.
        radius: The size of the change that attained ``attained``.
    """

    local: float
    attained: float
    certified: float | None
    looseness: float | None
    sample: int
    pair: tuple[int, int]
    radius: float


def measured_gain(
    model: nn.Module,
    input: Tensor,
    *,
    certificate: StabilityCertificate | None = None,
    dt: float | Tensor | None = None,
    steps: int = 20,
    radius: float | Sequence[float] = (0.1, 1.0),
    generator: torch.Generator | None = None,
    batch_size: int = 64,
) -> MeasuredGain:
    r"""How far inputs do move a difference of two logits, and how far they might.

    .. math:: \max_x \|J_i - J_j\|_2, \quad
        \max_\delta \frac{|(y_i - y_j)(x + \delta) - (y_i - y_j)(x)|}{\|\delta\|_2}
        \quad \le \quad \max_{ij} G_{ij}

    The left ones are found at samples, but not those without finite derivatives: δ by :func:`pgd`
    in l2, up and down, from the eight of the largest local gains, each for its pair of logits. The
    right one is that of :func:`input_gains`, for all inputs. Computed as by
    :func:`input_sensitivity`, so that ratios are off by some 1e-15 of the logits over ‖δ‖.

    Args:
        model: As :func:`input_sensitivity` takes it, and so are all arguments not listed here.
        input: The samples.
        certificate: Of the model, such as ``certify(model)``; there is no bound without.
        dt: For how long each input is held; certified gains are of one unit of time.
        steps: Gradients of each ascent.
        radius: Largest ‖δ‖, above 0, over all times and features; or several, or none.
        generator: Of a second ascent, from a random start; the first starts along the gradient.
        batch_size: Samples at a time.

    Returns:
        The gains; NaN, but for the certified one, if no sample has finite derivatives.

    Raises:
        ValueError: If there are no two logits, a certificate is not of this model or beside ``dt``,
            or a shape or value does not fit.

    Examples:
        >>> from lipschitz_rnn import LipschitzRNN
        >>> from lipschitz_rnn.analysis import certify
        >>> from lipschitz_rnn.nn import SequenceClassifier
        >>> model = SequenceClassifier(LipschitzRNN(1, 4, gamma_a=1.0, step_size=0.1), 2)
        >>> found = measured_gain(model, torch.randn(20, 3, 1), certificate=certify(model))
        >>> max(found.local, found.attained) <= found.certified
        True

    References:
        Szegedy et al. (2014), Intriguing properties of neural networks, ICLR, sec. 4.3.
    """
    where = "measured_gain"
    answers, x = _prepare(where, model, input, dt)
    require_positive_int(where, "steps", steps)
    radii = tuple(radius) if isinstance(radius, Sequence) else (radius,)
    for r in radii:
        require_in_range(where, "radius", r, 0, open_low=True)
    distances = _measure(answers, x, batch_size)[2].nan_to_num(-1.0, -1.0)
    count = distances.shape[-1]
    if count < 2:
        raise ValueError(f"{where}: expected a model with at least 2 logits, got {count}.")
    certified = _certified(certificate, model, x.shape[1 - answers.axis], dt is not None)
    distances.diagonal(dim1=1, dim2=2).fill_(-2.0)  # never a pair
    gains, best = distances.flatten(1).max(1)
    chosen = gains.topk(min(_STARTS, batch_size, len(gains))).indices
    pairs = torch.stack((best // count, best % count), 1)[chosen]
    climbs = _climb(*answers.part(x, chosen), pairs, radii, steps, generator)
    attained, place, r = max(climbs, default=(0.0, 0, 0.0))
    if (local := gains.max().item()) < 0:
        local = attained = r = math.nan
    reached, place = max((local, 0), (attained, place))
    loose = None if certified is None else certified / reached if reached else math.inf
    i, j = pairs[place].tolist()
    return MeasuredGain(local, attained, certified, loose, int(chosen[place]), (i, j), r)


def _certified(
    certificate: StabilityCertificate | None, model: nn.Module, horizon: int, timed: bool
) -> float | None:
    if certificate is None or not certificate.holds:
        return None
    if timed:
        raise ValueError(
            "measured_gain: expected no `dt` beside a `certificate`, got both. Leave one out."
        )
    pairs = input_gains(certificate, copy.deepcopy(model).eval(), horizon).pairs
    assert pairs is not None  # it has logits
    return float(pairs.max())


def _climb(
    answers: _Answers,
    input: Tensor,
    pairs: Tensor,
    radii: Sequence[float],
    steps: int,
    generator: torch.Generator | None,
) -> Iterator[tuple[float, int, float]]:
    """Largest ratio of each ascent, at which sample, and for a change of what size."""
    index = torch.arange(len(pairs), device=input.device).repeat(2)
    answers, x = answers.part(input, index)
    ordered = torch.cat((pairs, pairs.flip(1)))  # y_i - y_j may rise, or fall
    for r in radii:
        for random in (False,) if generator is None else (False, True):
            with torch.backends.cudnn.flags(enabled=False):
                found = pgd(
                    answers, x, ordered, norm="l2", radius=r, steps=steps, loss=_difference,
                    step_size=2.5 * r / steps, generator=generator, random_start=random,
                )  # fmt: skip
            change = _difference(answers(found), ordered) - _difference(answers(x), ordered)
            length = (found - x).movedim(answers.axis, 0).flatten(1).norm(dim=1)
            ratio, place = (change.abs() / length).nan_to_num(0.0, 0.0, 0.0).max(0)
            yield ratio.item(), int(index[place]), length[place].item()


def _difference(logits: Tensor, pair: Tensor) -> Tensor:
    return logits.gather(1, pair) @ logits.new_tensor([1.0, -1.0])
