"""``lipschitz-rnn report``: one HTML file that says everything that is known of runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, DataDir, Runs, Weights, WeightsChoice

if TYPE_CHECKING:
    from lipschitz_rnn.report import Written


@app.command(
    short_help="One HTML file about runs.",
    epilog=epilog(
        "report runs/a",
        "report runs/a runs/b --output both.html",
        "report runs/a --weights last --analysis analysis --analysis more",
        note="The models answer their test samples once; all else is read from the runs and from "
        "what the verbs robustness, hessian and certify left. What is not there is left out, and "
        "the report says how to get it.",
    ),
)
def report(
    runs: Runs,
    output: Annotated[
        Path | None,
        typer.Option(
            help="The file; RUN/report.html of one run, report.html of several.", metavar="FILE"
        ),
    ] = None,
    weights: WeightsChoice = Weights.best,
    analysis: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder with results of robustness and hessian; analysis by default, and may be "
            "given several times.",
            metavar="DIR",
        ),
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Write what is known of every RUN, side by side, as one HTML file that needs no other."""
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.experiments.plain import as_json
    from lipschitz_rnn.report import write_report

    written = write_report(
        runs,
        output,
        weights=weights.value,
        analyses=analysis or [Path("analysis")],
        data_dir=data_dir,
        report=warn,
    )
    if json:
        say(as_json(_plain(written)))
        return
    for run in written.runs:
        for one in run.left_out:
            say(f"{run.name}: {one.what} left out: {one.why}")
    say(f"report: {written.path}")


def _plain(written: "Written") -> dict[str, Any]:
    runs = [
        {
            "run": str(run.path),
            "weights": run.weights,
            "figure": {"of": run.headline.what, "value": run.headline.figure},
            "sections": [title for _, title in run.contents],
            "left_out": {one.what: one.why for one in run.left_out},
        }
        for run in written.runs
    ]
    return {"report": str(written.path), "bytes": written.size, "runs": runs}
