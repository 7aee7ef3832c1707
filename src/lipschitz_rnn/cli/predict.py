"""``lipschitz-rnn predict``: classes of the samples in a file."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.options import RunDir, Weights, WeightsChoice

if TYPE_CHECKING:
    import numpy as np


@app.command()
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
) -> None:
    """Classify the samples in FILE with the model of RUN."""
    from lipschitz_rnn._base.files import write_atomically
    from lipschitz_rnn.cli.console import say
    from lipschitz_rnn.cli.samples import read_samples
    from lipschitz_rnn.experiments import predict_run

    shares = predict_run(run, read_samples(file), weights.value)  # (n, C)
    answer = shares.numpy() if probabilities else shares.argmax(-1).numpy()
    content = _encode(answer, is_npy=out is not None and out.suffix == ".npy")
    if out is None:
        say(content.decode().rstrip("\n"))
    else:
        write_atomically(out, content)


def _encode(answer: "np.ndarray", *, is_npy: bool) -> bytes:
    """An array as an .npy file, or as a line for each sample."""
    import numpy as np

    stream = io.BytesIO()
    if is_npy:
        np.save(stream, answer, allow_pickle=False)
    else:
        np.savetxt(stream, answer, fmt="%d" if answer.ndim == 1 else "%.6g", delimiter=",")
    return stream.getvalue()
