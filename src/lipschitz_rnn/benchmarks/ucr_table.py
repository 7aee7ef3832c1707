"""Results on data sets of the UCR archive, read back and as Markdown tables."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.markdown import markdown_table
from lipschitz_rnn.benchmarks.ucr_methods import METHODS

_NOTHING = "-"
_PARTS = ("fit_seconds", "predict_seconds")


def read_ucr_results(path: Path) -> dict[str, Any]:
    """Read what :func:`lipschitz_rnn.benchmarks.ucr.run_ucr` returned.

    Args:
        path: The file.

    Returns:
        The results.

    Raises:
        InputError: If the file holds something else.
        OSError: If it cannot be read.
    """
    try:
        results: dict[str, Any] = json.loads(path.read_bytes())
        ucr_tables(results)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f"{path}: expected results of `lipschitz-rnn bench-ucr`, got something else."
        ) from None
    return results


def ucr_tables(results: dict[str, Any]) -> str:
    """Accuracy, and seconds, as Markdown tables with a row for each data set.

    Args:
        results: What :func:`lipschitz_rnn.benchmarks.ucr.run_ucr` returned.

    Returns:
        Two tables with an empty line between: test accuracy in per cent, and seconds of the
        processor to fit and to predict. Means over seeds, with the standard deviation if there are
        several. Below stand the means over the data sets for every method measured on each.
    """
    cells = results["results"]
    names = list(dict.fromkeys(cell["dataset"] for cell in cells))
    methods = [name for name in METHODS if any(cell["method"] == name for cell in cells)]
    groups = {
        (name, method): [c for c in cells if (c["dataset"], c["method"]) == (name, method)]
        for name in names
        for method in methods
    }
    labels = [METHODS[method] for method in methods]
    accuracy, seconds = [], []
    for name in names:
        rows = [groups[name, method] for method in methods]
        first = next(row[0] for row in rows if row)
        sizes = f"{first['train_size']:,} / {first['test_size']:,}"
        about = [name, sizes, str(first["steps"]), str(first["classes"])]
        accuracy.append([*about, *map(_accuracy, rows)])
        seconds.append([name, *map(_seconds, rows)])
    columns = [[groups[name, method] for name in names] for method in methods]
    means = [_over_sets(column, _share, "{:.2f}") for column in columns]
    accuracy.append(["**mean**", "", "", "", *means])
    times = [_over_sets(column, _time, "{:.1f}") for column in columns]
    seconds.append(["**mean**", *times])
    counts = [_over_sets(column, _parameters, "{:,.0f}") for column in columns]
    seconds.append(["parameters, mean", *counts])
    first, second = "data set", "processor seconds"
    return "\n".join(
        [
            *markdown_table(
                [first, "train / test", "steps", "classes", *labels], accuracy, [first]
            ),
            "",
            *markdown_table([second, *labels], seconds, [second]),
        ]
    )


def _share(cell: dict[str, Any]) -> float:
    return 100 * float(cell["accuracy"])


def _time(cell: dict[str, Any]) -> float:
    return float(sum(cell[key]["processor"] for key in _PARTS))


def _parameters(cell: dict[str, Any]) -> float | None:
    count = cell["parameters"]
    return None if count is None else float(count)


def _accuracy(cells: Sequence[dict[str, Any]]) -> str:
    if not cells:
        return _NOTHING
    shares = [_share(cell) for cell in cells]
    spread = f" ± {stdev(shares):.1f}" if len(shares) > 1 else ""
    return f"{fmean(shares):.1f}{spread}"


def _seconds(cells: Sequence[dict[str, Any]]) -> str:
    if not cells:
        return _NOTHING
    parts = [fmean(cell[key]["processor"] for cell in cells) for key in _PARTS]
    return " + ".join(f"{x:.0f}" if x >= 10 else f"{x:.1f}" for x in parts)


def _over_sets(
    column: Sequence[Sequence[dict[str, Any]]],
    figure: Callable[[dict[str, Any]], float | None],
    form: str,
) -> str:
    """Mean over the data sets of the means over seeds; nothing unless there is one for each."""
    found = [[figure(cell) for cell in cells] for cells in column]
    if not all(found) or any(value is None for values in found for value in values):
        return _NOTHING
    return form.format(fmean(fmean(values) for values in found))  # type: ignore[arg-type]
