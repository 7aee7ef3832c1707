"""Who is measured: each candidate is a forward and a training pass over the same problem."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lipschitz_rnn.benchmarks.loop import loop
from lipschitz_rnn.benchmarks.shapes import Shape
from lipschitz_rnn.ops import library, lipschitz_scan

STEP_SIZE = 0.03
NATIVE = "native"
LABELS = {
    NATIVE: "native",
    "loop": "eager loop",
    "rnn": "nn.RNN",
    "gru": "nn.GRU",
    "lstm": "nn.LSTM",
    "jax": "jax.lax.scan",
}
"""Every candidate, with its name in tables."""

SAME_UNIT = (NATIVE, "loop", "jax")
"""Those that compute the Lipschitz unit, whose operations :meth:`Shape.operations` counts."""


@dataclass(frozen=True)
class Candidate:
    """One way to compute a problem.

    Attributes:
        forward: Returns the last state, (B, N); nothing is recorded for gradients.
        training: Returns the gradients of ``<last state, direction>`` by h0 and all weights; by the
            input none is computed.
    """

    forward: Callable[[], Any]
    training: Callable[[], Any]


@dataclass(frozen=True)
class Problem:
    """Random numbers of a shape.

    Attributes:
        input: (T, B, P).
        weights: h0, A, W, U and b; the eigenvalues of A lie about -1, so that nothing grows.
        direction: (B, N), what the last state is multiplied with for a loss.
    """

    input: Tensor
    weights: tuple[Tensor, ...]
    direction: Tensor


def make_problem(shape: Shape, generator: torch.Generator) -> Problem:
    """Draw a problem.

    Args:
        shape: Its sizes.
        generator: Source of randomness.

    Returns:
        The problem, in float32; its weights require gradients.
    """

    def draw(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator)

    batch, hidden, features = shape.batch, shape.hidden, shape.features
    square = hidden**-0.5
    weights = (
        draw(batch, hidden),
        0.5 * square * draw(hidden, hidden) - torch.eye(hidden),
        square * draw(hidden, hidden),
        features**-0.5 * draw(hidden, features),
        draw(hidden),
    )
    input = draw(shape.steps, batch, features)
    return Problem(input, tuple(x.requires_grad_() for x in weights), draw(batch, hidden))


def why_missing(name: str) -> str | None:
    """Why a candidate cannot be measured here, as a sentence without a full stop; None if it can.

    Args:
        name: One of LABELS.

    Returns:
        The reason, or None.
    """
    if name == NATIVE and isinstance(library.library, library.Missing):
        return library.library.reason
    if name == "jax":
        try:
            importlib.import_module("jax")
        except ImportError as error:
            return f"jax cannot be imported: {error}"
    return None


def build(name: str, problem: Problem) -> Candidate:
    """Make a candidate for a problem.

    Args:
        name: One of LABELS.
        problem: The problem.

    Returns:
        The candidate.
    """
    if name == NATIVE:
        return _build_from_last(problem, _native)
    if name == "loop":
        return _build_from_last(problem, _loop)
    if name == "jax":
        from lipschitz_rnn.benchmarks.jax_scan import build_jax

        return build_jax(problem)
    return _build_layer({"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[name], problem)


def _native(input: Tensor, *weights: Tensor) -> Tensor:
    # The public op, as a layer calls it: checks, dispatch and autograd are part of its time.
    h0, a, w, u, b = weights
    return lipschitz_scan(
        input, h0, a, w, u, b, step_size=STEP_SIZE, backend="native", output="last"
    )


def _loop(input: Tensor, *weights: Tensor) -> Tensor:
    return loop(input, *weights, STEP_SIZE, keep_states=False)[0]  # type: ignore[misc,arg-type]


def _build_from_last(problem: Problem, last: Callable[..., Tensor]) -> Candidate:
    def forward() -> Tensor:
        with torch.no_grad():
            return last(problem.input, *problem.weights)

    def training() -> tuple[Tensor, ...]:
        loss = (last(problem.input, *problem.weights) * problem.direction).sum()
        return torch.autograd.grad(loss, problem.weights)

    return Candidate(forward, training)


def _build_layer(kind: Callable[[int, int], nn.RNNBase], problem: Problem) -> Candidate:
    """One of torch's layers, on the same input and the same initial state."""
    _, batch, features = problem.input.shape
    hidden = problem.direction.shape[1]
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        layer = kind(features, hidden)
    h0 = problem.weights[0].detach().view(1, batch, hidden).requires_grad_()
    is_lstm = isinstance(layer, nn.LSTM)
    hx = (h0, torch.zeros_like(h0).requires_grad_()) if is_lstm else h0
    wanted = (*(hx if isinstance(hx, tuple) else (hx,)), *layer.parameters())

    def last() -> Tensor:
        h_n = layer(problem.input, hx)[1]
        state: Tensor = (h_n[0] if is_lstm else h_n)[0]  # (B, N)
        return state

    def forward() -> Tensor:
        with torch.no_grad():
            return last()

    def training() -> tuple[Tensor, ...]:
        return torch.autograd.grad((last() * problem.direction).sum(), wanted)

    return Candidate(forward, training)
