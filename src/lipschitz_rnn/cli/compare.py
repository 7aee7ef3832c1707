"""``lipschitz-rnn compare``: runs side by side, and which of them to deploy."""

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
    Draws,
    Quiet,
    Runs,
    Weights,
    WeightsChoice,
)


@app.command(
    short_help="Runs side by side: which one to deploy.",
    epilog=epilog(
        "compare runs/a runs/b",
        "compare runs/a runs/b --samples 500 --json",
        note="The runs must be of the same data. What hessian and robustness have measured into "
        "DIR with the same options is not measured again.",
    ),
)
def compare(
    runs: Runs,
    samples: Annotated[
        int, typer.Option(min=1, help="The first so many, of training and of test.")
    ] = 1000,
    seeds: Draws = 5,
    batch_size: BatchSize = 250,
    weights: WeightsChoice = Weights.last,
    output: AnalysisDir = Path("analysis"),
    json: AsJson = False,
    data_dir: DataDir = None,
    quiet: Quiet = False,
) -> None:
    """Measure accuracy, Hessian and robustness of every RUN, side by side in one table."""
    from lipschitz_rnn.cli.console import warn
    from lipschitz_rnn.cli.robustness import robustness_figures
    from lipschitz_rnn.cli.side_by_side import by_label, report_comparison
    from lipschitz_rnn.experiments.compare import combine, require_alike, run_evaluations
    from lipschitz_rnn.experiments.figures.hessian import density_figure, slices_figure
    from lipschitz_rnn.experiments.hessian import run_hessians
    from lipschitz_rnn.experiments.robustness import RobustnessSettings, run_robustness
    from lipschitz_rnn.experiments.subjects import load_subjects, require_drawable

    subjects = load_subjects(runs, weights.value)
    require_drawable(subjects)
    require_alike(subjects)
    report = None if quiet else warn
    tested = run_evaluations(subjects, output, weights.value, data_dir=data_dir, report=report)
    settings = RobustnessSettings(samples, seeds=seeds, batch_size=batch_size)
    curved = run_hessians(
        subjects, output, samples=samples, batch_size=batch_size, data_dir=data_dir, report=report
    )
    robust = run_robustness(subjects, output, settings, data_dir=data_dir, report=report)
    of_test, of_hessian, of_robustness = (
        by_label(subjects, tested),
        by_label(subjects, curved),
        by_label(subjects, robust),
    )
    kind = subjects[0].trained.data["kind"]
    table = combine(kind, of_test, of_hessian, of_robustness)
    figures = {
        **robustness_figures(of_robustness),
        "hessian-density": density_figure(of_hessian),
        "hessian-slices": slices_figure(of_hessian),
    }
    results = {"evaluation": tested, "hessian": curved, "robustness": robust}
    results |= {"weights": weights.value, "verdict": table.verdict()}
    report_comparison(table, figures, results, output, "compare", json=json)
