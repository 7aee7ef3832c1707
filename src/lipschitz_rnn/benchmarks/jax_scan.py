"""The same unit by ``jax.lax.scan``, compiled; the one file that needs jax."""

import importlib
from typing import Any

from lipschitz_rnn.benchmarks.candidates import STEP_SIZE, Candidate, Problem


def build_jax(problem: Problem) -> Candidate:
    """Make the candidate, and compile it, which takes seconds and must not be timed.

    Args:
        problem: The problem.

    Returns:
        The candidate. It computes on as many threads as jax likes: that is settled once a process.
    """
    # imported by name: neither jax nor its types are among what this package needs
    jax, jnp = importlib.import_module("jax"), importlib.import_module("jax.numpy")
    input = jnp.asarray(problem.input.numpy())
    weights = tuple(jnp.asarray(x.detach().numpy()) for x in problem.weights)
    direction = jnp.asarray(problem.direction.numpy())

    def last(weights: Any, input: Any) -> Any:
        h0, a, w, u, b = weights
        matrices = jnp.concatenate((a, w)).T  # (N, 2N)

        def step(h: Any, z: Any) -> tuple[Any, None]:
            linear, recurrent = jnp.split(h @ matrices, 2, axis=-1)
            return h + STEP_SIZE * (linear + jnp.tanh(recurrent + z)), None

        return jax.lax.scan(step, h0, input @ u.T + b)[0]

    def loss(weights: Any, input: Any) -> Any:
        return (last(weights, input) * direction).sum()

    run, differentiate = jax.jit(last), jax.jit(jax.grad(loss))
    candidate = Candidate(
        lambda: jax.block_until_ready(run(weights, input)),
        lambda: jax.block_until_ready(differentiate(weights, input)),
    )
    candidate.forward()
    candidate.training()
    return candidate
