"""``lipschitz-rnn train``: a new run from a preset."""

from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.options import DataDir, Quiet


@app.command()
def train(
    preset: Annotated[
        str, typer.Argument(help="Name of a preset, or a TOML file.", metavar="PRESET")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Replace a setting, such as model.hidden_size=64.", metavar="KEY=VALUE"
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of weights, order and dropout alike.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; runs/<preset>-<time> by default.")
    ] = None,
    data_dir: DataDir = None,
    eps: Annotated[
        str | None, typer.Option(help="Step size; short for --set model.step_size=..")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train PRESET and print a summary."""
    from lipschitz_rnn.cli.console import warn
    from lipschitz_rnn.cli.launch import default_run_dir, launch
    from lipschitz_rnn.experiments import load_preset, train_run

    overrides = list(settings or [])
    if eps is not None:
        overrides.append(f"model.step_size={eps}")
    if seed is not None:
        overrides += [f"seed.{purpose}={seed}" for purpose in ("init", "order", "dropout")]
    config = load_preset(preset, overrides)
    run_dir = out or default_run_dir(config.name)
    launch(
        run_dir,
        lambda display: train_run(config, run_dir, data_dir=data_dir, hooks=[display], report=warn),
        quiet=quiet,
    )
