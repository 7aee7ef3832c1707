"""``lipschitz-rnn stability``: what the theory says of a trained model, and its figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, DataDir, RunDir, Weights, WeightsChoice

if TYPE_CHECKING:
    from lipschitz_rnn.data import Split
    from lipschitz_rnn.experiments import TrainedRun


@app.command(
    short_help="What the theory says of a model.",
    epilog=epilog("stability runs/a", "stability runs/a --weights last --json"),
)
def stability(
    run: RunDir,
    weights: WeightsChoice = Weights.best,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for figures; RUN/figures by default.", metavar="DIR")
    ] = None,
    json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Report spectra, conditions, steps and a cheap certificate of the model of RUN."""
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.cli.stability_table import report_lines
    from lipschitz_rnn.experiments import load_trained
    from lipschitz_rnn.experiments.dynamics import largest_dt, sample_batch, stability_run
    from lipschitz_rnn.experiments.plain import as_json

    trained = load_trained(run, weights.value)
    stability_run(trained)  # before any data: a model without A and W ends here
    split = _data(trained, data_dir)
    report = stability_run(trained, max_dt=1.0 if split is None else largest_dt(split))
    from lipschitz_rnn.experiments.figures.run import draw_run

    batch = None if split is None else sample_batch(split, 16)
    folder = run / "figures" if figures is None else figures
    paths = draw_run(trained, run, folder, batch)
    if json:
        files = {"weights": weights.value, "figures": [str(path) for path in paths]}
        say(as_json({"run": str(run), **files, "max_dt": report.max_dt, "units": report.units}))
        return
    for line in report_lines(report):
        say(line)
    if report.max_dt != 1:
        say(f"step sizes are the longest of the data, {report.max_dt:.4g} times that of the model")
    for path in paths:
        if path.suffix == ".png":
            say(f"figure: {path}, .svg")
    if split is None:
        warn("gradients and fields are not drawn without data")


def _data(trained: "TrainedRun", data_dir: Path | None) -> "Split | None":
    """The samples of the run, or None where they cannot be had."""
    from lipschitz_rnn.cli.console import warn
    from lipschitz_rnn.data import DataUnavailableError
    from lipschitz_rnn.experiments import build_data

    try:
        return build_data(trained.config, data_dir, warn)
    except DataUnavailableError as error:
        warn(str(error))
        return None
