"""``lipschitz-rnn data``: get and verify data sets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.complete import complete_data
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, DataDir

if TYPE_CHECKING:
    from lipschitz_rnn.data import DataStatus

data_app = typer.Typer(help="Get data sets, or verify them.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Name = Annotated[
    str,
    typer.Argument(
        help="Name of a data set, such as mnist.",
        metavar="NAME",
        autocompletion=complete_data,
    ),
]


@data_app.command(
    short_help="Download a data set.", epilog=epilog("data get mnist", "data get adding --json")
)
def get(name: Name, json: AsJson = False, data_dir: DataDir = None) -> None:
    """Download NAME unless it is here; what is licensed or drawn is looked at, not downloaded."""
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.data import get
    from lipschitz_rnn.data.cache import DATASETS

    if name not in DATASETS:
        _load(name, data_dir, json)
        return
    status = get(name, data_dir=data_dir, report=warn)
    if json:
        say(_as_json(status))
        return
    for file in status.files:
        say(f"{file.name}: {file.path} ({file.source})")
    say(f"{name}: {status.note or 'complete'}")


@data_app.command(
    short_help="Compare files with their checksums.", epilog=epilog("data verify mnist")
)
def verify(name: Name, json: AsJson = False, data_dir: DataDir = None) -> None:
    """Compare the files of NAME with their checksums, or with what is known of them."""
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.cli.console import program, say
    from lipschitz_rnn.data import verify
    from lipschitz_rnn.data.cache import DATASETS

    if name not in DATASETS:
        _load(name, data_dir, json)
        return
    status = verify(name, data_dir=data_dir)
    for file in () if json else status.files:
        say(
            f"{file.name}: {'right' if file.digest_ok else file.problem} {file.path or ''}".rstrip()
        )
    if json:
        say(_as_json(status))
    if not status.ok:
        bad = ", ".join(file.name for file in status.files if not file.digest_ok)
        raise InputError(
            f"{name}: expected every file with its checksum, but not so {bad}. "
            f"Try `{program()} data get {name}`."
        )
    if not json:
        say(f"{name}: {status.note or 'every file is right'}")


def _as_json(status: "DataStatus") -> str:
    from lipschitz_rnn.experiments.plain import as_json, plain

    return as_json({**plain(status), "ok": status.ok})


def _load(name: str, data_dir: Path | None, json: bool) -> None:
    """Load a data set that is not downloaded, which checks all that is known of it."""
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.data import load_split, split_options
    from lipschitz_rnn.experiments.plain import as_json

    steps = 100 if "steps" in split_options(name) else None
    split = load_split(name, steps=steps, data_dir=data_dir, report=warn)
    counts = {part: len(getattr(split, part)) for part in ("train", "validation", "test")}
    if json:
        named = ("name", "source", "digest", "notes", "trivial")
        say(as_json({**{key: getattr(split, key) for key in named}, **counts}))
        return
    say(f"{name}: {' / '.join(f'{n:,}' for n in counts.values())} samples from {split.source}")
    say(f"{name}: digest {split.digest}")
    for key, note in split.notes.items():
        say(f"{name}: {key}: {note}")
    for predictor, loss in split.trivial.items():
        say(f"{name}: test loss of a trivial predictor, {predictor}: {loss:.4g}")
