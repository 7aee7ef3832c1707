"""Problems that know their answer."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Problem:
    """Arguments of `lipschitz_scan`, in its order."""

    input: Tensor
    h0: Tensor
    a: Tensor | None
    w: Tensor
    u: Tensor
    b: Tensor | None

    @property
    def args(self):
        return self.input, self.h0, self.a, self.w, self.u, self.b


def random_problem(T=5, B=3, P=2, H=4, *, linear=True, bias=True, dtype=torch.float64, seed=0):
    """A damped random system, so that errors neither grow nor vanish."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    scale = H**-0.5
    a = scale * draw(H, H) - 2 * torch.eye(H, dtype=torch.float64)
    w, u, b = scale * draw(H, H), draw(H, P), draw(H)
    problem = draw(T, B, P), draw(B, H), a if linear else None, w, u, b if bias else None
    return Problem(*(None if x is None else x.to(dtype) for x in problem))


def affine_generator(problem, x):
    """G with d/dt (h, 1) = G (h, 1) for σ = identity and a held input x of one sample."""
    hidden = problem.w.shape[0]
    k = problem.w if problem.a is None else problem.a + problem.w
    drive = problem.u @ x + (0 if problem.b is None else problem.b)
    g = torch.zeros(hidden + 1, hidden + 1, dtype=k.dtype)
    g[:hidden, :hidden], g[:hidden, hidden] = k, drive
    return g


def affine_states(problem, step_size, propagator):
    """States of the linear problem when each step applies ``propagator(step_size * G)``."""
    states = []
    h = problem.h0
    for x in problem.input:
        rows = []
        for sample, state in zip(x, h, strict=True):
            g = affine_generator(problem, sample)
            extended = torch.cat((state, torch.ones(1, dtype=state.dtype)))
            rows.append((propagator(step_size * g) @ extended)[:-1])
        h = torch.stack(rows)
        states.append(h)
    return torch.stack(states)


def taylor(order):
    """The stability function of every explicit method whose stages equal its order: 1 + z + ..."""

    def propagator(z):
        result = term = torch.eye(len(z), dtype=z.dtype)
        for power in range(1, order + 1):
            term = term @ z / power
            result = result + term
        return result

    return propagator
