"""Metrics and multipliers that prove a smaller growth, by an interior-point method."""

import itertools
import math
import time

import numpy as np
import scipy.linalg

from lipschitz_rnn.analysis.increments import System, Term, assemble, quadratic_form


class Barrier:
    r"""Maximise the slack s with :math:`S(P, T; g) \succeq s\,E_0^\top P_0 E_0` at a fixed scale.

    S is linear in P and T and homogeneous, so the scale is fixed by a linear equation. The path of

    .. math:: \min_{P, T, s}\; -\tau s - \log\det(S - s E_0^\top P_0 E_0) - \log\det P -
        \sum \log T

    is followed by Newton's method while τ grows. All derivatives come from the Gram matrix of the
    rows of S in the metric of its inverse, :math:`G_{pq} = Z_p S^{-1} Z_q^\top`: for two terms with
    weights K and K',

    .. math:: D^2(-\log\det S)[X, Y] = \sum_{ps} \operatorname{tr}\bigl(X\,(K G K')_{ps}\,Y\,
        G_{ps}^\top\bigr),

    which for diagonal X and Y is the elementwise product of two matrices. That is why this is
    written here: a general solver for semidefinite programs works with all entries of S (for N = 64
    and one stage 8,256 of them, and the square of that), this one with the variables.

    Args:
        system: The system.
        metric: P to start with, (N,) for a diagonal one, else (N, N).
        multipliers: T_i to start with.

    References:
        Boyd, Vandenberghe (2004), Convex Optimization, sec. 9.6 and 11.3.
    """

    def __init__(
        self, system: System, metric: np.ndarray, multipliers: tuple[np.ndarray, ...]
    ) -> None:
        self._system = system
        self._full = metric.ndim == 2
        self._size = system.size
        self._upper = np.triu_indices(self._size)
        self._x = np.concatenate([self._pack(metric), *multipliers, [0.0]])  # the last is s
        count = self._metric_count
        weight = np.zeros_like(self._x)
        diagonal = self._upper[0] == self._upper[1] if self._full else slice(None)
        weight[:count][diagonal] = 1 / self._x[:count][diagonal].sum()
        weight[count:-1] = 1 / self._x[count:-1].sum()
        self._weight = weight
        self._tau = 0.0
        self._anchor = np.zeros((0, 0))

    @property
    def _metric_count(self) -> int:
        return len(self._upper[0]) if self._full else self._size

    @property
    def variables(self) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """P and T_i where it stands."""
        return self._split(self._x)

    def improve(self, growth: float, room: float, *, until: float = math.inf) -> float:
        """Raise s as far as it goes, for the g that the present variables just prove.

        Args:
            growth: g.
            room: Above 0: with g + room in place of g the variables prove it strictly.
            until: ``time.monotonic()`` at which to stop.

        Returns:
            s: above 0 if a smaller growth has been found.
        """
        terms = quadratic_form(self._system, growth)
        metric, _ = self._split(self._x)
        full = metric if self._full else np.diag(metric)
        rows = np.asarray(terms[0].rows[0])
        self._anchor = rows.T @ full @ rows
        self._x[-1] = -room
        count = self._anchor.shape[0] + len(self._x)  # about the barrier's parameter
        self._tau = count / (10 * room)
        while self._center(terms, until):
            gap, slack = count / self._tau, self._x[-1]
            if gap < 0.2 * abs(slack) or gap < 1e-7 * room or time.monotonic() > until:
                break
            self._tau *= 8
        return float(self._x[-1])

    def _center(self, terms: list[Term], until: float) -> bool:
        """Newton's method at a fixed τ; False where it can go no further."""
        value = self._value(terms, self._x)
        for _ in range(60):
            if not math.isfinite(value) or time.monotonic() > until:
                return False
            direction, decrement = self._newton(terms)
            if direction is None:
                return False
            if decrement < 0.5:
                return True
            moved = self._line_search(terms, direction, decrement, value)
            if moved is None:
                return False
            value = moved
        return False

    def _line_search(
        self, terms: list[Term], direction: np.ndarray, decrement: float, value: float
    ) -> float | None:
        step = 1.0
        while step > 1e-4:
            new = self._value(terms, self._x + step * direction)
            if new <= value - 0.1 * step * decrement**2:
                self._x = self._x + step * direction
                return new
            step *= 0.5 if step > 0.3 else 0.3
        return None

    def _value(self, terms: list[Term], x: np.ndarray) -> float:
        metric, multipliers = self._split(x)
        form = assemble(terms, [metric, *multipliers]) - x[-1] * self._anchor
        total = -self._tau * float(x[-1])
        for matrix in (form, metric, *multipliers):
            if matrix.ndim == 1:
                if matrix.min() <= 0:
                    return math.inf
                total -= float(np.log(matrix).sum())
                continue
            try:
                factor = np.linalg.cholesky(matrix)
            except np.linalg.LinAlgError:
                return math.inf
            total -= 2 * float(np.log(factor.diagonal()).sum())
        return total

    def _newton(self, terms: list[Term]) -> tuple[np.ndarray | None, float]:
        """Newton's direction within the scale, and its decrement."""
        gradient, hessian = self._derivatives(terms)
        # the variables differ by orders of magnitude; relative ones do not
        if not (hessian.diagonal() > 0).all():  # the digits are used up: near a singular S
            return None, math.inf
        scale = 1 / np.sqrt(hessian.diagonal())
        hessian *= scale[:, None]
        hessian *= scale
        try:
            factor = scipy.linalg.cho_factor(hessian, lower=True, overwrite_a=True)
        except (np.linalg.LinAlgError, ValueError):
            return None, math.inf
        weight = self._weight * scale
        solved = scipy.linalg.cho_solve(factor, np.stack([scale * gradient, weight], 1))
        price = (weight @ solved[:, 0]) / (weight @ solved[:, 1])
        direction = scale * (price * solved[:, 1] - solved[:, 0])
        square = -float(gradient @ direction)
        return direction, math.sqrt(max(square, 0.0))

    def _derivatives(self, terms: list[Term]) -> tuple[np.ndarray, np.ndarray]:
        metric, multipliers = self._split(self._x)
        form = assemble(terms, [metric, *multipliers]) - self._x[-1] * self._anchor
        factor = np.linalg.cholesky(form)
        rows = np.concatenate([row for term in terms for row in term.rows])
        half = scipy.linalg.solve_triangular(factor, rows.T, lower=True)
        size, count = self._size, len(terms)
        blocks = _blocks(half.T @ half, size)
        total = len(self._x)
        starts = [0, *(self._metric_count + size * i for i in range(count))]
        parts = [slice(a, b) for a, b in itertools.pairwise(starts)]
        gradient, hessian = np.zeros(total), np.zeros((total, total))
        for g, here in enumerate(parts):
            gradient[here] = -self._slope(terms[g].weights, blocks, g)
            for h, there in enumerate(parts[g:], g):
                part = self._curvature(terms, blocks, g, h)
                hessian[here, there] = part
                hessian[there, here] = part.T
        inner = scipy.linalg.solve_triangular(factor, self._anchor, lower=True)
        inner = scipy.linalg.solve_triangular(factor, inner.T, lower=True)  # of s, whitened
        gradient[-1] = np.trace(inner) - self._tau
        hessian[-1, -1] = np.sum(inner**2)
        blocks = _blocks(half.T @ inner @ half, size)
        for g, here in enumerate(parts):
            mixed = -self._slope(terms[g].weights, blocks, g)
            hessian[-1, here] = hessian[here, -1] = mixed
        self._add_own_barriers(gradient, hessian, metric, multipliers)
        return gradient, hessian

    def _slope(self, weights: np.ndarray, blocks: np.ndarray, g: int) -> np.ndarray:
        matrix = sum(
            weights[p, q] * blocks[2 * g + p, 2 * g + q]
            for p in (0, 1)
            for q in (0, 1)
            if weights[p, q] != 0
        )
        if g == 0 and self._full:
            i, j = self._upper
            symmetric = (matrix + matrix.T)[i, j]
            return np.asarray(np.where(i == j, symmetric / 2, symmetric))
        return np.asarray(np.diagonal(matrix))

    def _curvature(self, terms: list[Term], blocks: np.ndarray, g: int, h: int) -> np.ndarray:
        """Second derivatives of -log det S by the variables of two terms."""
        sandwich = np.einsum(
            "pq,qrab,rs->psab",
            terms[g].weights,
            blocks[2 * g : 2 * g + 2, 2 * h : 2 * h + 2],
            terms[h].weights,
            optimize=True,
        )
        plain = blocks[2 * g : 2 * g + 2, 2 * h : 2 * h + 2]
        if g or not self._full:
            return np.asarray(np.einsum("psab,psab->ab", sandwich, plain))
        i, j = self._upper
        half = np.where(i == j, 0.5, 1.0)
        if h:  # a full metric against a diagonal multiplier
            both = np.einsum("psbk,psak->abk", sandwich, plain, optimize=True)
            return np.asarray(half[:, None] * (both[i, j] + both[j, i]))
        four = np.einsum("psbc,psad->abcd", sandwich, plain, optimize=True)
        four = four[i, j] + four[j, i]  # (pairs, c, d)
        return np.asarray(half[:, None] * (four[:, i, j] + four[:, j, i]) * half)

    def _add_own_barriers(
        self,
        gradient: np.ndarray,
        hessian: np.ndarray,
        metric: np.ndarray,
        multipliers: tuple[np.ndarray, ...],
    ) -> None:
        count = self._metric_count
        positive = np.concatenate([*(() if self._full else (metric,)), *multipliers])
        where = np.arange(count if self._full else 0, len(self._x) - 1)
        gradient[where] -= 1 / positive
        hessian[where, where] += 1 / positive**2
        if self._full:
            inverse = np.linalg.inv(metric)
            i, j = self._upper
            half = np.where(i == j, 0.5, 1.0)
            gradient[:count] -= 2 * half * inverse[i, j]
            pairs = inverse[np.ix_(i, i)] * inverse[np.ix_(j, j)]
            pairs += inverse[np.ix_(i, j)] * inverse[np.ix_(j, i)]
            hessian[:count, :count] += 2 * half[:, None] * pairs * half

    def _pack(self, metric: np.ndarray) -> np.ndarray:
        return metric[self._upper] if self._full else metric

    def _split(self, x: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        count = self._metric_count
        multipliers = tuple(x[count:-1].reshape(-1, self._size))
        if not self._full:
            return x[:count], multipliers
        metric = np.zeros((self._size, self._size))
        metric[self._upper] = x[:count]
        return np.triu(metric) + np.triu(metric, 1).T, multipliers


def _blocks(gram: np.ndarray, size: int) -> np.ndarray:
    """A Gram matrix of stacked rows as (2 terms, 2 terms, N, N)."""
    count = len(gram) // size
    return gram.reshape(count, size, count, size).transpose(0, 2, 1, 3)
