"""``lipschitz-rnn robustness``: how well runs stand changes of inputs and weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lipschitz_rnn.experiments.robustness import RunRobustness


@app.command(
    short_help="Accuracy under noise, attacks and lost steps.",
    epilog=epilog(
        "robustness runs/a runs/b",
        "robustness runs/a --only white-noise,pgd-linf --samples 500",
        "robustness runs/a --strengths white-noise=0.1,0.2 --output noise",
        note="Runs that differ in their seeds alone share a column. What is in DIR already is not "
        "measured again.",
    ),
)
def robustness(
    runs: Runs,
    only: Annotated[
        str | None,
        typer.Option(
            help="Some perturbations only, by name; nothing is measured beside.",
            metavar="NAME,NAME",
        ),
    ] = None,
    strengths: Annotated[
        list[str] | None,
        typer.Option(
            help="Other strengths of a perturbation; may be given for several.",
            metavar="NAME=S,S",
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="The first so many test samples.")] = 1000,
    seeds: Draws = 5,
    batch_size: BatchSize = 250,
    weights: WeightsChoice = Weights.last,
    output: AnalysisDir = Path("analysis"),
    json: AsJson = False,
    data_dir: DataDir = None,
    quiet: Quiet = False,
) -> None:
    """Measure accuracy of every RUN under noise, attacks, lost steps, and changed weights."""
    from lipschitz_rnn.cli.console import warn
    from lipschitz_rnn.cli.side_by_side import by_label, report_comparison
    from lipschitz_rnn.experiments.robustness import RobustnessSettings, run_robustness
    from lipschitz_rnn.experiments.robustness_table import robustness_comparison
    from lipschitz_rnn.experiments.subjects import are_alike, load_subjects, require_drawable

    settings = RobustnessSettings(samples, _names(only), seeds, only is None, batch_size)
    subjects = load_subjects(runs, weights.value)
    require_drawable(subjects)
    report = None if quiet else warn
    found = run_robustness(
        subjects,
        output,
        settings,
        strengths=_grids(strengths or [], settings.perturbations),
        data_dir=data_dir,
        report=report,
    )
    groups = by_label(subjects, found)
    report_comparison(
        robustness_comparison(groups, alike=are_alike(subjects)),
        robustness_figures(groups),
        {"weights": weights.value, "runs": found},
        output,
        "robustness",
        json=json,
    )


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        _require_known("--only", name)
    return names


def _require_known(option: str, name: str) -> None:
    from lipschitz_rnn._base.checks import require_name
    from lipschitz_rnn.analysis import PERTURBATIONS

    require_name(option, name, PERTURBATIONS, "names among")


def _grids(texts: list[str], only: tuple[str, ...] | None) -> dict[str, tuple[float, ...]]:
    import math

    from lipschitz_rnn._base.errors import InputError

    grids = {}
    for text in texts:
        name, _, numbers = text.partition("=")
        _require_known("--strengths", name)
        if only is not None and name not in only:
            raise InputError(f"--strengths: expected a name of --only, got {name!r}.")
        try:
            grid = tuple(float(number) for number in numbers.split(","))
        except ValueError:
            grid = ()
        if not grid or not all(math.isfinite(s) and s > 0 for s in grid):
            raise InputError(f"--strengths: expected NAME=S,S with numbers above 0, got {text!r}.")
        grids[name] = grid
    return grids


def robustness_figures(
    groups: Sequence[tuple[str, Sequence["RunRobustness"]]],
) -> dict[str, "Figure"]:
    """A figure for perturbations of inputs, one for those of weights, one for derivatives.

    Args:
        groups: Label and runs of each model.

    Returns:
        By name of their files; those that have nothing to show are left out.
    """
    from lipschitz_rnn.analysis import PERTURBATIONS
    from lipschitz_rnn.experiments.figures.robustness import robustness_figure, sensitivity_figure

    runs = [run for _, own in groups for run in own]
    names = list(dict.fromkeys(name for run in runs for name in run.report.curves))
    of_inputs = [name for name in names if PERTURBATIONS[name].family != "weights"]
    curved = [name for name in names if len(PERTURBATIONS[name].strengths) > 1]
    of_weights = [name for name in curved if name not in of_inputs]
    figures = {}
    if of_inputs:
        figures["robustness-inputs"] = robustness_figure(groups, of_inputs)
    if of_weights:
        figures["robustness-weights"] = robustness_figure(groups, of_weights)
    if any(run.sensitivity for run in runs):
        figures["sensitivity"] = sensitivity_figure(groups)
    return figures
