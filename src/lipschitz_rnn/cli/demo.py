"""``lipschitz-rnn demo``: from nothing to a trained model and its summary."""

from pathlib import Path

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, DataDir


@app.command(short_help="From nothing to a trained model.", epilog=epilog("demo"))
def demo(json: AsJson = False, data_dir: DataDir = None) -> None:
    """Train on MNIST, or on scikit-learn's digits if MNIST cannot be had."""
    from lipschitz_rnn.cli.console import program, say, warn
    from lipschitz_rnn.cli.launch import default_run_dir, launch
    from lipschitz_rnn.data import DataUnavailableError, get
    from lipschitz_rnn.experiments import load_preset, train_run

    tell = warn if json else say
    preset = "mnist-rows"
    try:
        tell("looking for MNIST ...")
        found = get("mnist", data_dir=data_dir, report=warn).files
        tell(f"MNIST, 70,000 handwritten digits, from {found[0].source}")
    except DataUnavailableError as error:
        warn(str(error))
        tell("MNIST cannot be had: training on scikit-learn's 8x8 digits instead.")
        preset = "digits"
    config = load_preset(preset)
    run_dir = default_run_dir(config.name)
    launch(
        run_dir,
        lambda hooks: train_run(config, run_dir, data_dir=data_dir, hooks=hooks, report=warn),
        json=json,
    )
    _write_report(run_dir, data_dir, json=json)
    command = program()
    tell(
        "\nwhat to try next:\n"
        f"  {command} evaluate {run_dir}\n"
        f"  {command} train {preset} --set model.hidden_size=128 --seed 2\n"
        f"  {command} train {preset} --set model.beta=1.0   # skew-symmetric, but for damping\n"
        f"  {command} train smnist   # the published task, one pixel a step: an hour or more\n"
        f"  {command} --help"
    )


def _write_report(run_dir: Path, data_dir: Path | None, *, json: bool) -> None:
    """Write the report of the run; whatever keeps it from being written, the run is there."""
    from lipschitz_rnn.cli.console import say, warn

    try:
        from lipschitz_rnn.report import write_report

        written = write_report([run_dir], data_dir=data_dir)
    except Exception as error:
        warn(f"no report: {' '.join(str(error).split()) or type(error).__name__}")
        return
    (warn if json else say)(f"report, for a browser: {written.path}")
