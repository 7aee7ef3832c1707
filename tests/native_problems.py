"""Calls of the kernel as data, and their gradients on any backend."""

from dataclasses import dataclass

import torch

from lipschitz_rnn.ops import lipschitz_scan

NAMES = ("input", "h0", "a", "w", "u", "b")
ALL = (*NAMES, "step_size")

# T, B, N, P: ones, sizes around vectors (2 to 16 lanes), around tiles (6 and 13 rows) and chunks of
# tiles (30 and 65 rows), and both ways of gathering dU (P up to half a vector, and above).
SHAPES = [
    (1, 1, 1, 1),
    (1, 1, 16, 1),
    (1, 5, 33, 4),
    (2, 3, 7, 2),
    (5, 13, 1, 1),
    (9, 1, 40, 3),
    (12, 14, 31, 1),
    (20, 27, 17, 9),
    (33, 6, 64, 16),
    (7, 70, 48, 1),
    (6, 140, 20, 5),
    (4, 2, 130, 100),
    (50, 3, 15, 0),
    (40, 16, 96, 1),
]


@dataclass(frozen=True)
class Arguments:
    """Of `lipschitz_scan`, in float64."""

    tensors: dict
    step_size: object
    options: dict

    def to(self, dtype):
        tensors = {k: None if x is None else x.to(dtype) for k, x in self.tensors.items()}
        step = self.step_size
        step = step.to(dtype) if isinstance(step, torch.Tensor) else step
        return Arguments(tensors, step, self.options)


def make(shape, *, linear=True, bias=True, steps="number", dtype=torch.float64, **options):
    """Damped, and inside the range where 1 - tanh² loses no digits: |z| stays below 2 or so."""
    T, B, N, P = shape
    g = torch.Generator().manual_seed(hash(shape) % 1000)

    def draw(*size):
        return torch.rand(*size, generator=g, dtype=torch.float64) * 2 - 1

    scale = 0.5 * N**-0.5
    a = scale * draw(N, N) - torch.eye(N, dtype=torch.float64)
    tensors = {
        "input": draw(T, B, P),
        "h0": draw(B, N),
        "a": a if linear else None,
        "w": scale * draw(N, N),
        "u": draw(N, P) * max(P, 1) ** -0.5,
        "b": 0.3 * draw(N) if bias else None,
    }
    table = {
        "number": 0.1,
        "scalar": torch.tensor(0.1, dtype=torch.float64),
        "per step": 0.1 * draw(T).abs(),
        "per sample": 0.1 * draw(T, B).abs(),
    }
    # rounded once, so that every precision solves the same problem
    made = Arguments(tensors, table[steps], options)
    return made.to(torch.float32).to(torch.float64) if dtype == torch.float32 else made


def run(arguments, backend, weights="states", wanted=NAMES):
    """Output and gradients of a random linear function of it; ``wanted`` may hold "step_size"."""
    leaves = {
        k: None if x is None else x.clone().requires_grad_(k in wanted)
        for k, x in arguments.tensors.items()
    }
    step = arguments.step_size
    if "step_size" in wanted:
        step = leaves["step_size"] = step.clone().requires_grad_()
    tensors = [leaves[name] for name in NAMES]
    out = lipschitz_scan(*tensors, step_size=step, backend=backend, **arguments.options)
    g = torch.Generator().manual_seed(7)
    v = torch.randn(out.shape, generator=g, dtype=torch.float64).to(out.dtype)
    v = v.to(torch.float32).to(out.dtype)  # the same numbers in both precisions
    loss = (out * v).sum() if weights == "states" else (out[-1] * v[-1]).sum()
    inputs = [x for x in leaves.values() if x is not None and x.requires_grad]
    found = iter(torch.autograd.grad(loss, inputs))
    result = {"output": out.detach()}
    for name, x in leaves.items():
        if x is not None and x.requires_grad:
            result[name] = next(found)
    return result
