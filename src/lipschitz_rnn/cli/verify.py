"""``lipschitz-rnn verify``: prove a certificate again, or evaluate committed models again."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, DataDir, Weights

if TYPE_CHECKING:
    from lipschitz_rnn.analysis import CertificateCheck


@app.command(
    short_help="Evaluate committed models, or prove, again.",
    epilog=epilog(
        "verify results",
        "verify results/smnist",
        "verify runs/a/certificate.json --model runs/a",
        note="Of a file CERT the proof is done again, without the search; with --model it must be "
        "of those weights. Exit code 0 if it holds, 1 if not, and 2 if it is no certificate. Of a "
        "folder: 0 if every model is as its card says, else 2, as where it holds no card.",
    ),
)
def verify(
    target: Annotated[
        Path,
        typer.Argument(
            help="Folder of results, of a preset or of a run, or a certificate.",
            metavar="RESULTS|CERT",
        ),
    ] = Path("results"),
    model: Annotated[
        Path | None,
        typer.Option(help="Run folder that the certificate should be of.", metavar="RUN"),
    ] = None,
    weights: Annotated[
        Weights | None,
        typer.Option("--weights", help="Which of RUN; those the certificate is of by default."),
    ] = None,
    json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Evaluate every model under RESULTS again, or prove a certificate again."""
    from lipschitz_rnn._base.errors import InputError

    if not target.is_dir():  # a file, whatever its name, or nothing, which reading it says
        _check(target, model, list(Weights) if weights is None else [weights], json)
    elif model is not None:
        raise InputError(f"--model: expected a certificate beside it, a file, got {target}.")
    else:
        _evaluate(target, data_dir, json)


def _evaluate(results: Path, data_dir: Path | None, json: bool) -> None:
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.experiments.plain import as_json
    from lipschitz_rnn.experiments.verify import verify_cards

    all_found = []
    for found in verify_cards(results, data_dir=data_dir, report=warn):
        all_found.append(found)
        if not json:
            say(f"{found.status}: {found.card.parent}, {found.weights} weights: {found.detail}")
    if json:
        say(as_json({"results": results, "models": all_found}))
    different = sum(found.status == "different" for found in all_found)
    if different:
        raise InputError(f"{results}: expected what the cards say, but {different} differ.")


def _check(path: Path, run: Path | None, choices: list[Weights], json: bool) -> None:
    """Prove a file, beside the first weights of the run that it is of, or else the first of all."""
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.cli.console import say
    from lipschitz_rnn.experiments.plain import as_json, plain

    found = _verify(path, run, choices[0])
    of = choices[0]
    for choice in choices[1:] if run is not None and not found.holds else []:
        with contextlib.suppress(InputError):  # there are no such weights
            other = _verify(path, run, choice)
            if other.holds:
                found, of = other, choice
    if json:
        model = {} if run is None else {"model": run, "weights": of.value}
        say(as_json({"certificate": path, **model, **plain(found)}))
        raise typer.Exit(0 if found.holds else 1)
    for line in found.lines:
        say(line)
    whose = f", of the {of.value} weights" if run is not None and found.holds else ""
    say(f"{found}{whose} ({found.seconds:.1f} s)")
    if not found.holds:
        raise typer.Exit(1)


def _verify(path: Path, run: Path | None, choice: Weights) -> "CertificateCheck":
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.analysis.certificate_file import verify_certificate
    from lipschitz_rnn.experiments import load_trained

    model = None if run is None else load_trained(run, choice.value).model
    try:
        return verify_certificate(path, model)
    except TypeError as error:  # a unit without matrices A and W
        raise InputError(f"{run}: {error}") from None
