"""``lipschitz-rnn train``: a new run from a preset."""

from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.complete import complete_preset
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, Board, DataDir, Quiet


@app.command(
    short_help="Train a model as a preset says.",
    epilog=epilog(
        "train digits --out runs/first",
        "train mnist-8px --set training.epochs=5 --set model.hidden_size=128 --seed 2",
        "train mnist-8px --set model.unit=lstm --tensorboard",
        "train my-run.toml --json > summary.json",
    ),
)
def train(
    preset: Annotated[
        str,
        typer.Argument(
            help="Name of a preset, or a TOML file.",
            metavar="PRESET",
            autocompletion=complete_preset,
        ),
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
    tensorboard: Board = False,
    json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train PRESET and print a summary."""
    from lipschitz_rnn.cli.console import warn
    from lipschitz_rnn.cli.launch import default_run_dir, launch, workers
    from lipschitz_rnn.experiments import load_preset, train_run
    from lipschitz_rnn.training.distributed import from_first, is_first

    overrides = list(settings or [])
    if eps is not None:
        overrides.append(f"model.step_size={eps}")
    if seed is not None:
        overrides += [f"seed.{purpose}={seed}" for purpose in ("init", "order", "dropout")]
    with workers():
        config = from_first(lambda: load_preset(preset, overrides))
        run_dir = from_first(lambda: out or default_run_dir(config.name))
        report = warn if is_first() else None
        launch(
            run_dir,
            lambda hooks: train_run(config, run_dir, data_dir=data_dir, hooks=hooks, report=report),
            quiet=quiet,
            json=json,
            tensorboard=tensorboard,
        )
