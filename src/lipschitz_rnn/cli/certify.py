"""``lipschitz-rnn certify``: whether a trained unit is stable, proved."""

import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, RunDir, Weights, WeightsChoice

if TYPE_CHECKING:
    from lipschitz_rnn.analysis import StabilityCertificate


class Strength(StrEnum):
    """How much is searched."""

    auto = "auto"
    norm = "norm"
    diagonal = "diagonal"
    full = "full"


@app.command(
    short_help="Prove that the unit forgets how it began.",
    epilog=epilog(
        "certify runs/a",
        "certify runs/a --strength full --output certificate.json",
        "certify runs/a --continuous",
        note="The certificate is written whether it holds or not. Exit code 0 if it holds, 1 if "
        "not, and 2 if there is nothing to certify.",
    ),
)
def certify(
    run: RunDir,
    strength: Annotated[
        Strength, typer.Option(help="Search so much; auto takes the weakest that certifies.")
    ] = Strength.auto,
    max_dt: Annotated[
        float | None,
        typer.Option(help="Largest time dt of an input, where inputs have times.", metavar="X"),
    ] = None,
    continuous: Annotated[
        bool, typer.Option("--continuous", help="Of the differential equation, not of the step.")
    ] = False,
    weights: WeightsChoice = Weights.best,
    output: Annotated[
        Path | None,
        typer.Option(
            help="The certificate; RUN/certificate.json by default, RUN/certificate-last.json of "
            "the last weights."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Certify that the unit of RUN forgets how it began, whatever the input."""
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.analysis import certify as certify_model
    from lipschitz_rnn.analysis.certificate_file import save_certificate
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.experiments import load_trained

    trained = load_trained(run, weights.value)
    if max_dt is None:  # of times that are not told, nothing is known
        timed = trained.timed and not continuous
        max_dt = math.inf if timed else 1.0
    report = warn if sys.stderr.isatty() else None
    name = "certificate.json" if weights is Weights.best else f"certificate-{weights.value}.json"
    path = run / name if output is None else output
    try:
        found = certify_model(
            trained.model,
            strength=strength.value,
            max_dt=max_dt,
            continuous=continuous,
            report=report,
        )
        save_certificate(found, path, model=trained.model)
    except (TypeError, ValueError) as error:
        raise InputError(f"{run}: {error}") from None
    if as_json:
        say(_as_json(found, path))
    else:
        _print(found, path)
    if not found.holds:
        raise typer.Exit(1)


def _as_json(found: "StabilityCertificate", path: Path) -> str:
    import json

    names = ("name", "holds", "rate", "contraction", "growth", "strength", "seconds", "reason")
    units = [{name: getattr(unit, name) for name in names} for unit in found.units]
    content: dict[str, Any] = {name: getattr(found, name) for name in names[1:4]}
    return json.dumps({**content, "certificate": str(path), "units": units}, indent=1)


def _print(found: "StabilityCertificate", path: Path) -> None:
    from rich import box
    from rich.table import Table

    from lipschitz_rnn.cli.console import make_console, say

    table = Table(
        *("unit", "certified", "rate", "factor an input", "strength", "seconds"), box=box.SIMPLE
    )
    for unit in found.units:
        numbers = [
            "" if x is None else f"{x:.{digits}g}"
            for x, digits in ((unit.rate, 4), (unit.contraction, 6))
        ]
        answer = "yes" if unit.holds else "no"
        table.add_row(unit.name, answer, *numbers, unit.strength, f"{unit.seconds:.1f}")
    make_console().print(table)
    for unit in found.units:  # below the table, which would break so long a line
        say(f"{unit.name}: {unit.reason}")
    say(f"certificate: {path}")
