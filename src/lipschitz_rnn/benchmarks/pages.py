"""What pages say of benchmarks: spreads, conditions, and trainings that were timed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.markdown import markdown_table
from lipschitz_rnn.benchmarks.candidates import LABELS
from lipschitz_rnn.benchmarks.report import NOTHING, milliseconds, shape_text
from lipschitz_rnn.benchmarks.shapes import PASSES


def spread_table(results: dict[str, Any]) -> str:
    """Medians and quartiles of every pass, in milliseconds.

    Args:
        results: What :func:`lipschitz_rnn.benchmarks.run_benchmark` returned.

    Returns:
        A table in Markdown, a row for each shape and pass.
    """
    seen = {who for shape in results["shapes"] for who in shape["candidates"]}
    names = [name for name in LABELS if name in seen]
    heads = ["B, T, N, P", "pass", *(LABELS[name] for name in names)]
    threads, rows = results["conditions"]["threads"], []
    for shape in results["shapes"]:
        for what in (name for name in PASSES if name in shape["operations"]):
            found = [shape["candidates"].get(name, {}).get(what) for name in names]
            rows.append([shape_text(shape, threads), what, *map(_spread_text, found)])
    return "\n".join(markdown_table(heads, rows, heads[:2]))


def _spread_text(found: dict[str, Any] | None) -> str:
    if not found:
        return NOTHING
    low, high = found["quartiles_s"]
    return f"{milliseconds(found['median_s'])} ({milliseconds(low)}-{milliseconds(high)})"


def conditions_text(results: dict[str, Any]) -> str:
    """Under which conditions something was measured.

    Args:
        results: What a benchmark wrote: its ``conditions`` or ``environment``.

    Returns:
        A sentence: processor, versions, threads, commit, and load where they are known.
    """
    found = results.get("conditions") or results["environment"]
    parts = [
        f"{found['cores']} cores of an {found['processor']} with {found['instruction_set']}",
        f"kernel {found['kernel'].partition(' ')[0]}",
        f"{found['threads']} thread{'s' if found['threads'] > 1 else ''}",
        f"torch {found['torch']}",
        f"Python {found['python']}",
        f"commit {found['commit'][:8]}{'+changes' if '+' in found['commit'] else ''}",
    ]
    if "date" in found:
        parts.append(found["date"][:10])
    load = found.get("load_average_start") or found.get("load_average")
    if load:
        parts.append(f"load {load[0]:.1f} before it began")
    return "; ".join(parts) + "."


def training_table(paths: Sequence[Path]) -> str:
    """Runs of one preset that differ in who computed the recurrence.

    Args:
        paths: Their summaries.

    Returns:
        A table in Markdown.

    Raises:
        InputError: If a file is something else.
    """
    heads = ["backend", "time of the run", "sequences/s", "epochs", "test accuracy, last epoch"]
    return "\n".join(markdown_table(heads, [_training_row(path) for path in paths], heads[:1]))


def _training_row(path: Path) -> list[str]:
    try:
        summary = json.loads(path.read_bytes())
        return [
            summary["environment"]["backend"],
            f"{summary['time']['wall_seconds'] / 60:.1f} min",
            f"{summary['time']['sequences_per_second']:.0f}",
            str(summary["last"]["epoch"]),
            f"{summary['last']['test']['accuracy']:.2%}",
        ]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: expected the summary of a run, got something else.") from None
