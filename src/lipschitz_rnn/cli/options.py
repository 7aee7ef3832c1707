"""Arguments and options that several verbs share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Folder with mnist/ in it; asked before $LIPSCHITZ_RNN_DATA.",
        metavar="DIR",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
RunDir = Annotated[Path, typer.Argument(help="Folder of a run.", metavar="RUN")]


class Weights(StrEnum):
    """Which weights of a run to use."""

    best = "best"
    last = "last"


WeightsChoice = Annotated[
    Weights, typer.Option("--weights", help="Best on the validation samples, or last.")
]
