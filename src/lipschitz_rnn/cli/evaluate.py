"""``lipschitz-rnn evaluate``: loss and figures on the test samples."""

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.options import DataDir, RunDir, Weights, WeightsChoice


@app.command()
def evaluate(run: RunDir, weights: WeightsChoice = Weights.best, data_dir: DataDir = None) -> None:
    """Test the model of RUN."""
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.cli.figures import figure_name, figure_text
    from lipschitz_rnn.experiments import evaluate_run

    result = evaluate_run(run, weights.value, data_dir=data_dir, report=warn)
    figures = ", ".join(
        f"{figure_name(name)} {figure_text(name, value)}" for name, value in result.figures.items()
    )
    pace = result.samples / result.seconds
    say(
        f"{weights.value} weights: test {figures} of {result.count:,}, "
        f"loss {result.loss:.4f} ({pace:,.0f} samples/s)"
    )
