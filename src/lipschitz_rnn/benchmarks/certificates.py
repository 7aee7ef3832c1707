"""How often each strength certifies where condition (a) fails, and what it costs."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lipschitz_rnn._base.markdown import markdown_table
from lipschitz_rnn.analysis.growth import STRENGTHS
from lipschitz_rnn.analysis.increments import System, make_system
from lipschitz_rnn.analysis.search import certify_system
from lipschitz_rnn.ops import NONLINEARITIES, TABLEAUX
from lipschitz_rnn.training.environment import describe_environment

FAMILY = ((8, 50), (16, 50), (32, 50), (64, 5))
"""Sizes N, and how many systems of each."""

BETA, STEP_SIZE = 0.75, 0.03
_TIMES = {"norm": (64, 128, 256, 512), "diagonal": (32, 64, 128), "full": (16, 32, 64)}

Report = Callable[[str], None]


def run_certificates(report: Report | None = None) -> dict[str, Any]:
    """Count and time; some minutes.

    Args:
        report: Takes a line of progress.

    Returns:
        Both, with the machine, as JSON can hold them.
    """
    return {
        "environment": describe_environment(),
        "family": {"beta": BETA, "step_size": STEP_SIZE, "share": [0.0, 1.0]},
        "times": time_strengths(report=report),
        "counts": count_certified(report=report),
    }


def random_system(size: int, seed: int, *, step_size: float | None, method: str) -> System:
    r"""A system that condition (a) does not certify, drawn from a stated family.

    .. math:: A = S_{\beta,0}(M_A) - \gamma I, \quad W = S_{\beta,0}(M_W), \quad
        \gamma = \lambda_{\max}(S(M_A)^{sym}) + u\,\|W\|_2

    with β = 0.75, entries of M_A and M_W normal with variance 1/N, and u uniform in [0, 1): the
    damping is that share of what condition (a) asks for.

    Args:
        size: N.
        seed: Of the draw.
        step_size: ε, or None for the flow.
        method: Of the step.

    Returns:
        The system, with σ = tanh.
    """
    rng = np.random.default_rng((size, seed))
    a, w = (_scheme(rng.standard_normal((size, size)) / np.sqrt(size)) for _ in range(2))
    share = rng.uniform(0.0, 1.0)
    damping = np.linalg.eigvalsh((a + a.T) / 2)[-1] + share * np.linalg.norm(w, 2)
    tanh, tableau = NONLINEARITIES["tanh"], TABLEAUX[method]
    return make_system(a - damping * np.eye(size), w, step_size, tableau, nonlinearity=tanh)


def _scheme(m: np.ndarray) -> np.ndarray:
    return m + (1 - 2 * BETA) * m.T


def count_certified(
    family: Sequence[tuple[int, int]] = FAMILY, report: Report | None = None
) -> list[dict[str, Any]]:
    """Count, for the flow and for the Euler step, the systems that each strength certifies.

    Args:
        family: Sizes and numbers of systems.
        report: Takes a line of progress.

    Returns:
        For each size and question, the number of systems and of those certified by each strength.
    """
    rows = []
    for size, count in family:
        for question, step_size in (("flow", None), ("euler", STEP_SIZE)):
            row: dict[str, Any] = {"size": size, "question": question, "systems": count}
            reached = dict.fromkeys(STRENGTHS, 0)
            for seed in range(count):
                system = random_system(size, seed, step_size=step_size, method="euler")
                found = certify_system(system, "auto", report=None)
                if found.holds:  # by this strength, and so by every stronger one
                    for strength in STRENGTHS[STRENGTHS.index(found.strength) :]:
                        reached[strength] += 1
            rows.append(row | {"certified": reached})
            if report is not None:
                report(f"N={size}, {question}: {reached} of {count}")
    return rows


def time_strengths(
    sizes: dict[str, tuple[int, ...]] | None = None, report: Report | None = None
) -> list[dict[str, Any]]:
    """Time each strength, searching for the fastest rate and proving it.

    Args:
        sizes: N, by strength.
        report: Takes a line of progress.

    Returns:
        Seconds, by strength, method and size; of ``norm`` alone, or with the weaker ones before.
    """
    rows = []
    for strength, chosen in (sizes or _TIMES).items():
        for method in ("euler", "midpoint"):
            for size in chosen:
                if strength == "full" and method == "midpoint" and size > 32:
                    continue
                system = random_system(size, 0, step_size=STEP_SIZE, method=method)
                began = time.perf_counter()
                found = certify_system(system, strength, report=None)
                seconds = time.perf_counter() - began
                rows.append(
                    {
                        "strength": strength,
                        "method": method,
                        "size": size,
                        "seconds": seconds,
                        "holds": found.holds,
                        "growth": found.growth,
                    }
                )
                if report is not None:
                    report(f"{strength}, {method}, N={size}: {seconds:.1f} s, {found.holds}")
    return rows


def certificate_tables(results: dict[str, Any]) -> str:
    """Times and counts as tables for the documentation.

    Args:
        results: What :func:`run_certificates` returned.

    Returns:
        Two tables in Markdown, with an empty line between.
    """
    times = {(row["strength"], row["method"], row["size"]): row for row in results["times"]}
    sizes = sorted({size for _, _, size in times})
    rows = []
    for strength, method in dict.fromkeys((strength, method) for strength, method, _ in times):
        found = [times.get((strength, method, size)) for size in sizes]
        cells = ["" if row is None else _seconds(row["seconds"]) for row in found]
        rows.append([f"`{strength}`, {method}", *cells])
    seconds = markdown_table(["seconds", *(f"N = {size}" for size in sizes)], rows, ["seconds"])
    rows = [
        [f"N = {row['size']}, {row['question']}", str(row["systems"])]
        + [str(row["certified"][name]) for name in STRENGTHS]
        for row in results["counts"]
    ]
    heads = ["certified", "systems", *(f"`{name}`" for name in STRENGTHS)]
    return "\n".join([*seconds, "", *markdown_table(heads, rows, ["certified"])])


def _seconds(time: float) -> str:
    return f"{time:.1f}" if time < 10 else f"{time:.0f}"
