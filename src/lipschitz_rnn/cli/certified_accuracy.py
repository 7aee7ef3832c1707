"""``lipschitz-rnn certified-accuracy``: accuracy where inputs are moved, proved and attacked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, DataDir, Quiet, Weights, WeightsChoice

if TYPE_CHECKING:
    from lipschitz_rnn.experiments.robust import RobustCurve


@app.command(
    "certified-accuracy",
    short_help="Accuracy proved where inputs are moved.",
    epilog=epilog(
        "certified-accuracy runs/a",
        "certified-accuracy runs/a runs/b --radii 0,0.1,0.3 --figure curves.png",
        note="Radii are l2 norms of the change of a whole sequence. What is proved is computed in "
        "float64; the column 'as run' is for the dtype of the run, whose rounding takes more.",
    ),
)
def certified_accuracy(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.", metavar="RUN...")],
    radii: Annotated[
        str | None, typer.Option(help="Radii, instead of 0 to 1.", metavar="R,R")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="The first so many test samples.")] = 1000,
    steps: Annotated[int, typer.Option(min=1, help="Of PGD, at every radius.")] = 20,
    weights: WeightsChoice = Weights.best,
    output: Annotated[
        Path | None, typer.Option(help="Write the curves here, as JSON.", metavar="FILE")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw them here: .svg, .png or .pdf.", metavar="FILE")
    ] = None,
    json: AsJson = False,
    data_dir: DataDir = None,
    quiet: Quiet = False,
) -> None:
    """Measure how far the inputs of every RUN can be moved: proved, and by attack."""
    from lipschitz_rnn._base.files import write_atomically
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.experiments import build_data, load_trained
    from lipschitz_rnn.experiments.plain import as_json
    from lipschitz_rnn.experiments.robust import RADII, robust_curve
    from lipschitz_rnn.training.environment import describe_environment

    grid = RADII if radii is None else _read_radii(radii)
    trained = [load_trained(run, weights.value) for run in runs]
    _require_drawable(figure, len(runs))
    curves = []
    for one in trained:
        split = build_data(one.config, data_dir, warn)
        report = None if quiet else warn
        curve = robust_curve(one, split, radii=grid, samples=samples, steps=steps, report=report)
        curves.append(curve)
    found = as_json(
        {
            "environment": describe_environment(),
            "weights": weights.value,
            "runs": [str(run) for run in runs],
            "curves": curves,
        }
    )
    if output is not None:
        write_atomically(output, f"{found}\n".encode())
    if figure is not None:
        from lipschitz_rnn.experiments.figures.robust import robust_figure
        from lipschitz_rnn.experiments.figures.save import save_figure

        save_figure(robust_figure(curves), figure)
    if json:
        say(found)
        return
    for curve in curves:
        _print(curve)
    for path in (output, figure):
        if path is not None:
            say(f"written: {path}")


def _read_radii(text: str) -> tuple[float, ...]:
    import math

    from lipschitz_rnn._base.errors import InputError

    try:
        grid = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--radii: expected numbers with commas, got {text!r}.") from None
    if not all(math.isfinite(radius) and radius >= 0 for radius in grid):
        raise InputError(f"--radii: expected finite numbers of at least 0, got {text!r}.")
    return tuple(sorted(set(grid)))


def _require_drawable(figure: Path | None, count: int) -> None:
    """Before the work: six colours can be told apart, and files have a known form."""
    from lipschitz_rnn._base.errors import InputError

    if figure is None:
        return
    if count > 6:
        raise InputError(f"--figure: expected at most 6 runs in one figure, got {count}.")
    if figure.suffix.lower() not in {".svg", ".png", ".pdf"}:
        raise InputError(f"--figure: expected .svg, .png or .pdf, got {figure.name!r}.")


def _print(curve: "RobustCurve") -> None:
    from rich import box
    from rich.table import Table

    from lipschitz_rnn.cli.console import make_console, say

    table = Table(*("radius", "proved", "as run", "under PGD"), box=box.SIMPLE)
    nothing = (None,) * len(curve.radii)
    columns = (curve.certified or nothing, curve.certified_as_run or nothing, curve.empirical)
    for radius, *shares in zip(curve.radii, *columns, strict=True):
        table.add_row(f"{radius:g}", *("" if x is None else f"{100 * x:.1f} %" for x in shares))
    gain = (
        "" if curve.gain is None else f"; gain to a difference of logits at most {curve.gain:.3g}"
    )
    say(f"{curve.run}, {curve.samples} samples, PGD of {curve.steps} steps")
    say(f"{curve.reason}{gain}")
    make_console().print(table)
