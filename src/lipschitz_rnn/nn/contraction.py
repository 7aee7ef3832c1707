"""Matrices under which the step that is run contracts by construction.

Note [Tight matrices]
    Let B = I + εA, one stage (Euler), the slopes of σ in [a, b] with a ≤ 0 ≤ b, and multipliers T
    with R = 2T - εI > 0. With Y = B + (a+b) T W and the metric I, two states under the same input
    satisfy ‖δ⁺‖ ≤ ρ ‖δ‖ if

        BᵀB + G ≤ ρ² I,    G = ε Yᵀ R⁻¹ Y + 2ε|ab| Wᵀ T W

    (the Schur complement of the inequality in lipschitz_rnn/analysis/increments.py). So choose Y,
    hence G, freely, scale it below ρ², and let B use up what is left, in every direction:

        B = Q C,   CᵀC = ρ² I - G - D   (Cholesky),   Q orthogonal (Cayley's transform of εK/2),

    with any D ≥ 0, damping that is not needed. Nothing else is damped more than the certificate
    asks for. Here K is the skew part of the free A, D = ε (A^sym)², and Y = I + (a+b) T W with the
    free W: the W that is run is the free one but for a change of size ε.

    If a + b = 0, Y is B and not free. Its term joins that of B: Bᵀ M B with M = I + ε R⁻¹, so that
    B = M^(-1/2) Q C, and G is its second term alone.

    A metric P = diag(p²) is the same in the coordinates p h, since σ acts on each entry alone.
"""

import torch
from torch import Tensor

from lipschitz_rnn.nn.contraction_search import Target, scaled_step, step_growth
from lipschitz_rnn.ops import EULER

CONSTRAINTS = ("contractive", "contractive-flow")
"""``contractive``: the step that is run contracts; ``-flow``: the differential equation does."""

_MARGIN = 2e-6
"""Growth per unit of time that is kept back for rounding A and W to float32, at first."""

_MOST = 0.99
"""Largest share of ρ² that may go to W: the rest is left to B, which keeps it invertible."""


_METRIC, _MULTIPLIER = 3.0, 4.0
"""Bounds on the logarithms of p and of the pattern of T.

A proof in float64 sets aside for rounding a share of the sum of all p² T, and what is left must
reach the least p²; float32 moves entries of A and W that weigh little in one metric and much in
another. Within these bounds p² differs by up to 2e5 and T by 3e3: of 128 units of ε = 0.03 with
logarithms far outside, that costs less than 1e-4 of the rate, and without bounds the proof fails
at a standard deviation of 3. Beyond a factor of 400 between two p units hardly act on each other.
"""


def _bounded(log: Tensor, bound: float) -> Tensor:
    """The logarithm itself near 0; far out its gradient fades but never ends abruptly."""
    return bound * torch.tanh(log.double() / bound)


def make_metric(log_metric: Tensor) -> Tensor:
    """The p of the metric diag(p²).

    Args:
        log_metric: Logarithms, free, (N,).

    Returns:
        p, (N,), float64.
    """
    return _bounded(log_metric, _METRIC).exp()


def make_multipliers(log_multiplier: Tensor, w: Tensor, target: Target) -> Tensor:
    r"""The multipliers :math:`T_i = \kappa\varepsilon + e^{r_i} / \|W\|_2`.

    At :math:`1/\|W\|_2` the sector pays off: near it, for small ε, lies the best single number for
    all. Tied to W they follow it while it grows, and only their pattern is learned. κ is 1, or
    more where that is needed for :attr:`Target.least_multiplier`.

    Args:
        log_multiplier: r, free but for its bound, (S, N).
        w: W, (N, N).
        target: Brings ε and κ.

    Returns:
        T, (S, N), float64; NaN if W is not finite.
    """
    norm = _square_norm(w).clamp(min=1e-6).sqrt()
    return target.least_multiplier + _bounded(log_multiplier, _MULTIPLIER).exp() / norm


def _square_norm(w: Tensor) -> Tensor:
    """Square of the spectral norm, in float64; NaN, and no error, if there is none."""
    gram = w.double().mT @ w.double()
    finite = torch.isfinite(gram).all()
    values: Tensor = torch.linalg.eigvalsh(torch.where(finite, gram, 0.0))
    return torch.where(finite, values[-1], torch.nan)


def contractive_flow(a: Tensor, w: Tensor, rate: float, lipschitz: float) -> Tensor:
    r"""Damp A until condition (a) holds: :math:`\lambda_{\max}(A^{sym}) + L \|W\|_2 \le -\mu`.

    Two solutions of the differential equation then approach each other at rate μ at least. The
    step that is run may still expand: the skew part is free to outgrow what it bears.

    Args:
        a: A, (N, N).
        w: W, (N, N).
        rate: μ.
        lipschitz: L.

    Returns:
        A minus a multiple of the identity, in the dtype of ``a``; NaN if A or W is not finite.
    """
    finite = torch.isfinite(a).all()
    wide_a = torch.where(finite, a.double(), 0.0)
    top = torch.linalg.eigvalsh((wide_a + wide_a.mT) / 2)[-1]
    norm = _square_norm(w).clamp(min=0).sqrt()
    excess = torch.where(finite, top + lipschitz * norm + rate, torch.nan)
    eye = torch.eye(a.shape[0], dtype=torch.float64, device=a.device)
    damped: Tensor = (wide_a - torch.relu(excess + _slack(a, excess, lipschitz * norm)) * eye).to(
        a.dtype
    )
    return damped


