"""``lipschitz-rnn robustness``: how well runs stand changes of inputs and weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.options import (
    AnalysisDir,
    AsJson,
    DataDir,
    Quiet,
    Runs,
    Weights,
    WeightsChoice,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lipschitz_rnn.experiments.robustness import RunRobustness


@app.command(
    epilog="Runs that differ in their seeds alone share a column. What is in DIR already is not "
    "measured again. Example: lipschitz-rnn robustness runs/a runs/b --only white-noise,pgd-linf"
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
    samples: Annotated[int, typer.Option(min=1, help="The first so many test samples.")] = 1000,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of what is random.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples at a time.")] = 250,
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
    found = run_robustness(subjects, output, settings, data_dir=data_dir, report=report)
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
    from lipschitz_rnn._base.checks import nearest
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.analysis.robustness_kinds import PERTURBATIONS

    if text is None:
        return None
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in PERTURBATIONS:
            raise InputError(
                f"--only: expected names among {', '.join(PERTURBATIONS)}, got {name!r}. "
                f"{nearest(name, PERTURBATIONS)}".rstrip()
            )
    return names


def robustness_figures(
    groups: Sequence[tuple[str, Sequence["RunRobustness"]]],
) -> dict[str, "Figure"]:
    """A figure for perturbations of inputs, one for those of weights, one for derivatives.

    Args:
        groups: Label and runs of each model.

    Returns:
        By name of their files; those that have nothing to show are left out.
    """
    from lipschitz_rnn.analysis.robustness_kinds import PERTURBATIONS
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
