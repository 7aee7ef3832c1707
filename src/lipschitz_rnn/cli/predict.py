"""``lipschitz-rnn predict``: answers to the samples in a file."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, RunDir, Weights, WeightsChoice

if TYPE_CHECKING:
    import numpy as np


@app.command(
    short_help="Answers to the samples in a file.",
    epilog=epilog(
        "predict runs/a samples.npy",
        "predict runs/a samples.csv --probabilities --out shares.npy",
        "predict runs/a samples.npy --json",
    ),
)
def predict(
    run: RunDir,
    file: Annotated[
        Path, typer.Argument(help="Samples: .npy, or .csv with one on each line.", metavar="FILE")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write here (.npy or text) instead of to the terminal.")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="A column for each class instead.")
    ] = False,
    weights: WeightsChoice = Weights.best,
    json: AsJson = False,
) -> None:
    """Answer the samples in FILE with the model of RUN: by classes, or by values."""
    from lipschitz_rnn._base.files import write_atomically
    from lipschitz_rnn.cli.console import say
    from lipschitz_rnn.cli.samples import read_samples
    from lipschitz_rnn.experiments import predict_run
    from lipschitz_rnn.experiments.plain import as_json

    samples = read_samples(file)
    answer = predict_run(run, samples, weights.value, choose=not probabilities).numpy()
    if out is not None:
        write_atomically(out, _encode(answer, is_npy=out.suffix == ".npy"))
    if json:
        told = {"run": str(run), "weights": weights.value, "shape": answer.shape}
        say(as_json(told | ({"answers": answer} if out is None else {"out": out})))
    elif out is None:
        say(_encode(answer, is_npy=False).decode().rstrip("\n"))


def _encode(answer: "np.ndarray", *, is_npy: bool) -> bytes:
    """An array as an .npy file, or as a line for each sample or step."""
    import numpy as np

    from lipschitz_rnn._base.errors import InputError

    stream = io.BytesIO()
    if is_npy:
        np.save(stream, answer, allow_pickle=False)
    elif answer.ndim > 2:
        raise InputError(
            "predict: expected --out FILE.npy for several numbers at every step of several "
            f"sequences, got {answer.shape} numbers to write in lines."
        )
    else:
        is_class = answer.dtype.kind == "i"
        np.savetxt(stream, answer, fmt="%d" if is_class else "%.6g", delimiter=",")
    return stream.getvalue()
