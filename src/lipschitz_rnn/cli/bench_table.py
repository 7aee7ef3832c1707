"""The table that ends a benchmark."""

from typing import Any

from rich import box
from rich.table import Table

from lipschitz_rnn.benchmarks.candidates import LABELS, NATIVE
from lipschitz_rnn.benchmarks.report import NOTHING, milliseconds, others_in, target_text
from lipschitz_rnn.cli.console import make_console, say

_WIDTH = 120
_BUSY = 0.5  # load average over a minute


def print_results(results: dict[str, Any]) -> None:
    """Print the results of a benchmark and their conditions.

    Args:
        results: What :func:`lipschitz_rnn.benchmarks.run_benchmark` returned.
    """
    conditions, others = results["conditions"], others_in(results)
    say(
        f"float32, {conditions['threads']} thread(s) of {conditions['cores']} cores, "
        f"{conditions['processor']}, kernel {conditions['variant'] or 'missing'}, "
        f"torch {conditions['torch']}, load {_load(conditions, 'start')} to "
        f"{_load(conditions, 'end')}, {conditions['date']}"
    )
    table = Table(box=box.SIMPLE)
    table.add_column("B x T x N x P")
    for label in (LABELS[NATIVE], "GFLOP/s peak", *(LABELS[who] for who in others)):
        table.add_column(label, justify="right", no_wrap=True)
    for shape in results["shapes"]:
        for name in shape["operations"]:
            table.add_row(*_cells(shape, name, others, conditions["threads"]))
    console = make_console()
    if not console.is_terminal:  # a file has no width of its own
        console.width = _WIDTH
    console.print(table)
    say(
        "Medians (middle half), milliseconds; x: times the native time; n: repeats, where fewer\n"
        "than the native ones. Per cent of the peak, measured in the same rounds, by useful\n"
        "operations: 4 T B N^2 + 2 T B N P forward, three times that in training; below it,\n"
        "reach/aim."
    )
    if _is_beyond_the_peak(results):
        say(
            "More than the peak is impossible: the machine was busy with other work. Measure again."
        )
    if (conditions["load_average_start"] or [0.0])[0] > _BUSY:
        say(
            "The machine may have been busy when this began. That slows torch's threads, which\n"
            "wait for each other, far more than the kernel's: quote no ratio, measure again."
        )
    for who, reason in conditions["missing"].items():
        say(f"{LABELS[who]} is not measured: {reason}.")
    if "jax" in others:
        say("jax chooses its own number of threads.")


def _is_beyond_the_peak(results: dict[str, Any]) -> bool:
    fractions = (
        result["fraction"] or 0.0
        for shape in results["shapes"]
        for passes in shape["candidates"].values()
        for result in passes.values()
    )
    return any(fraction > 1.02 for fraction in fractions)  # a little is the spread of the peak


def _cells(shape: dict[str, Any], name: str, others: list[str], threads: int) -> list[str]:
    """A row: the shape and pass, the kernel, the peak, the others."""
    found = {who: it[name] for who, it in shape["candidates"].items() if name in it}
    native, peak = found.get(NATIVE), shape["peak_gflops"]
    own = "" if shape["threads"] == threads else f"\n{shape['threads']} thread(s)"
    fraction = f"{native['fraction']:.0%} of " if native else ""
    is_last = name == list(shape["operations"])[-1]  # the one that the targets are for
    below = f"\n({target_text(shape)})" if is_last else ""
    return [
        f"{shape['name']}\n{name}{own}",
        _time(native, native) if native else NOTHING,
        f"{fraction}{peak['median']:.0f}{below}" if peak else NOTHING,
        *(_time(found[who], native) if who in found else NOTHING for who in others),
    ]


def _time(result: dict[str, Any], native: dict[str, Any] | None) -> str:
    low, high = (milliseconds(x) for x in result["quartiles_s"])
    is_other = native is not None and result is not native
    ratio = f" x{result['ratio']:.1f}" if is_other else ""
    fewer = native is not None and result["repeats"] < native["repeats"]
    count = f"\nn={result['repeats']}" if fewer else ""
    return f"{milliseconds(result['median_s'])}{ratio}\n({low}-{high}){count}"


def _load(conditions: dict[str, Any], when: str) -> str:
    averages = conditions[f"load_average_{when}"]
    return f"{averages[0]:.1f}" if averages else "unknown"
