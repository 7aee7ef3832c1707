"""Explicit Runge-Kutta methods as data: a Butcher tableau and its order."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_choice
from lipschitz_rnn._base.typing import VectorField


@dataclass(frozen=True)
class ButcherTableau:
    r"""Coefficients of an explicit Runge-Kutta method.

    .. math::
        k_i = f\Bigl(h + \varepsilon \sum_{j<i} a_{ij} k_j\Bigr), \qquad
        h_{+} = h + \varepsilon \sum_i b_i k_i

    Attributes:
        name: The string that the ``method`` arguments accept.
        order: Order of accuracy: the error at a fixed time shrinks as ε to this power. A test
            measures it.
        a_lower: The strictly lower triangle, row by row: stage i uses the i values of ``a_lower[i -
            1]``.
        b: Weights of the stages.
        c: Times of the stages within the step. The input is held over a step, so they enter no
            formula here; they are kept for completeness and equal the row sums of ``a_lower``.

    References:
        Hairer, Nørsett, Wanner (1993), Solving Ordinary Differential Equations I, sec. II.1.
    """

    name: str
    order: int
    a_lower: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse coefficients that do not fit together."""
        stages = len(self.b)
        lengths = tuple(len(row) for row in self.a_lower)
        if stages < 1 or len(self.c) != stages or lengths != tuple(range(1, stages)):
            raise ValueError(
                f"ButcherTableau {self.name!r}: expected {stages} weights and times and rows of "
                f"length 1..{stages - 1} in `a_lower`, got {len(self.c)} times and rows of length "
                f"{lengths}."
            )


EULER = ButcherTableau("euler", 1, (), (1.0,), (0.0,))
MIDPOINT = ButcherTableau("midpoint", 2, ((0.5,),), (0.0, 1.0), (0.0, 0.5))
HEUN = ButcherTableau("heun", 2, ((1.0,),), (0.5, 0.5), (0.0, 1.0))
RK4 = ButcherTableau(
    "rk4",
    4,
    ((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
    (1 / 6, 1 / 3, 1 / 3, 1 / 6),
    (0.0, 0.5, 0.5, 1.0),
)

TABLEAUX: dict[str, ButcherTableau] = {item.name: item for item in (EULER, MIDPOINT, HEUN, RK4)}
"""Every method that can be asked for by name; the authors use ``euler`` and ``midpoint``."""


def as_tableau(where: str, method: str | ButcherTableau) -> ButcherTableau:
    """Look a method up by name; a tableau passes through."""
    if isinstance(method, ButcherTableau):
        return method
    require_choice(where, "method", method, TABLEAUX)
    return TABLEAUX[method]


def _advance(
    h: Tensor, slopes: list[Tensor], weights: tuple[float, ...], step_size: float | Tensor
) -> Tensor:
    for slope, weight in zip(slopes, weights, strict=True):
        if weight == 0.0:
            continue
        scaled = step_size if weight == 1.0 else weight * step_size
        h = h + scaled * slope if isinstance(scaled, Tensor) else torch.add(h, slope, alpha=scaled)
    return h


def explicit_step(
    tableau: ButcherTableau, field: VectorField, h: Tensor, step_size: float | Tensor
) -> Tensor:
    """One step of an explicit Runge-Kutta method for ``dh/dt = field(h)``.

    Args:
        tableau: The method.
        field: The right-hand side; its input is held over the step, so it depends on the state
            alone.
        h: State, shape ``(..., H)``.
        step_size: ε, a float or a tensor that broadcasts against ``h``.

    Returns:
        The state one step later, shape of ``h``.
    """
    slopes = [field(h)]
    for row in tableau.a_lower:
        slopes.append(field(_advance(h, slopes, row, step_size)))
    return _advance(h, slopes, tableau.b, step_size)
