"""Arguments and options that several verbs share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Folder with mnist/ and the like in it; asked before $LIPSCHITZ_RNN_DATA.",
        metavar="DIR",
    ),
]
Results = Annotated[
    Path, typer.Option(help="Folder of results, a folder for each run.", metavar="DIR")
]
Budget = Annotated[
    str | None,
    typer.Option(help="Stop after so long, such as 30m or 2h.", metavar="TIME"),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
Board = Annotated[
    bool,
    typer.Option("--tensorboard", help="Write losses and figures for TensorBoard, in the run."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]
Runs = Annotated[list[Path], typer.Argument(help="Folders of runs.", metavar="RUN...")]
AnalysisDir = Annotated[
    Path,
    typer.Option("--output", help="Folder for results, table and figures.", metavar="DIR"),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Samples at a time.")]
Draws = Annotated[int, typer.Option(min=1, help="Draws of what is random.")]
RunDir = Annotated[Path, typer.Argument(help="Folder of a run.", metavar="RUN")]


class Weights(StrEnum):
    """Which weights of a run to use."""

    best = "best"
    last = "last"


WeightsChoice = Annotated[
    Weights, typer.Option("--weights", help="Best on the validation samples, or last.")
]
