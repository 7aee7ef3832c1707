"""The table that ends a training run."""

from rich import box
from rich.table import Table

from lipschitz_rnn.cli.console import make_console
from lipschitz_rnn.training import RunRecord, WeightsResult

_SPECTRA = {
    "spectral_abscissa_a": "largest real part, eigenvalues of A",
    "spectral_abscissa_w": "largest real part, eigenvalues of W",
    "log_norm_a": "largest eigenvalue of (A + A')/2",
}


def print_summary(record: RunRecord) -> None:
    """Print what a run came to.

    Args:
        record: Its summary.
    """
    table = Table(box=box.SIMPLE, show_header=False, title=record.name, title_justify="left")
    table.add_row("test accuracy, best weights", _result(record.best))
    table.add_row("test accuracy, last weights", _result(record.last))
    table.add_row("parameters", f"{record.parameters:,}")
    table.add_row("training sequences per second", f"{record.time['sequences_per_second']:,.0f}")
    table.add_row("time", f"{record.time['wall_seconds']:,.1f} s")
    environment = record.environment
    table.add_row(
        "run on",
        f"{environment['backend']}, {environment.get('kernel') or environment['instruction_set']}, "
        f"{environment['processor']}, {environment['threads']} of {environment['cores']} cores",
    )
    console = make_console()
    console.print(table)
    spectra = Table("", "before training", "after", box=box.SIMPLE)
    for layer, before in record.before.items():
        suffix = f", layer {layer}" if len(record.before) > 1 else ""
        for key, label in _SPECTRA.items():
            after = record.after.get(layer, {}).get(key)
            spectra.add_row(f"{label}{suffix}", _number(before.get(key)), _number(after))
    console.print(spectra)


def _result(result: WeightsResult) -> str:
    accuracy, count = result.test["accuracy"], result.test["count"]
    return f"{accuracy:.2%} of {count:,} (after epoch {result.epoch})"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:+.4f}"
