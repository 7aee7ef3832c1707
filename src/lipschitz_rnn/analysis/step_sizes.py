"""How long a step may be: per mode of a linear system, and for the nonlinear Euler step."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.polynomial import Polynomial, chebyshev
from torch import Tensor

from lipschitz_rnn._base.checks import require_in_range, require_shape, require_tensor
from lipschitz_rnn.analysis.conditions import finite_pair
from lipschitz_rnn.linalg import log_norm
from lipschitz_rnn.linalg.scheme_spectrum import as_finite_double
from lipschitz_rnn.ops.nonlinearity import Nonlinearity, as_nonlinearity
from lipschitz_rnn.ops.tableau import ButcherTableau, as_tableau


@dataclass(frozen=True)
class StepSizes:
    """The longest step that each mode of a linear system bears: a diagnostic, not a certificate.

    Attributes:
        method: Name of the integrator.
        modes: The eigenvalues.
        step_sizes: For each, the largest ε with ``|R(ε' λ)| <= 1`` for all ε' in (0, ε].
        limiting: Index of the mode that bears the shortest step.
    """

    method: str
    modes: tuple[complex, ...]
    step_sizes: tuple[float, ...]
    limiting: int

    @property
    def smallest(self) -> float:
        """The longest step that every mode bears."""
        return self.step_sizes[self.limiting]

    @property
    def limiting_mode(self) -> complex:
        """The eigenvalue that sets it."""
        return self.modes[self.limiting]


@dataclass(frozen=True)
class EulerContraction:
    """How much one Euler step shrinks the distance of any two states under the same input.

    Attributes:
        factor: Bound on the ratio of the distances after and before.
        contracts: Whether the step is below ``largest_step_size``, so that the factor is below 1.
        step_size: ε.
        largest_step_size: Steps below it contract; 0 where condition (a) fails.
        rate: μ, the rate in continuous time; positive exactly where condition (a) holds.
        lipschitz_bound: K, a Lipschitz constant of the vector field.
    """

    factor: float
    contracts: bool
    step_size: float
    largest_step_size: float
    rate: float
    lipschitz_bound: float


def stability_polynomial(method: str | ButcherTableau) -> tuple[Fraction, ...]:
    r"""Coefficients of the stability function of an explicit Runge-Kutta method.

    .. math:: R(z) = 1 + \sum_{k \ge 1} \bigl(b^\top \mathcal A^{k-1} \mathbf 1\bigr) z^k

    One step multiplies a mode λ of a linear system by :math:`R(\varepsilon\lambda)`.

    Args:
        method: Name of a method, or a tableau.

    Returns:
        The coefficients of 1, z, z², ..., exact: an entry of the tableau that is the float next to
        a simple fraction counts as the fraction.

    Raises:
        ValueError: If the name is unknown.

    Examples:
        >>> [str(c) for c in stability_polynomial("rk4")]
        ['1', '1', '1/2', '1/6', '1/24']

    References:
        Hairer, Wanner (1996), Solving Ordinary Differential Equations II, sec. IV.2.
    """
    tableau = as_tableau("stability_polynomial", method)
    rows = [[_as_fraction(x) for x in row] for row in ((), *tableau.a_lower)]
    weights = [_as_fraction(x) for x in tableau.b]
    power = [Fraction(1)] * len(weights)  # the vector A^(k-1) 1
    coefficients = [Fraction(1)]
    for _ in weights:
        coefficients.append(_dot(weights, power))
        power = [_dot(row, power) for row in rows]
    return tuple(coefficients)


def _as_fraction(number: float) -> Fraction:
    """The fraction that was rounded to this float: 1/6 is not a float, and RK4 means 1/6."""
    simple = Fraction(number).limit_denominator(10_000)
    return simple if float(simple) == number else Fraction(number)


def _dot(row: list[Fraction], column: list[Fraction]) -> Fraction:
    # rows of the lower triangle are short: what is left of the column meets zeros
    return sum((x * y for x, y in zip(row, column, strict=False)), Fraction(0))


def _growth_table(method: str | ButcherTableau) -> list[Polynomial]:
    """Coefficients q_m of ``|R(s u)|² - 1 = Σ q_m s^m``, ``|u| = 1``, as polynomials in Re u."""
    # |R|² = Σ c_j c_k cos((j-k)θ) s^(j+k), and the cosine is a Chebyshev polynomial in cos θ.
    # Summed in fractions, what cancels on the imaginary axis cancels exactly: for RK4 the terms in
    # s² and s⁴ do, and rounding there would decide on stability.
    c = stability_polynomial(method)
    table = [[Fraction(0)] * len(c) for _ in range(2 * len(c) - 1)]
    for j, left in enumerate(c):
        for k, right in enumerate(c):
            cosine = chebyshev.cheb2poly([0] * abs(j - k) + [1])
            for power, factor in enumerate(cosine):
                table[j + k][power] += left * right * int(factor)
    table[0][0] -= 1
    return [Polynomial([float(x) for x in row]) for row in table]


def _first_growth(coefficients: list[float]) -> float:
    """The largest s such that the polynomial is at most 0 on all of (0, s]."""
    growth = np.trim_zeros(np.array(coefficients), "fb")  # the root at 0 says nothing
    if growth.size == 0:
        return math.inf
    if growth[0] > 0:
        return 0.0
    # The sign changes at real roots only. Rounding may push a multiple one off the axis, so the
    # real part of every root divides the line; a division too many changes no sign.
    roots = np.roots(growth[::-1])
    ends = np.sort(roots.real[roots.real > 0])
    for end, following in zip(ends, (*ends[1:], math.inf), strict=True):
        inside = 2 * end if following == math.inf else (end + following) / 2
        if np.polyval(growth[::-1], inside) > 0:
            return float(end)
    return math.inf


def _step_size_of(mode: complex, table: list[Polynomial]) -> float:
    modulus = abs(mode)
    if modulus == 0:
        return math.inf
    cosine = mode.real / modulus
    with np.errstate(over="ignore"):  # a mode next to 0 bears any step
        return float(np.float64(_first_growth([q(cosine) for q in table])) / modulus)


def admissible_step_sizes(matrix: Tensor, method: str | ButcherTableau = "euler") -> StepSizes:
    r"""The longest step that each mode of a linear system bears: a diagnostic.

    .. math:: \varepsilon_i = \sup\{\varepsilon : |R(\varepsilon'\lambda_i)| \le 1 \text{ for all }
        0 < \varepsilon' \le \varepsilon\}

    Ask it of A, or of the Jacobian at a point (see :func:`field_jacobian`).

    **It certifies nothing.** Eigenvalues say how a linear system with constant coefficients fares
    in the long run. The unit is nonlinear and driven, so its Jacobian changes along a trajectory,
    and products of stable matrices may grow; a non-normal matrix may amplify for long before its
    modes decay. For a bound use :func:`euler_contraction`.

    Args:
        matrix: Any square matrix, shape ``(N, N)``. Computed with in float64.
        method: Name of a method, or a tableau.

    Returns:
        The modes with their step sizes: :math:`-2\operatorname{Re}(\lambda)/|\lambda|^2` for Euler,
        a root of the polynomial :math:`|R(\varepsilon\lambda)|^2 - 1` in ε for the others; 0 where
        every step amplifies, as for a positive real part; infinity for λ = 0. On the imaginary axis
        0 for ``euler``, ``midpoint`` and ``heun``, :math:`2\sqrt 2/|\lambda|` for ``rk4``. A real
        or imaginary part within :math:`2^{-52} N \|\mathtt{matrix}\|_2` of 0 counts as 0: rounding
        moves the eigenvalues of a normal matrix about that far, and would otherwise decide.

    Raises:
        TypeError: If ``matrix`` is not a floating-point tensor.
        ValueError: If it is not square or not finite, or the name of the method is unknown.

    Examples:
        >>> rotation = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
        >>> admissible_step_sizes(rotation).smallest
        0.0
        >>> round(admissible_step_sizes(rotation, "rk4").smallest, 4)
        2.8284
    """
    exact = as_finite_double("admissible_step_sizes", "matrix", matrix)
    tableau = as_tableau("admissible_step_sizes", method)
    resolution = (
        len(exact) * torch.finfo(exact.dtype).eps * float(torch.linalg.matrix_norm(exact, 2))
    )
    modes = [_without_rounding(mode, resolution) for mode in torch.linalg.eigvals(exact).tolist()]
    table = _growth_table(tableau)
    step_sizes = [_step_size_of(mode, table) for mode in modes]
    limiting = step_sizes.index(min(step_sizes))
    return StepSizes(tableau.name, tuple(modes), tuple(step_sizes), limiting)


def _without_rounding(mode: complex, resolution: float) -> complex:
    real, imag = (0.0 if abs(part) <= resolution else part for part in (mode.real, mode.imag))
    return complex(real, imag)


def field_jacobian(
    a: Tensor | None, w: Tensor, z: Tensor, nonlinearity: str | Nonlinearity = "tanh"
) -> Tensor:
    r"""Jacobian of the vector field at a stated point.

    .. math:: J = A + \mathrm{diag}(\sigma'(z))\, W, \qquad z = W h + U x + b

    Args:
        a: A as it acts, shape ``(H, H)``; None for no linear term.
        w: W, shape ``(H, H)``.
        z: The pre-activation, shape ``(H,)``.
        nonlinearity: σ, by name or as an object.

    Returns:
        J in float64, shape ``(H, H)``.

    Raises:
        TypeError: If an argument is not a floating-point tensor.
        ValueError: If shapes do not fit, a matrix is not finite, or the nonlinearity is unknown.

    Examples:
        >>> field_jacobian(-torch.eye(2), 2 * torch.eye(2), torch.zeros(2)).diagonal().tolist()
        [1.0, 1.0]
    """
    a, w = finite_pair("field_jacobian", a, w)
    sigma = as_nonlinearity("field_jacobian", nonlinearity)
    require_tensor("field_jacobian", "z", z)
    require_shape("field_jacobian", "z", z, (len(w),), "(H,)")
    with torch.enable_grad():
        point = z.detach().cpu().double().requires_grad_()
        (slopes,) = torch.autograd.grad(sigma.function(point).sum(), point)
    return a + slopes.unsqueeze(1) * w


def euler_contraction(
    a: Tensor | None, w: Tensor, step_size: float, nonlinearity: str | Nonlinearity = "tanh"
) -> EulerContraction:
    r"""How much an Euler step of the nonlinear unit shrinks distances, from norms alone.

    .. math::
        \|h_{+} - \tilde h_{+}\| \le \sqrt{1 - 2\varepsilon\mu + \varepsilon^2 K^2}\,\|h - \tilde
        h\|, \qquad \mu = -\lambda_{\max}(A^{sym}) - L\|W\|, \quad K = \|A\| + L\|W\|

    for any two states under the same input. The step contracts if :math:`\varepsilon < 2\mu/K^2`;
    beyond, this bound proves nothing, which is not to say that the step expands.

    Note:
        Evaluated in floating point, for exact arithmetic in the step itself.

    Args:
        a: A as it acts, shape ``(H, H)``; None for no linear term.
        w: W, shape ``(H, H)``.
        step_size: ε, above 0.
        nonlinearity: σ, by name or as an object.

    Returns:
        The factor, the step size below which it is less than 1, and what they rest on.

    Raises:
        TypeError: If a matrix is not a floating-point tensor, or ε not a number.
        ValueError: If a matrix is not square or not finite, the sizes differ, ε is not positive, or
            the nonlinearity is unknown.

    Examples:
        >>> found = euler_contraction(-2 * torch.eye(2), torch.eye(2), step_size=0.1)
        >>> found.rate, found.lipschitz_bound, round(found.largest_step_size, 4)
        (1.0, 3.0, 0.2222)
        >>> round(found.factor**2, 4), found.contracts
        (0.89, True)

    References:
        Erichson et al. (2021), Lipschitz Recurrent Neural Networks, Theorem 1 (a), for continuous
        time.
    """
    a, w = finite_pair("euler_contraction", a, w)
    sigma = as_nonlinearity("euler_contraction", nonlinearity)
    require_in_range("euler_contraction", "step_size", step_size, 0, open_low=True)
    expansion = sigma.lipschitz_constant * float(torch.linalg.matrix_norm(w, 2))
    rate = -float(log_norm(a)) - expansion
    bound = float(torch.linalg.matrix_norm(a, 2)) + expansion
    largest = 2 * rate / bound**2 if rate > 0 else 0.0
    # not negative, since rate <= bound, but for rounding
    squared = max(0.0, 1 - 2 * step_size * rate + (step_size * bound) ** 2)
    contracts = step_size < largest
    return EulerContraction(math.sqrt(squared), contracts, step_size, largest, rate, bound)
