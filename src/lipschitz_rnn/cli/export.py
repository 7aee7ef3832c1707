"""``lipschitz-rnn export``: the model of a run for other programs."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, RunDir, Weights, WeightsChoice

if TYPE_CHECKING:
    from lipschitz_rnn.experiments import TrainedRun


class Format(StrEnum):
    """What to export to."""

    onnx = "onnx"
    onnx_step = "onnx-step"
    torch = "torch"
    c = "c"


_NAMES = {
    Format.onnx: "model.onnx",
    Format.onnx_step: "model-step.onnx",
    Format.torch: "model.pt2",
    Format.c: "model.h",
}


@app.command(
    short_help="The model for ONNX, torch.export or C.",
    epilog=epilog(
        "export runs/a --format onnx",
        "export runs/a --format c --output gesture.h",
        note="A model that was trained on irregular times takes them where it goes.",
    ),
)
def export(
    run: RunDir,
    format: Annotated[
        Format,
        typer.Option(help="ONNX for sequences or for one step, torch.export, or a C header."),
    ],
    output: Annotated[
        Path | None, typer.Option(help="The file; in RUN by default.", metavar="FILE")
    ] = None,
    lengths: Annotated[
        bool, typer.Option("--lengths", help="Take lengths of padded sequences; for onnx.")
    ] = False,
    weights: WeightsChoice = Weights.best,
    json: AsJson = False,
) -> None:
    """Write the model of RUN as a file that other programs can run."""
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.cli.console import say
    from lipschitz_rnn.experiments import load_trained
    from lipschitz_rnn.experiments.plain import as_json

    if lengths and format is not Format.onnx:
        raise InputError(f"export: expected --lengths with --format onnx, got {format.value}.")
    path = run / _NAMES[format] if output is None else output
    if path.is_dir():
        raise InputError(
            f"{path}: expected a file to write to, got a folder. Name one in it, such as "
            f"{path / _NAMES[format]}."
        )
    trained = load_trained(run, weights.value)
    made = _write(trained, format, path, lengths)
    if json:
        say(as_json({"run": str(run), "weights": weights.value, "format": format.value, **made}))
        return
    say(f"{path}: {made['size']:,} bytes")
    for kind in ("inputs", "outputs"):
        shapes = (f"{n} ({', '.join(map(str, shape))})" for n, shape in made.get(kind, {}).items())
        if kind in made:
            say(f"{kind}: {', '.join(shapes)}")
    if made["difference"] is None:
        say(f"not compared with the model: {made['compared_by']}")
    else:
        say(f"differs from the model by {made['difference']:.2g} at most ({made['compared_by']})")


def _write(trained: "TrainedRun", format: Format, path: Path, lengths: bool) -> dict[str, Any]:
    """Write the file, and say what it is."""
    from lipschitz_rnn.export import export_onnx, export_onnx_step, export_torch

    if format is Format.c:
        return _write_header(trained, path)
    timed = trained.timed
    if format is Format.onnx:
        made = export_onnx(trained.model, path, dt=timed, lengths=lengths)
    elif format is Format.onnx_step:
        made = export_onnx_step(trained.model, path, dt=timed)
    else:
        made = export_torch(trained.model, path, dt=timed)
    return vars(made) | {"path": str(path)}


def _write_header(trained: "TrainedRun", path: Path) -> dict[str, Any]:
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn._base.files import write_atomically
    from lipschitz_rnn.export import c_header
    from lipschitz_rnn.export.c_compared import compare_c

    name = path.stem if path.stem.isidentifier() and path.stem.isascii() else "model"
    try:
        text = c_header(trained.model, name=name)
    except (TypeError, ValueError) as error:
        raise InputError(" ".join(str(error).split())) from None
    difference, by = compare_c(trained.model, text, name)
    data = text.encode()
    write_atomically(path, data)
    made = {"path": str(path), "size": len(data), "name": name}
    return made | {"difference": difference, "compared_by": by}
