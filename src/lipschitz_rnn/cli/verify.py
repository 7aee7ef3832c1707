"""``lipschitz-rnn verify``: evaluate committed models again and compare with their cards."""

from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.options import DataDir


@app.command()
def verify(
    results: Annotated[Path, typer.Argument(help="Folder of results.", metavar="RESULTS")] = Path(
        "results"
    ),
    data_dir: DataDir = None,
) -> None:
    """Evaluate every model under RESULTS again and compare it with its card."""
    from lipschitz_rnn._base.errors import InputError
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.experiments.verify import verify_cards

    different = 0
    for found in verify_cards(results, data_dir=data_dir, report=warn):
        say(f"{found.status}: {found.card.parent}, {found.weights} weights: {found.detail}")
        different += found.status == "different"
    if different:
        raise InputError(f"{results}: expected what the cards say, but {different} differ.")
