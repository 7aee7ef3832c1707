"""A growth below which no metric proves anything, so that a search can be left out."""

import numpy as np
from numpy.polynomial import Polynomial

from lipschitz_rnn.analysis.increments import System
from lipschitz_rnn.analysis.step_sizes import stability_polynomial

_ROUNDING = 1e-9
"""Relative to A and W, more than eigenvalues that are not defective are wrong by."""


def least_growth(system: System) -> tuple[float, float]:
    r"""The growth that every certificate must allow, whatever its metric and multipliers.

    A certificate bounds the growth under all slopes of σ, so also where each of them stays at
    :math:`s`, one end of the sector. Differences then obey a linear system, whose eigenvectors no
    metric makes shorter:

    .. math::

        g \ge \max_{s,\ \lambda \in \mathrm{spec}(A + sW)}
        \frac{|R(\varepsilon\lambda)|^2 - 1}{\varepsilon},
        \qquad g \ge \max_{s, \lambda} 2 \operatorname{Re} \lambda \text{ for the flow.}

    Args:
        system: The system; its numbers are finite.

    Returns:
        The bound, up to rounding, and the slope s that gives it.

    References:
        Horn, Johnson (2012), Matrix Analysis, theorem 5.6.9 (the spectral radius is below every
        norm).
    """
    sigma = system.nonlinearity
    found = [(_growth(system, slope), slope) for slope in (sigma.slope_min, sigma.slope_max)]
    return max(found)


def refute(system: System) -> str:
    """Why no metric can prove that a system contracts, where :func:`least_growth` shows it.

    Args:
        system: The system; its numbers are finite.

    Returns:
        The reason; empty if the bound is below 0, or above it by no more than rounding.
    """
    growth, slope = least_growth(system)
    size = max(float(np.linalg.norm(matrix, 2)) for matrix in (system.a, system.w))
    if not growth > _ROUNDING * size:
        return ""
    return (
        f"no metric proves less than {growth:+.3g}, the growth where every slope of the "
        f"nonlinearity is {slope:g}"
    )


def _growth(system: System, slope: float) -> float:
    modes = np.linalg.eigvals(system.a + slope * system.w)
    if system.step_size == 0:
        return 2 * float(modes.real.max())
    factor = Polynomial([float(c) for c in stability_polynomial(system.tableau)])
    return (float(abs(factor(system.step_size * modes)).max()) ** 2 - 1) / system.step_size
