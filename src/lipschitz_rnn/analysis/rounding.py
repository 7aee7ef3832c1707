"""What the arithmetic of a computer adds to a step, as a bounded disturbance.

Note [Rounding of a step]
    Let u be the largest relative error of one rounding, γ_n = n u / (1 - n u). One integrator step
    from a stored state h under a stored input x computes, stage by stage, with h_i the stage's
    state, e_i the error it carries (e_1 = 0) and ‖|W|‖ the norm of the absolute values:

        z_i = W h_i + U x + b    error  ‖W‖ e_i + γ_{n+p+4} (‖|W|‖ (‖h_i‖ + e_i) + ‖|U|‖ ‖x‖ + ‖b‖)
        y_i = σ(z_i)             error  L times that, and 8u of what is computed: 4 ulp
        l_i = A h_i              error  ‖A‖ e_i + γ_{n+1} ‖|A|‖ (‖h_i‖ + e_i)
        k_i = l_i + y_i          error  those of both, and u of what is computed
        h + Σ_j ε a_ij k_j       error  ε |a_ij| of each, γ_{m+5} of each product, γ_m of h

    for sums in any order, with or without fused multiply-add, m the number of coefficients that
    are not 0; the five roundings beside the sums are of ε itself, of ε a_ij, of products. The norms
    are Euclidean: an entry's error is at most γ times a sum of absolute values, a vector of which
    is |W| |h|. Underflow, and its flushing to zero, is added as a number far below all of these.

    The bounds of γ are Higham's, Accuracy and Stability of Numerical Algorithms (2002), sec. 3.1.
    The kernel's tanh stays below 1.83 ulp over every float (csrc/README.md); torch's functions
    promise 3.5 ulp or better (SLEEF's u35), an ulp being at most 2u of the number.
"""

import math
from dataclasses import dataclass

import torch

from lipschitz_rnn._base.checks import require_in_range
from lipschitz_rnn.analysis.layers import UnitMatrices
from lipschitz_rnn.analysis.norms import UnitNorms, product, up
from lipschitz_rnn.ops import Nonlinearity
from lipschitz_rnn.ops.nonlinearity import NONLINEARITIES

DTYPES = (torch.float32, torch.float64)
"""Those a step is computed in."""

_ULPS = {"relu": 0.0, "identity": 0.0}  # exact; all others within 4


def nonlinearity_bounds(nonlinearity: Nonlinearity) -> tuple[float, float]:
    """What |σ| never exceeds, infinity if there is no such number; and a bound on |σ(0)|.

    Args:
        nonlinearity: σ.

    Returns:
        Both.
    """
    known = NONLINEARITIES.get(nonlinearity.name) is nonlinearity
    bounded = known and nonlinearity.name in {"tanh", "sigmoid", "sine"}
    at_zero = abs(float(nonlinearity.function(torch.zeros(1, dtype=torch.float64))))
    return (1.0 if bounded else math.inf), (up(at_zero) if at_zero else 0.0)


def gamma(count: int, dtype: torch.dtype) -> float:
    """Higham's γ_n of a dtype, rounded up; infinity where it has no meaning.

    Args:
        count: n, roundings one after the other.
        dtype: The dtype.

    Returns:
        γ_n.
    """
    part = count * torch.finfo(dtype).eps / 2
    return up(part / (1 - part)) if part < 0.5 else math.inf


