"""A whole benchmark: every shape, every candidate, and the conditions they were measured under."""

import datetime
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from lipschitz_rnn.benchmarks.candidates import (
    LABELS,
    NATIVE,
    SAME_UNIT,
    build,
    make_problem,
    why_missing,
)
from lipschitz_rnn.benchmarks.measure import Clock, alternate, spread
from lipschitz_rnn.benchmarks.peak import Peak
from lipschitz_rnn.benchmarks.shapes import SHAPES, Shape, on_threads
from lipschitz_rnn.ops import library, release_memory
from lipschitz_rnn.training.device import use_threads
from lipschitz_rnn.training.environment import describe_environment

Times = dict[tuple[str, str], list[float]]
_PEAK, _SETTLE = "peak", "settle"


@dataclass(frozen=True)
class Settings:
    """What is measured, and for how long.

    Attributes:
        shapes: The problems.
        candidates: Names of those to measure, of ``native``, ``loop``, ``rnn``, ``gru``, ``lstm``
            and ``jax``.
        threads: Threads of every candidate, where a shape does not fix its own.
        repeats: Rounds; the native kernel takes part in each.
        seconds: Budget of each other candidate for each pass on each shape: those too slow for it
            take part in fewer rounds.
    """

    shapes: tuple[Shape, ...] = SHAPES
    candidates: tuple[str, ...] = tuple(LABELS)
    threads: int = 2
    repeats: int = 9
    seconds: float = 7.0


def run_benchmark(
    settings: Settings,
    *,
    report: Callable[[str], None] | None = None,
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Measure forward and training passes of all candidates, in turn.

    A training pass is one call with gradients of h0 and all weights, none of the input; the native
    one goes through the public op, so torch's overheads are part of it. The native kernel and the
    machine's peak are measured in every round. Afterwards torch's number of threads is as it was.

    Args:
        settings: What to measure.
        report: Takes a line for what is missing and for each shape before it is measured.
        clock: Seconds.

    Returns:
        A table that JSON can hold: ``conditions``, and ``shapes``, each with its targets, its peak
        (None without the native library), and for every candidate and pass the median and
        quartiles in seconds, the number of repeats, the time as a multiple of the native one, and
        for the Lipschitz unit the fraction of the peak.
    """
    tell = report or (lambda line: None)
    reasons = {name: why_missing(name) for name in settings.candidates}
    missing = {name: reason for name, reason in reasons.items() if reason}
    for name, reason in missing.items():
        tell(f"{LABELS[name]} is not measured: {reason}.")
    conditions = _conditions(settings, missing)
    present = tuple(name for name in settings.candidates if name not in missing)
    shapes = []
    for shape in settings.shapes:
        settled = on_threads(shape, settings.threads)
        tell(f"measuring {settled.name} on {settled.threads} thread(s) ...")
        shapes.append(_measure_shape(settled, present, settings, clock))
    return {"conditions": conditions | {"load_average_end": _load()}, "shapes": shapes}


def _conditions(settings: Settings, missing: dict[str, str]) -> dict[str, Any]:
    has_library = not isinstance(library.library, library.Missing)
    return describe_environment() | {
        "threads": settings.threads,
        "variant": library.variant_name() if has_library else None,
        "missing": missing,
        "repeats": settings.repeats,
        "seconds": settings.seconds,
        "dtype": "float32",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "load_average_start": _load(),
    }


def _measure_shape(
    shape: Shape, names: tuple[str, ...], settings: Settings, clock: Clock
) -> dict[str, Any]:
    assert shape.threads is not None
    with use_threads(shape.threads):
        problem = make_problem(shape, torch.Generator().manual_seed(0))
        candidates = {name: build(name, problem) for name in names}
        has_library = not isinstance(library.library, library.Missing)
        peak = Peak(shape.threads, clock) if has_library else None
        tasks: dict[tuple[str, str], Callable[[], object]] = {}
        for name in shape.passes:
            if peak:  # just before the kernel, so that both meet the same clock rate
                # Torch's threads spin for some milliseconds after their last work, on the cores
                # that the peak wants: 12 % of a measurement. A run not looked at outlasts them.
                tasks[_SETTLE, name] = peak
                tasks[_PEAK, name] = peak
            tasks |= {(who, name): getattr(it, name) for who, it in candidates.items()}
        always = frozenset(key for key in tasks if key[0] in (_PEAK, _SETTLE, NATIVE))
        times = alternate(
            tasks, always=always, repeats=settings.repeats, seconds=settings.seconds, clock=clock
        )
    release_memory()  # the next shape wants blocks of other sizes
    return _describe(shape, names, times, peak.operations if peak else None)


def _describe(
    shape: Shape, names: tuple[str, ...], times: Times, peak_operations: float | None
) -> dict[str, Any]:
    """Medians, spreads, ratios and fractions of one shape."""
    rates = []
    if peak_operations:
        taken = [x for name in shape.passes for x in times[_PEAK, name]]
        rates = [peak_operations / x / 1e9 for x in taken]
    peak = _summary(rates) if rates else None
    native = {name: spread(times[NATIVE, name])[0] for name in shape.passes if NATIVE in names}
    results: dict[str, dict[str, Any]] = {who: {} for who in names}
    for who in names:
        for name in shape.passes:
            result = _summary(times[who, name], "_s")
            rate = shape.operations(name) / result["median_s"] / 1e9
            result["fraction"] = rate / peak["median"] if peak and who in SAME_UNIT else None
            result["ratio"] = result["median_s"] / native[name] if native else None
            results[who][name] = result
    return {
        "name": shape.name,
        "batch": shape.batch,
        "steps": shape.steps,
        "hidden": shape.hidden,
        "features": shape.features,
        "threads": shape.threads,
        "target_percent": {"reach": shape.reach, "aim": shape.aim},
        "operations": {name: shape.operations(name) for name in shape.passes},
        "peak_gflops": peak,
        "candidates": results,
    }


def _summary(values: list[float], unit: str = "") -> dict[str, Any]:
    median, quartiles = spread(values)
    return {f"median{unit}": median, f"quartiles{unit}": quartiles, "repeats": len(values)}


def _load() -> list[float] | None:
    """Averages over 1, 5 and 15 minutes, where the system keeps them."""
    return list(os.getloadavg()) if hasattr(os, "getloadavg") else None
