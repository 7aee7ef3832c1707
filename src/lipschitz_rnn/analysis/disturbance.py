"""How far rounding moves the logits that a certified model computes.

Note [Disturbance]
    Let η be what rounding adds to a step (rounding_bound), and e the error of the inputs: that of
    the layers below; 0 for the first. The computed trajectory is a disturbed one, so

        ‖h̃_t - h_t‖_P ≤ Σ_{i<T} ρ^i (‖P‖₂^{1/2} η + κ e) =: E,

    times the dual norm of the row of the head, plus the head's own rounding.

    η needs bounds on what is computed, which is not bounded before it is known to stay near what
    is exact. So a bound H̃ on the computed states is tried: if H + E(η(H̃)) ≤ H̃, with H that of
    exact states, then H̃ holds by induction over time.

    H is the bound that holds for all inputs of a given size, or a smaller one that is known of the
    inputs at hand: of a sample that is computed in float64, within that E, and of others as far
    from it as the gain to the states allows.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from lipschitz_rnn.analysis.gains import HeadNorms, weighted
from lipschitz_rnn.analysis.norms import geometric_sum, together, up
from lipschitz_rnn.analysis.responses import UnitResponse
from lipschitz_rnn.analysis.rounding import gamma, rounding_bound
from lipschitz_rnn.linalg.balls import UNIT
from lipschitz_rnn.ops import lipschitz_scan

LARGEST = 1e6
"""Radii are not followed beyond this: rounding is bounded for bounded inputs only."""

_GRID = 8  # bounds are rounded up to powers of 2^(1/8), so that samples share what follows
_ABOVE = 1 + 1e-9  # far above the errors of a logarithm, a power or a norm in float64


@dataclass(frozen=True, eq=False)
class Errors:
    """Bounds on the errors of computed states, of inputs within a bound.

    Attributes:
        units: Euclidean, of every unit.
        last: In the P-norms of the last layer, one a direction.
        state: Bound on the last layer's computed states, both directions side by side.
    """

    units: tuple[float, ...]
    last: list[float]
    state: float


@dataclass(frozen=True, eq=False)
class Disturbance:
    """Bounds on what rounding does to one model; see Note [Disturbance].

    Attributes:
        layers: Its units, by layer and direction.
        norms: Of its head.
        bias: Absolute values of the head's, (C,).
        horizon: T.
        dtype: What it computes in.
    """

    layers: list[list[UnitResponse]]
    norms: HeadNorms
    bias: np.ndarray
    horizon: int
    dtype: torch.dtype
    _known: dict[tuple[float, ...], np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(
        cls, layers: list[list[UnitResponse]], norms: HeadNorms, head: nn.Linear, horizon: int
    ) -> "Disturbance":
        """Of a model in the dtype of its head.

        Args:
            layers: Its units.
            norms: Of the head.
            head: The head.
            horizon: T.

        Returns:
            The bounds.
        """
        bias = np.zeros(len(head.weight))
        if head.bias is not None:
            bias = abs(head.bias.detach().to("cpu", torch.float64).numpy())
        return cls(layers, norms, bias, horizon, head.weight.dtype)

    def of_pairs(self, input_bound: float, states: tuple[float, ...]) -> np.ndarray:
        """On the error of every difference of two logits.

        Args:
            input_bound: On the norm of each input.
            states: On the exact states of every unit; infinite where nothing is known.

        Returns:
            The bounds, (C, C).
        """
        if not input_bound < LARGEST**2:  # not a number, perhaps
            return np.full_like(self.norms.pairs[0], math.inf)
        key = tuple(_on_grid(bound) for bound in (input_bound, *states))
        if key not in self._known:
            errors = self.errors(key[0], key[1:])
            own = self._of_head(errors.state)
            total = weighted(self.norms.pairs, errors.last) + own[:, None] + own
            self._known[key] = np.asarray(total * (1 + 8 * UNIT))
        return self._known[key]

    def errors(
        self, x: float, states: tuple[float, ...], dtype: torch.dtype | None = None
    ) -> Errors:
        """On the errors of computed states.

        Args:
            x: Bound on the norm of each input.
            states: On the exact states of every unit.
            dtype: What is computed in; that of the model if None.

        Returns:
            The bounds.
        """
        off, known, units = 0.0, iter(states), []
        dtype = dtype or self.dtype
        for layer in self.layers:
            exact = [min(r.state_bound(x, self.horizon), next(known)) for r in layer]
            last = [
                self._settle(r, bound, up(x + off), off, dtype)
                for r, bound in zip(layer, exact, strict=True)
            ]
            euclid = [r.metric.in_euclid(error) for r, error in zip(layer, last, strict=True)]
            units += euclid
            x, off = together(exact), together(euclid)
        return Errors(tuple(units), last, up(x + off))

    def _settle(
        self, response: UnitResponse, exact: float, x: float, off: float, dtype: torch.dtype
    ) -> float:
        """E in the P-norm, for bounds on exact states, on computed inputs and on their error."""
        metric, limit = response.metric, exact * (1 + 1e-4) + 1e-30
        total = geometric_sum(response.contraction, self.horizon)
        for _ in range(64):
            lost = rounding_bound(response.unit, limit, x, dtype, norms=response.norms)
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

    def bound_states(self, input: Tensor) -> np.ndarray:
        """How large the exact states of samples become.

        Args:
            input: The samples, (T, B, P).

        Returns:
            Bounds, (units, B): what is computed in float64, and what that may be off.
        """
        x = input.detach().to("cpu", torch.float64)
        lengths = x.norm(dim=-1).amax(0).numpy() * _ABOVE
        largest: list[np.ndarray] = []
        for layer in self.layers:
            found = [_run(response, x) for response in layer]
            largest += [states.norm(dim=-1).amax(0).numpy() * _ABOVE for states in found]
            x = torch.cat(found, -1)
        nothing = (math.inf,) * len(largest)
        off = [
            self.errors(_on_grid(length), nothing, torch.float64).units if length < LARGEST**2
            else nothing for length in lengths
        ]  # fmt: skip
        return np.asarray((np.stack(largest) + np.array(off).T) * (1 + 4 * UNIT))


def _run(response: UnitResponse, input: Tensor) -> Tensor:
    """States of a unit from zero, (T, B, H), in float64 and in the order of the inputs."""
    unit = response.unit
    a, w, u, b = (None if m is None else torch.from_numpy(m).double() for m in
                  (unit.a, unit.w, unit.u, unit.b))  # fmt: skip
    reverse = unit.name.endswith("_reverse")
    states = lipschitz_scan(
        input.flip(0) if reverse else input,
        input.new_zeros(input.shape[1], len(unit.w)),
        a,
        w,  # type: ignore[arg-type]
        u,  # type: ignore[arg-type]
        b,
        step_size=unit.step_size,
        method=unit.tableau,
        nonlinearity=unit.nonlinearity,
        substeps=unit.substeps,
    )
    return states.flip(0) if reverse else states


def _on_grid(bound: float) -> float:
    """The bound, or a little more: a power that many bounds share."""
    if not bound < math.inf:
        return bound
    exponent = math.ceil(_GRID * math.log2(max(bound, 2.0**-20)))
    return float(2.0 ** (exponent / _GRID)) * _ABOVE
