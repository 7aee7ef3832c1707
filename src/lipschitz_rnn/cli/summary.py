"""The table that ends a training run."""

from rich import box
from rich.table import Table

from lipschitz_rnn.cli.console import make_console
from lipschitz_rnn.experiments.wording import figure_name, figure_text, samples_name
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
    name = figure_name(record.metric)
    table.add_row(f"test {name}, best weights", _result(record.metric, record.best))
    table.add_row(f"test {name}, last weights", _result(record.metric, record.last))
    for predictor, loss in record.data.get("trivial", {}).items():
        table.add_row(f"loss of a trivial predictor, {predictor}", f"{loss:.4g}")
    table.add_row("parameters", f"{record.parameters:,}")
    table.add_row(
        f"training {samples_name(record.metric)} per second",
        f"{record.time['samples_per_second']:,.0f}",
    )
    table.add_row("time", f"{record.time['wall_seconds']:,.1f} s")
    environment = record.environment
    count = environment.get("workers", 1)
    workers = f" for each of {count} workers" if count > 1 else ""
    table.add_row(
        "run on",
        f"{environment['backend']}, {environment.get('kernel') or environment['instruction_set']}, "
        f"{environment['processor']}, {environment['threads']} of {environment['cores']} cores"
        f"{workers}",
    )
    console = make_console()
    console.print(table)
    if not record.before:
        return
    spectra = Table("", "before training", "after", box=box.SIMPLE)
    for layer, before in record.before.items():
        suffix = f", layer {layer}" if len(record.before) > 1 else ""
        for key, label in _SPECTRA.items():
            after = record.after.get(layer, {}).get(key)
            spectra.add_row(f"{label}{suffix}", _number(before.get(key)), _number(after))
    console.print(spectra)


def _result(metric: str, result: WeightsResult) -> str:
    value, count = figure_text(metric, result.test[metric]), result.test["count"]
    return f"{value} of {count:,}, loss {result.test['loss']:.4g} (after epoch {result.epoch})"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:+.4f}"
