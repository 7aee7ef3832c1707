"""``lipschitz-rnn evaluate``: loss and figures on the test samples."""

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, DataDir, RunDir, Weights, WeightsChoice


@app.command(
    short_help="Loss and figures on the test samples.",
    epilog=epilog("evaluate runs/a", "evaluate runs/a --weights last --json"),
)
def evaluate(
    run: RunDir,
    weights: WeightsChoice = Weights.best,
    json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Test the model of RUN."""
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.experiments import evaluate_run
    from lipschitz_rnn.experiments.plain import as_json, plain
    from lipschitz_rnn.experiments.wording import figure_name, figure_text

    result = evaluate_run(run, weights.value, data_dir=data_dir, report=warn)
    if json:
        say(as_json({"run": str(run), "weights": weights.value, **plain(result)}))
        return
    figures = ", ".join(
        f"{figure_name(name)} {figure_text(name, value)}" for name, value in result.figures.items()
    )
    pace = result.samples / result.seconds
    say(
        f"{weights.value} weights: test {figures} of {result.count:,}, "
        f"loss {result.loss:.4f} ({pace:,.0f} samples/s)"
    )
