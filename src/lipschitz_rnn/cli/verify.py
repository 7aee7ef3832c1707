"""``lipschitz-rnn verify``: prove a certificate again, or evaluate committed models again."""

from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.options import DataDir, Weights, WeightsChoice


@app.command(
    epilog="Of a file CERT the proof is done again, without the search; with --model it must "
    "be of those weights. Exit code 0 if it holds, 1 if not, and 2 if it is no certificate."
)
def verify(
    target: Annotated[
        Path, typer.Argument(help="Folder of results, or a certificate.", metavar="RESULTS|CERT")
    ] = Path("results"),
    model: Annotated[
        Path | None,
        typer.Option(help="Run folder that the certificate should be of.", metavar="RUN"),
    ] = None,
    weights: WeightsChoice = Weights.best,
    data_dir: DataDir = None,
) -> None:
    """Evaluate every model under RESULTS again, or prove a certificate again."""
    from lipschitz_rnn._base.errors import InputError

    if not target.is_dir():  # a file, whatever its name, or nothing, which reading it says
        _check(target, model, weights.value)
    elif model is not None:
        raise InputError(f"--model: expected a certificate beside it, a file, got {target}.")
    else:
        _evaluate(target, data_dir)


def _evaluate(results: Path, data_dir: Path | None) -> None:
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.experiments.verify import verify_cards

    different = 0
    for found in verify_cards(results, data_dir=data_dir, report=warn):
        say(f"{found.status}: {found.card.parent}, {found.weights} weights: {found.detail}")
        different += found.status == "different"
    if different:
        raise InputError(f"{results}: expected what the cards say, but {different} differ.")


def _check(path: Path, run: Path | None, weights: str) -> None:
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.analysis.certificate_file import verify_certificate
    from lipschitz_rnn.cli.console import say
    from lipschitz_rnn.experiments import load_trained

    model = None if run is None else load_trained(run, weights).model
    try:
        found = verify_certificate(path, model)
    except TypeError as error:  # a unit without matrices A and W
        raise InputError(f"{run}: {error}") from None
    for line in found.lines:
        say(line)
    say(f"{found} ({found.seconds:.1f} s)")
    if not found.holds:
        raise typer.Exit(1)
