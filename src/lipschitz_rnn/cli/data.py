"""``lipschitz-rnn data``: get and verify data sets."""

from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.options import DataDir

data_app = typer.Typer(help="Get data sets, or verify them.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Name = Annotated[str, typer.Argument(help="Name of a data set, such as mnist.", metavar="NAME")]


@data_app.command()
def get(name: Name, data_dir: DataDir = None) -> None:
    """Download NAME unless it is here."""
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.data import get

    status = get(name, data_dir=data_dir, report=warn)
    for file in status.files:
        say(f"{file.name}: {file.path} ({file.source})")
    say(f"{name}: {status.note or 'complete'}")


@data_app.command()
def verify(name: Name, data_dir: DataDir = None) -> None:
    """Compare the files of NAME with their checksums; download nothing."""
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.cli.console import program, say
    from lipschitz_rnn.data import verify

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
