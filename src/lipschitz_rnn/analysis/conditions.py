"""The conditions of the stability theorem, evaluated in floating point."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_shape
from lipschitz_rnn.linalg import log_norm
from lipschitz_rnn.linalg.scheme_spectrum import as_finite_double
from lipschitz_rnn.ops.nonlinearity import Nonlinearity, as_nonlinearity


@dataclass(frozen=True)
class Condition:
    """One condition of the theorem and what it came to.

    Attributes:
        name: ``"a"``, ``"b"`` or ``"b'"``.
        statement: The condition in one line.
        holds: Whether its inequalities hold, as computed.
        certifies: Whether stability follows: it holds, and the theorem behind it is true.
        rate: The exponential rate it proves, or None.
        quantities: The numbers it rests on.
        reason: Why it holds or not, and what that is worth.
    """

    name: str
    statement: str
    holds: bool
    certifies: bool
    rate: float | None
    quantities: dict[str, float]
    reason: str


@dataclass(frozen=True)
class TheoremConditions:
    """The three conditions for one unit; iterating gives them in this order.

    Attributes:
        a: Damping beats the nonlinearity. Proves contraction in the Euclidean norm.
        b_corrected: (b'), for symmetric W. Proves contraction in the metric -W.
        b: As the theorem is commonly stated. Proves nothing unless W is symmetric, where it adds
            nothing to (b'), so it never certifies.
        nonlinearity: Name of σ.
    """

    a: Condition
    b_corrected: Condition
    b: Condition
    nonlinearity: str

    def __iter__(self) -> Iterator[Condition]:
        return iter((self.a, self.b_corrected, self.b))

    @property
    def certifies(self) -> bool:
        """Whether any condition proves stability."""
        return any(condition.certifies for condition in self)


def finite_pair(where: str, a: Tensor | None, w: Tensor) -> tuple[Tensor, Tensor]:
    """A and W in float64 and of one size; no linear term is a zero matrix."""
    w = as_finite_double(where, "w", w)
    if a is None:
        return torch.zeros_like(w), w
    a = as_finite_double(where, "a", a)
    require_shape(where, "a", a, tuple(w.shape), "(H, H)", "A and W act on the same state.")
    return a, w


def check_conditions(
    a: Tensor | None, w: Tensor, *, nonlinearity: str | Nonlinearity = "tanh"
) -> TheoremConditions:
    r"""Evaluate the conditions of the stability theorem for :math:`\dot h = A h + \sigma(W h + c)`.

    .. math:: (a)\quad \lambda_{\max}(A^{sym}) + L\,\sigma_{\max}(W) < 0

    .. math:: (b')\quad \sigma \text{ monotone},\; W = W^\top \prec 0,\; A^\top W + W A \succ 0

    .. math:: (b)\quad \sigma \text{ monotone},\; A^{sym} \prec 0,\; W + W^\top \prec 0,\;
        A^\top W + W^\top A \succ 0

    with :math:`A^{sym} = (A + A^\top)/2` and L the Lipschitz constant of σ.

    (a) and (b') are about any two solutions under the same input, which may vary in time: their
    distance falls at least as fast as :math:`e^{-\mu t}`, in the Euclidean norm under (a) with
    :math:`\mu = -\lambda_{\max}(A^{sym}) - L\sigma_{\max}(W)`, in the norm
    :math:`\sqrt{-\delta^\top W \delta}` under (b') with :math:`\mu = \lambda_{\min}(A^\top W + W
    A) / (2\lambda_{\max}(-W))`. For a fixed input both imply one globally exponentially stable
    equilibrium.

    (b) is the theorem as it is commonly stated. It is not sufficient: for non-symmetric W there are
    units that satisfy it and have an unstable equilibrium (see the page on condition (b) in the
    documentation). It is reported because people ask for it, with ``certifies=False`` always.

    Note:
        These are floating-point evaluations of the theorem's quantities, about continuous time. An
        answer that hangs on the last digits may be wrong; a certificate with error bounds, and one
        for the discrete step, is what ``certify`` gives.

    Args:
        a: A as it acts, shape ``(H, H)`` (times α where the unit has one); None for no linear term.
        w: W, shape ``(H, H)``. That it is symmetric is asked of the stored numbers exactly.
        nonlinearity: σ, by name or as an object.

    Returns:
        The three conditions. Under (a), ``gamma_a_increase`` is 0, or the number that the largest
        eigenvalue of sym A must fall by *more* than for (a) to hold, everything else being equal:
        what γ_A must be raised by where α is 1, and α times that where it is not.

    Raises:
        TypeError: If a matrix is not a floating-point tensor.
        ValueError: If a matrix is not square or not finite, or the sizes differ, or the
            nonlinearity is unknown.

    Examples:
        >>> found = check_conditions(-2 * torch.eye(2), torch.eye(2))
        >>> found.a.holds, found.a.rate
        (True, 1.0)
        >>> check_conditions(-torch.eye(2), 3 * torch.eye(2)).a.quantities["gamma_a_increase"]
        2.0

    References:
        Erichson et al. (2021), Lipschitz Recurrent Neural Networks, Theorem 1.
    """
    a, w = finite_pair("check_conditions", a, w)
    sigma = as_nonlinearity("check_conditions", nonlinearity)
    condition_b = _stated_b(a, w, sigma)
    return TheoremConditions(
        _damping(a, w, sigma), _corrected_b(a, w, sigma), condition_b, sigma.name
    )


def _damping(a: Tensor, w: Tensor, sigma: Nonlinearity) -> Condition:
    """Condition (a), in the form that needs no sign condition beside it."""
    damping = float(log_norm(a))
    largest_w = float(torch.linalg.matrix_norm(w, 2))
    margin = -(damping + sigma.lipschitz_constant * largest_w)
    holds = margin > 0
    needed = max(0.0, -margin)
    if holds:
        reason = f"holds with {margin:.3g} to spare, which is the rate of contraction"
    elif margin == 0:
        reason = "the sum is 0; the largest eigenvalue of sym A must fall"
    else:
        reason = (
            f"misses by {needed:.3g}: the largest eigenvalue of sym A must fall by more than that"
        )
    return Condition(
        "a",
        "lambda_max(sym A) + L sigma_max(W) < 0",
        holds,
        holds,
        margin if holds else None,
        {
            "log_norm_a": damping,
            "lipschitz_constant": sigma.lipschitz_constant,
            "sigma_max_w": largest_w,
            "margin": margin,
            "gamma_a_increase": needed,
        },
        reason,
    )


def _corrected_b(a: Tensor, w: Tensor, sigma: Nonlinearity) -> Condition:
    """Condition (b'), under which -W is a metric that contracts."""
    coupling = _coupling(a, w)
    asymmetry = float((w - w.mT).abs().max())
    # of a matrix that is not symmetric these are those of its symmetric part
    w_eigenvalues = torch.linalg.eigvalsh((w + w.mT) / 2)
    smallest, largest = float(w_eigenvalues[0]), float(w_eigenvalues[-1])
    demands = {
        f"{sigma.name} is not monotone": sigma.monotone,
        f"W is not symmetric (entries differ by up to {asymmetry:.3g})": torch.equal(w, w.mT),
        f"W is not negative definite (largest eigenvalue {largest:.3g})": largest < 0,
        f"A'W + WA is not positive definite (smallest eigenvalue {coupling:.3g})": coupling > 0,
    }
    holds = all(demands.values())
    rate = coupling / (-2 * smallest) if holds else None
    success = "holds; the unit contracts in the metric -W"
    return Condition(
        "b'",
        "sigma monotone, W = W' negative definite, A'W + WA positive definite",
        holds,
        holds,
        rate,
        {
            "asymmetry_w": asymmetry,
            "lambda_min_w": smallest,
            "lambda_max_w": largest,
            "lambda_min_coupling": coupling,
        },
        _explain(demands, success),
    )


def _stated_b(a: Tensor, w: Tensor, sigma: Nonlinearity) -> Condition:
    """Condition (b) as the theorem is commonly stated, which certifies nothing."""
    coupling = _coupling(a, w)
    damping = float(log_norm(a))
    # W + W' < 0 makes W non-singular, so that demand of the theorem needs no test of its own
    largest = 2 * float(log_norm(w))
    demands = {
        f"{sigma.name} is not monotone": sigma.monotone,
        f"sym A is not negative definite (largest eigenvalue {damping:.3g})": damping < 0,
        f"W + W' is not negative definite (largest eigenvalue {largest:.3g})": largest < 0,
        f"A'W + W'A is not positive definite (smallest eigenvalue {coupling:.3g})": coupling > 0,
    }
    success = "holds, but does not imply stability where W is not symmetric; see (b')"
    return Condition(
        "b",
        "sigma monotone, sym A and W + W' negative definite, A'W + W'A positive definite",
        all(demands.values()),
        False,
        None,
        {
            "log_norm_a": damping,
            "lambda_max_w_plus_wt": largest,
            "lambda_min_coupling": coupling,
        },
        _explain(demands, success),
    )


def _coupling(a: Tensor, w: Tensor) -> float:
    """Smallest eigenvalue of A'W + W'A."""
    product = a.mT @ w
    return float(torch.linalg.eigvalsh(product + product.mT)[0])


def _explain(demands: dict[str, bool], success: str) -> str:
    failures = [failure for failure, met in demands.items() if not met]
    return "; ".join(failures) if failures else success