@dataclass(frozen=True, eq=False)
class _Arithmetic:
    """Of one unit in one dtype."""

    unit: UnitMatrices
    norms: UnitNorms
    dtype: torch.dtype
    x: float  # bound on the norm of an input

    @property
    def roundoff(self) -> float:
        return float(torch.finfo(self.dtype).eps) / 2

    def lost_to_underflow(self, state: float) -> float:
        """In the norm of a vector of sums of products, each part flushed to zero."""
        norms, (n, p) = self.norms, self.unit.u.shape
        largest = 1 + norms.abs_a + norms.abs_w + norms.abs_u + norms.b + self.x + state
        return float(torch.finfo(self.dtype).tiny) * math.pow(2 * (n + p + 8), 1.5) * largest

    def slope(self, state: float, error: float) -> tuple[float, float]:
        """Bounds on a stage's slope k and on its error, for a state and its error."""
        norms, sigma, (n, p) = self.norms, self.unit.nonlinearity, self.unit.u.shape
        slopes, near, lost = sigma.lipschitz_constant, state + error, self.lost_to_underflow(state)
        reach = norms.abs_w * near + norms.abs_u * self.x + norms.b
        z = norms.w * error + gamma(n + p + 4, self.dtype) * reach + lost
        most, at_zero = nonlinearity_bounds(sigma)
        linear_in_z = slopes * (norms.w * state + norms.u * self.x + norms.b)
        values = min(math.sqrt(n) * most, math.sqrt(n) * at_zero + linear_in_z)
        y = slopes * z
        y += 2 * _ULPS.get(sigma.name, 4.0) * self.roundoff * (values + y) + lost
        linear = norms.a * error + gamma(n + 1, self.dtype) * norms.abs_a * near + lost
        size = norms.a * state + values
        total = linear + y
        return up(size), up(total + self.roundoff * (size + total) + lost, 64)

    def advanced(
        self, state: float, slopes: list[tuple[float, float]], weights: tuple[float, ...]
    ) -> tuple[float, float]:
        """Bounds on h + Σ ε c_j k_j and on its error."""
        step = self.unit.step_size / self.unit.substeps
        used = [
            (step * abs(weight), *slope)
            for weight, slope in zip(weights, slopes, strict=True)
            if weight != 0
        ]
        each = gamma(len(used) + 5, self.dtype)
        size = state + sum(factor * slope for factor, slope, _ in used)
        error = sum(factor * (lost + each * (slope + lost)) for factor, slope, lost in used)
        error += gamma(len(used), self.dtype) * state + self.lost_to_underflow(size)
        return up(size, 64), up(error, 64)

    def step(self, state: float) -> tuple[float, float]:
        """Bounds on the state after one integrator step and on its error."""
        tableau = self.unit.tableau
        slopes = [self.slope(state, 0.0)]
        for row in tableau.a_lower:
            slopes.append(self.slope(*self.advanced(state, slopes, row)))
        return self.advanced(state, slopes, tableau.b)

    def growth(self) -> float:
        """A Lipschitz constant of one exact integrator step."""
        unit, tableau = self.unit, self.unit.tableau
        step = unit.step_size / unit.substeps
        pull = self.norms.a + unit.nonlinearity.lipschitz_constant * self.norms.w
        slopes: list[float] = [pull]
        for row in (*tableau.a_lower, tableau.b):
            moved = 1 + step * sum(abs(c) * k for c, k in zip(row, slopes, strict=True))
            slopes.append(pull * moved)
        return up(moved, 16 * len(slopes) ** 2)


def rounding_bound(
    unit: UnitMatrices,
    state_bound: float,
    input_bound: float,
    dtype: torch.dtype = torch.float32,
    *,
    norms: UnitNorms | None = None,
) -> float:
    r"""How far one input's computed step can be from the exact one, in the Euclidean norm.

    .. math:: \|\tilde F(h, x) - F(h, x)\|_2 \le \eta \quad\text{for all stored }
        \|h\|_2 \le H, \ \|x\|_2 \le X

    where F is the map of the stored numbers in exact arithmetic, and the tilde marks the native
    kernel or the reference on a processor, or on a GPU that rounds its products to the dtype (no
    TF32). See Note [Rounding of a step]; substeps add up, each carried on by the steps after it.

    Args:
        unit: One layer and direction, as :func:`lipschitz_rnn.analysis.layers.find_units` gives it.
        state_bound: H.
        input_bound: X.
        dtype: Of the computation: float32 or float64.
        norms: Of the unit, if they are there already.

    Returns:
        η; infinity where numbers are so large that they may overflow.

    Raises:
        ValueError: If the dtype is another one, the unit is gated, the nonlinearity is not one of
            the library's own, or a bound is negative.
    """
    where = "rounding_bound"
    if dtype not in DTYPES:
        raise ValueError(f"{where}: expected dtype float32 or float64, got {dtype}.")
    if unit.gated or NONLINEARITIES.get(unit.nonlinearity.name) is not unit.nonlinearity:
        got = "a gated one" if unit.gated else repr(unit.nonlinearity.name)
        raise ValueError(
            f"{where}: expected an ungated unit with a nonlinearity of this library, got {got}."
        )
    if not (state_bound >= 0 and input_bound >= 0):
        raise ValueError(
            f"{where}: expected bounds of at least 0, got {state_bound} and {input_bound}."
        )
    require_in_range(where, "step_size", unit.step_size, 0)
    if math.isinf(state_bound + input_bound):
        return math.inf
    arithmetic = _Arithmetic(unit, norms or UnitNorms.of(unit), dtype, input_bound)
    growth = arithmetic.growth() if unit.substeps > 1 else 1.0
    state, error = state_bound, 0.0
    for _ in range(unit.substeps):
        size, lost = arithmetic.step(up(state + error))
        state, error = size, up(product(growth, error) + lost)
    largest = arithmetic.lost_to_underflow(state + error) / torch.finfo(dtype).tiny
    return error if 1e3 * largest < torch.finfo(dtype).max else math.inf
