"""What is reported of a Hessian, and how much work goes into it."""

import math
from dataclasses import dataclass

import numpy as np

from lipschitz_rnn._base.checks import require_choice, require_positive_int
from lipschitz_rnn.analysis.hessian_product import PRODUCTS, ProductCheck
from lipschitz_rnn.linalg.lanczos import RitzValues


@dataclass(frozen=True)
class ConditionNumber:
    """Ratios of Ritz values after a number of Lanczos steps, by the definitions in use.

    Attributes:
        steps: How many were taken.
        absolute: Largest over smallest magnitude: what is meant where nothing else is said.
        signed: Largest over smallest value, as it is often written; negative where the loss curves
            downwards somewhere.
        positive: Largest over the smallest positive value; NaN if none is.
    """

    steps: int
    absolute: float
    signed: float
    positive: float


@dataclass(frozen=True, eq=False)
class HessianReport:
    """What was found of a Hessian.

    Attributes:
        group: Which parameters: ``"all"``, or a group's name.
        parameters: How many.
        loss: At the parameters.
        gradient_norm: Euclidean; small where training has converged.
        eigenvalues: The largest, in descending order, (k,); fewer than asked for if not all
            converged, and then there may be larger ones.
        residuals: Norm of H v - λ v for each unit vector v: an eigenvalue lies within so much.
        vectors: v, (n, k).
        trace: Mean over random signs z of zᵀ H z.
        trace_error: Its standard error.
        probes: How many z were drawn.
        conditions: Condition numbers after 25, 50 and 100 steps from the first random start. They
            vary with the steps and with the start: a ratio to the smallest magnitude hangs on the
            Ritz value that happens to be next to zero.
        density: Ritz values and weights of every random start: quadratures of the density.
        product: ``"difference"`` or ``"exact"``.
        check: Of difference products, for the first term of the loss; None for exact ones.
        products: How many were taken, besides those of the check.
        seconds: Wall time.
    """

    group: str
    parameters: int
    loss: float
    gradient_norm: float
    eigenvalues: np.ndarray
    residuals: np.ndarray
    vectors: np.ndarray
    trace: float
    trace_error: float
    probes: int
    conditions: tuple[ConditionNumber, ...]
    density: tuple[RitzValues, ...]
    product: str
    check: ProductCheck | None
    products: int
    seconds: float

    @property
    def lowest(self) -> float:
        """The smallest Ritz value of all starts; NaN if no Lanczos steps were taken."""
        return min((float(one.nodes[0]) for one in self.density), default=math.nan)


@dataclass(frozen=True)
class HessianSettings:
    """How much work goes into a report.

    Attributes:
        eigenvalues: How many of the largest.
        tolerance: Of these, relative to each.
        probes: Random vectors for the trace.
        steps: Lanczos steps from each start; 0 for none.
        starts: Random starts, over which the density is averaged.
        product: ``"difference"`` or ``"exact"``.
        spacing: Of the difference, see :class:`HessianProduct`.
        seed: Of everything random.
    """

    eigenvalues: int = 3
    tolerance: float = 1e-6
    probes: int = 50
    steps: int = 100
    starts: int = 1
    product: str = "difference"
    spacing: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("eigenvalues", "probes", "starts"):
            require_positive_int("hessian", name, getattr(self, name))
        if self.steps:
            require_positive_int("hessian", "steps", self.steps)
        require_choice("hessian", "product", self.product, PRODUCTS)


def condition_number(values: np.ndarray) -> ConditionNumber:
    """Ratios of eigenvalues or Ritz values.

    Args:
        values: In any order, at least one.

    Returns:
        The condition number under each definition; infinite where the smallest one is zero, and NaN
        where the largest one is, too.

    Examples:
        >>> condition_number(np.array([-1.0, 2.0, 8.0]))
        ConditionNumber(steps=3, absolute=8.0, signed=-8.0, positive=4.0)
    """
    sizes, positive = np.abs(values), values[values > 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return ConditionNumber(
            steps=len(values),
            absolute=float(sizes.max() / sizes.min()),
            signed=float(values.max() / values.min()),
            positive=float(positive.max() / positive.min()) if len(positive) else float("nan"),
        )
