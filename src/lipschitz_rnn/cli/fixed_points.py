"""``lipschitz-rnn fixed-points``: where a trained unit comes to rest under a held input."""

from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, RunDir, Weights, WeightsChoice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from lipschitz_rnn.analysis.fixed_points import FixedPoints


@app.command(
    "fixed-points",
    short_help="States of rest under a held input.",
    epilog=epilog("fixed-points runs/a", "fixed-points runs/a --input 0.5 --starts 256"),
)
def fixed_points(
    run: RunDir,
    held: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="What the recurrent layer reads, such as 0.5,-1; zero by default.",
            metavar="X,..",
        ),
    ] = None,
    starts: Annotated[int, typer.Option(help="Random starts of the search.", min=1)] = 64,
    weights: WeightsChoice = Weights.best,
    json: AsJson = False,
) -> None:
    """Find states of rest of the model of RUN, and whether they are stable."""
    from lipschitz_rnn.cli.console import say
    from lipschitz_rnn.experiments.dynamics import fixed_points_run
    from lipschitz_rnn.experiments.plain import as_json

    input = None if held is None else _read(held)
    found = fixed_points_run(run, weights.value, input=input, starts=starts)
    if json:
        say(as_json({"run": str(run), "weights": weights.value, "units": found}))
        return
    for one in found:
        for line in _lines(one):
            say(line)


def _read(text: str) -> "Tensor":
    import torch

    from lipschitz_rnn._base.errors import InputError

    try:
        return torch.tensor([float(part) for part in text.split(",")], dtype=torch.float64)
    except ValueError:
        raise InputError(f"--input: expected numbers such as 0.5,-1, got {text!r}.") from None


def _lines(found: "FixedPoints") -> "Iterator[str]":
    """A heading, and a row for each point: what a search did not find may still be there."""
    yield (
        f"unit {found.unit}: {len(found.points)} states of rest from {found.starts} starts, "
        f"of which {found.failed} led nowhere"
    )
    if found.points:
        yield f"  {'starts':>6} {'norm':>10} {'residual':>9} {'abscissa':>10} {'radius':>9}  stable"
    for point in found.points:
        abscissa = point.spectral_abscissa
        rate = f"{'none':>10}" if abscissa is None else f"{abscissa:>+10.4g}"
        flow = {True: "yes", False: "no", None: "no ODE"}[point.stable]
        step = "yes" if point.stable_in_steps else "no"
        yield (
            f"  {point.starts:>6} {float(point.state.norm()):>10.4g} {point.residual:>9.1e} "
            f"{rate} {point.spectral_radius:>9.6f}  {flow}, in steps {step}"
        )
