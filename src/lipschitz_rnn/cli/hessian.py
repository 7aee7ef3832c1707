"""``lipschitz-rnn hessian``: how the training loss of runs curves at their weights."""

from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import (
    AnalysisDir,
    AsJson,
    BatchSize,
    DataDir,
    Quiet,
    Runs,
    Weights,
    WeightsChoice,
)


@app.command(
    short_help="How the training loss curves.",
    epilog=epilog(
        "hessian runs/a runs/b --output analysis",
        "hessian runs/a --group W --eigenvalues 5 --steps 0",
        note="Runs that differ in their seeds alone share a column. What is in DIR already is not "
        "measured again.",
    ),
)
def hessian(
    runs: Runs,
    samples: Annotated[int, typer.Option(min=1, help="The first so many of training.")] = 1000,
    group: Annotated[
        str, typer.Option(help="Parameters: all, A, W, U, head or other.", metavar="GROUP")
    ] = "all",
    product: Annotated[
        str, typer.Option(help="difference (of gradients) or exact.", metavar="KIND")
    ] = "difference",
    eigenvalues: Annotated[int, typer.Option(min=1, help="How many of the largest.")] = 3,
    tolerance: Annotated[float, typer.Option(min=0, help="Of each, relative to it.")] = 1e-6,
    probes: Annotated[int, typer.Option(min=1, help="Random vectors for the trace.")] = 50,
    steps: Annotated[int, typer.Option(min=0, help="Lanczos steps; 0 for none.")] = 100,
    starts: Annotated[int, typer.Option(min=1, help="Random starts of these.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    batch_size: BatchSize = 250,
    weights: WeightsChoice = Weights.last,
    output: AnalysisDir = Path("analysis"),
    json: AsJson = False,
    data_dir: DataDir = None,
    quiet: Quiet = False,
) -> None:
    """Measure the Hessian of the training loss of every RUN: eigenvalues, trace, density."""
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.analysis.hessian_report import HessianSettings
    from lipschitz_rnn.cli.console import warn
    from lipschitz_rnn.cli.side_by_side import by_label, report_comparison
    from lipschitz_rnn.experiments.figures.hessian import density_figure, slices_figure
    from lipschitz_rnn.experiments.hessian import run_hessians
    from lipschitz_rnn.experiments.hessian_table import hessian_comparison
    from lipschitz_rnn.experiments.subjects import are_alike, load_subjects, require_drawable

    try:
        settings = HessianSettings(
            eigenvalues, tolerance, probes, steps, starts, product, seed=seed
        )
    except ValueError as error:
        raise InputError(str(error)) from None
    subjects = load_subjects(runs, weights.value)
    require_drawable(subjects)
    found = run_hessians(
        subjects,
        output,
        samples=samples,
        group=group,
        settings=settings,
        batch_size=batch_size,
        data_dir=data_dir,
        report=None if quiet else warn,
    )
    groups = by_label(subjects, found)
    figures = {"hessian-slices": slices_figure(groups)}
    if steps:
        figures["hessian-density"] = density_figure(groups)
    results = {"weights": weights.value, "runs": found}
    table = hessian_comparison(groups, alike=are_alike(subjects))
    report_comparison(table, figures, results, output, "hessian", json=json)