def _slack(a: Tensor, excess: Tensor, reach: Tensor) -> Tensor:
    """More than rounding can add to an eigenvalue of the symmetric part of what is stored."""
    # the diagonal is rounded to the dtype where it is of the size of A and of what is taken from
    # it; eigenvalues and norms are in float64, with errors below N times its epsilon
    with torch.no_grad():
        own = a.double().norm()
        stored = torch.finfo(a.dtype).eps * (own + excess.abs())
        computed = 8 * len(a) * torch.finfo(torch.float64).eps * (own + reach)
        total: Tensor = stored + computed + _MARGIN
        return total


def contractive_step(
    a: Tensor, w: Tensor, log_metric: Tensor, log_multiplier: Tensor, target: Target
) -> tuple[Tensor, Tensor]:
    """Make the step contract; see Note [Tight matrices].

    Args:
        a: The free A, (N, N), in the coordinates p h.
        w: The free W, likewise.
        log_metric: Logarithms of p, (N,), as :func:`make_metric` reads them.
        log_multiplier: r of :func:`make_multipliers`, (S, N).
        target: What is asked.

    Returns:
        A and W in their dtypes: as stored numbers they prove the rate with the metric and the
        multipliers of :func:`make_proof`. NaN if a number that came in is not finite, so that
        training stops at its own check of the loss.
    """
    p, times = make_metric(log_metric), make_multipliers(log_multiplier, w, target)
    if not all(torch.isfinite(part).all() for part in (a.double().square().sum(), p, times)):
        return torch.full_like(a, torch.nan), torch.full_like(w, torch.nan)
    margin = _MARGIN
    while margin * target.step_size < 1:  # a margin of 1/ε would ask for ρ = 0
        growth = target.growth - margin
        if target.tableau == EULER:
            new_a, new_w = _tight_step(a.double(), w.double(), times[0], target, growth)
        else:
            new_a, new_w = scaled_step(a.double(), w.double(), times, target, growth)
        stored = (p / p[:, None] * new_a).to(a.dtype), (p / p[:, None] * new_w).to(w.dtype)
        with torch.no_grad():  # what rounding has made of it
            a_back, w_back = (p[:, None] / p * matrix.double() for matrix in stored)
            found = step_growth(a_back, w_back, times, target, proved_in=p.square())
        if float(found) <= target.growth - _MARGIN / 4:
            return stored
        margin *= 4
    # c = 0 in Note [Scaling], exact but for one rounding: whatever came in, the constraint holds
    eye = torch.eye(a.shape[0], dtype=a.dtype, device=a.device)
    return -eye / target.step_size, torch.zeros_like(w)


def make_proof(
    log_metric: Tensor, log_multiplier: Tensor, w: Tensor, target: Target
) -> tuple[Tensor, Tensor]:
    """By what the matrices of :func:`contractive_step` contract.

    Args:
        log_metric: As there.
        log_multiplier: As there.
        w: As there.
        target: As there.

    Returns:
        Metric, (N,), and multipliers, (S, N), as ``certify`` takes them, in float64.
    """
    square = make_metric(log_metric).square()
    return square, square * make_multipliers(log_multiplier, w, target)


def _tight_step(
    a: Tensor, w: Tensor, multiplier: Tensor, target: Target, growth: float
) -> tuple[Tensor, Tensor]:
    step, (low, high) = target.step_size, target.sector
    eye = torch.eye(a.shape[0], dtype=a.dtype, device=a.device)
    t, total = multiplier[:, None], low + high
    skew, symmetric = (a - a.mT) / 2, (a + a.mT) / 2
    y = eye + total * t * w
    gram = step * symmetric @ symmetric
    if total != 0:
        gram = gram + step * (y.mT @ (y / (2 * t - step)))
    if low < 0:
        gram = gram + 2 * step * abs(low * high) * (w.mT @ (t * w))
    square = max(1 + step * growth, 1e-6)
    share = torch.clamp(_MOST * square / torch.linalg.eigvalsh(gram)[-1].clamp(min=1e-9), max=1.0)
    root = torch.linalg.cholesky(square * eye - share * gram).mT
    b = torch.linalg.solve(eye - step / 2 * skew, (eye + step / 2 * skew) @ root)
    if total == 0:
        b = (1 - step / (2 * t)).sqrt() * b
        return (b - eye) / step, share.sqrt() * w
    return (b - eye) / step, (share.sqrt() * y - b) / (total * t)
