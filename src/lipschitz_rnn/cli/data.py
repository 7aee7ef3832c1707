"""``lipschitz-rnn data``: get and verify data sets."""

from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.options import DataDir

data_app = typer.Typer(help="Get data sets, or verify them.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Name = Annotated[str, typer.Argument(help="Name of a data set, such as mnist.", metavar="NAME")]


@data_app.command()
def get(name: Name, data_dir: DataDir = None) -> None:
    """Download NAME unless it is here; what is licensed or drawn is looked at, not downloaded."""
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.data import get
    from lipschitz_rnn.data.cache import DATASETS

    if name not in DATASETS:
        _load(name, data_dir)
        return
    status = get(name, data_dir=data_dir, report=warn)
    for file in status.files:
        say(f"{file.name}: {file.path} ({file.source})")
    say(f"{name}: {status.note or 'complete'}")


@data_app.command()
def verify(name: Name, data_dir: DataDir = None) -> None:
    """Compare the files of NAME with their checksums, or with what is known of them."""
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.cli.console import program, say
    from lipschitz_rnn.data import verify
    from lipschitz_rnn.data.cache import DATASETS

    if name not in DATASETS:
        _load(name, data_dir)
        return
    status = verify(name, data_dir=data_dir)
    for file in status.files:
        say(
            f"{file.name}: {'right' if file.digest_ok else file.problem} {file.path or ''}".rstrip()
        )
    if not status.ok:
        bad = ", ".join(file.name for file in status.files if not file.digest_ok)
        raise InputError(
            f"{name}: expected every file with its checksum, but not so {bad}. "
            f"Try `{program()} data get {name}`."
        )
    say(f"{name}: {status.note or 'every file is right'}")


def _load(name: str, data_dir: Path | None) -> None:
    """Load a data set that is not downloaded, which checks all that is known of it."""
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.data import load_split, split_options

    steps = 100 if "steps" in split_options(name) else None
    split = load_split(name, steps=steps, data_dir=data_dir, report=warn)
    parts = (split.train, split.validation, split.test)
    say(f"{name}: {' / '.join(f'{len(part):,}' for part in parts)} samples from {split.source}")
    say(f"{name}: digest {split.digest}")
    for key, note in split.notes.items():
        say(f"{name}: {key}: {note}")
    for predictor, loss in split.trivial.items():
        say(f"{name}: test loss of a trivial predictor, {predictor}: {loss:.4g}")
