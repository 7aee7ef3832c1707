"""``lipschitz-rnn lyapunov``: how fast small differences grow along data."""

from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, DataDir, RunDir, Weights, WeightsChoice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lipschitz_rnn.analysis.lyapunov import LyapunovSpectrum

_SHOWN = 8


@app.command(
    short_help="How fast small differences grow.",
    epilog=epilog("lyapunov runs/a", "lyapunov runs/a --samples 64 --count 3 --json"),
)
def lyapunov(
    run: RunDir,
    samples: Annotated[int, typer.Option(help="Test sequences to average over.", min=1)] = 16,
    count: Annotated[
        int | None, typer.Option(help="How many leading exponents; all by default.", min=1)
    ] = None,
    weights: WeightsChoice = Weights.best,
    json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Measure Lyapunov exponents of the model of RUN along its own test data."""
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.experiments.dynamics import lyapunov_run
    from lipschitz_rnn.experiments.plain import as_json

    found = lyapunov_run(
        run, weights.value, samples=samples, count=count, data_dir=data_dir, report=warn
    )
    if json:
        say(as_json({"run": str(run), "weights": weights.value, "units": found}))
        return
    for spectrum in found:
        for line in _lines(spectrum):
            say(line)


def _lines(found: "LyapunovSpectrum") -> "Iterator[str]":
    k, total = len(found.exponents), found.state_size
    yield (
        f"unit {found.unit}: {k} of {total} exponents, {found.steps} steps of "
        f"{found.sequences} sequences"
    )
    yield f"  {'':>4} {'per step':>12} {'error':>10} {'per time':>12} {'drift':>10}"
    for i in range(min(k, _SHOWN)):
        error = None if found.standard_error is None else float(found.standard_error[i])
        rate = None if found.exponents_per_time is None else float(found.exponents_per_time[i])
        cells = (_text(error, ">10.1e"), _text(rate, ">+12.4g"))
        exponent, drift = float(found.exponents[i]), float(found.drift[i])
        yield f"  {i + 1:>4} {exponent:>+12.4g} {cells[0]} {cells[1]} {drift:>+10.1e}"
    if k > _SHOWN:
        yield f"  and {k - _SHOWN} more, down to {float(found.exponents[-1]):+.4g} per step"
    if k == total:
        yield f"  sum {float(found.exponents.sum()):+.4g} per step: how volumes change"


def _text(value: float | None, form: str) -> str:
    width = form.lstrip(">+").split(".")[0]
    return f"{'none':>{width}}" if value is None else f"{value:{form}}"
