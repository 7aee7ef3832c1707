"""Results read back from a file, and as a Markdown table."""

import json
from pathlib import Path
from typing import Any

from lipschitz_rnn._base.checks import require_name
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.markdown import markdown_table
from lipschitz_rnn.benchmarks.candidates import LABELS, NATIVE
from lipschitz_rnn.benchmarks.shapes import PASSES

NOTHING = "-"


def read_results(path: Path) -> dict[str, Any]:
    """Read what a benchmark wrote.

    Args:
        path: The file.

    Returns:
        The table that :func:`lipschitz_rnn.benchmarks.run_benchmark` returned.

    Raises:
        InputError: If the file is something else.
    """
    try:
        results: dict[str, Any] = json.loads(path.read_bytes())
        as_markdown(results)
        for key in ("processor", "commit", "variant", "load_average_start", "missing"):
            results["conditions"][key]
        for shape in results["shapes"]:
            if shape["peak_gflops"]:
                shape["peak_gflops"]["median"] + 0.0
    except OSError as error:
        raise InputError(
            f"{path}: expected the results of `lipschitz-rnn bench`, got {error.strerror or error}."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f"{path}: expected the results of `lipschitz-rnn bench`, got something else."
        ) from None
    return results


def as_markdown(results: dict[str, Any], *, targets: bool = True) -> str:
    """One Markdown table: a row for each shape, its training pass where one was measured.

    Args:
        results: What :func:`lipschitz_rnn.benchmarks.run_benchmark` returned.
        targets: Whether to print what we set ourselves to reach.

    Returns:
        The lines of the table. A column ``x loop`` says how many times as long as the native kernel
        the loop takes.
    """
    others = others_in(results)
    labels = [f"x {LABELS[who].removeprefix('eager ')}" for who in others]
    heads = ["B, T, N, P", "kernel, ms", "% of peak", *(["target"] if targets else []), *labels]
    threads, rows = results["conditions"]["threads"], []
    for shape in results["shapes"]:
        time, share, *ratios = _cells(shape, others)
        aim = [target_text(shape)] if targets else []
        rows.append([shape_text(shape, threads), time, share, *aim, *ratios])
    return "\n".join(markdown_table(heads, rows, heads[:1]))


def shape_text(shape: dict[str, Any], threads: int) -> str:
    """Sizes of a shape, and what is not as in most.

    Args:
        shape: One of the shapes on record.
        threads: Of the benchmark.

    Returns:
        ``"128, 784, 128, 1"``, perhaps with ``"(forward only)"`` or its threads behind it.
    """
    sizes = ", ".join(str(shape[key]) for key in ("batch", "steps", "hidden", "features"))
    notes = [] if PASSES[-1] in shape["operations"] else ["forward only"]
    if shape["threads"] != threads:
        notes.append(f"{shape['threads']} thread{'s' if shape['threads'] > 1 else ''}")
    return sizes + (f" ({', '.join(notes)})" if notes else "")


def training_ratios(results: dict[str, Any], name: str) -> dict[str, float]:
    """How many times as long as the native kernel others take for a training pass.

    Args:
        results: What :func:`lipschitz_rnn.benchmarks.run_benchmark` returned.
        name: Of one of its shapes.

    Returns:
        Ratios of medians by the others' names in tables.

    Raises:
        InputError: If there is no such shape, or its training pass was not measured.
    """
    shapes = {shape["name"]: shape for shape in results["shapes"]}
    require_name("shape", name, shapes, "those measured")
    passes = {
        LABELS[who]: found.get(PASSES[-1]) for who, found in shapes[name]["candidates"].items()
    }
    ratios = {
        who: found["ratio"] for who, found in passes.items() if found and who != LABELS[NATIVE]
    }
    if not ratios:
        raise InputError(f"shape: expected a training pass of others on {name!r}, got none.")
    return ratios


def others_in(results: dict[str, Any]) -> list[str]:
    """Candidates of any shape but the native one, in the order of tables."""
    seen = {who for shape in results["shapes"] for who in shape["candidates"]}
    return [who for who in LABELS if who in seen and who != NATIVE]


def target_text(shape: dict[str, Any]) -> str:
    """``75/85``: per cent of the peak to reach, and aimed at."""
    reach, aim = (shape["target_percent"][key] for key in ("reach", "aim"))
    return NOTHING if reach is None else f"{reach}/{NOTHING if aim is None else aim}"


def milliseconds(seconds: float) -> str:
    """Three significant digits or so."""
    value = 1000 * seconds
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _cells(shape: dict[str, Any], others: list[str]) -> list[str]:
    candidates = shape["candidates"]
    last = [name for name in PASSES if name in shape["operations"]][-1]
    native = candidates.get(NATIVE, {}).get(last)
    cells = [
        milliseconds(native["median_s"]) if native else NOTHING,
        f"{native['fraction']:.0%}".removesuffix("%") if native else NOTHING,
    ]
    for who in others:
        ratio = candidates.get(who, {}).get(last, {}).get("ratio")
        cells.append(NOTHING if ratio is None else f"{ratio:.1f}")
    return cells
