"""A growth below which no metric proves anything, so that a search can be left out."""

import decimal
import math

import numpy as np
from numpy.polynomial import Polynomial

from lipschitz_rnn.analysis.increments import System
from lipschitz_rnn.analysis.step_sizes import stability_polynomial


def least_growth(system: System) -> tuple[float, float]:
    r"""A growth that every certificate must allow, whatever its metric and multipliers.

    A certificate bounds the growth under all slopes of σ, so also where each of them stays at
    :math:`s`, one end of the sector. Differences then obey a linear system, whose eigenvectors no
    metric makes shorter:

    .. math::

        g \ge \max_{s,\ \lambda \in \mathrm{spec}(A + sW)}
        \frac{|R(\varepsilon\lambda)|^2 - 1}{\varepsilon},
        \qquad g \ge \max_{s, \lambda} 2 \operatorname{Re} \lambda \text{ for the flow.}

    Computed eigenvalues are off by up to :math:`\kappa(V)` times the rounding of A + sW, which is
    taken off: where eigenvectors nearly coincide, little or nothing is left of the bound.

    Args:
        system: The system; its numbers are finite.

    Returns:
        The bound, -inf where eigenvalues are not known at all, and the slope s that gives it.

    References:
        Horn, Johnson (2012), Matrix Analysis, theorems 5.6.9 (the spectral radius is below every
        norm) and 6.3.2 (Bauer, Fike).
    """
    sigma = system.nonlinearity
    return max((_growth(system, slope), slope) for slope in (sigma.slope_min, sigma.slope_max))


def refute(system: System) -> str:
    """Why no metric can prove that a system contracts, where :func:`least_growth` shows it.

    Args:
        system: The system; its numbers are finite.

    Returns:
        The reason; empty if the bound is not above 0, or leaves float64's range.
    """
    try:
        growth, slope = least_growth(system)
    except np.linalg.LinAlgError:
        return ""
    if not growth > 0:
        return ""
    down = decimal.Context(prec=3, rounding=decimal.ROUND_FLOOR).create_decimal(growth)
    return (
        f"by eigenvalues, no metric proves less than {float(down):+g}, the growth where every "
        f"slope of the nonlinearity is {slope:g}"
    )


def _growth(system: System, slope: float) -> float:
    matrix = system.a + slope * system.w
    modes, vectors = np.linalg.eig(matrix)
    rounding = len(matrix) * 2.0**-52 * float(np.linalg.norm(matrix))
    error = float(np.linalg.cond(vectors)) * rounding
    if not math.isfinite(error):
        return -math.inf
    if system.step_size == 0:
        return 2 * (float(modes.real.max()) - error)
    factor = Polynomial([float(c) for c in stability_polynomial(system.tableau)])
    steepest = Polynomial(abs(factor.deriv().coef))  # bounds |R'| on each disc
    z, off = system.step_size * modes, system.step_size * error
    kept = max(0.0, float((abs(factor(z)) - off * steepest(abs(z) + off)).max()))
    return (kept**2 - 1) / system.step_size
