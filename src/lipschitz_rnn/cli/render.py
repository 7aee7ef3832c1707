"""``lipschitz-rnn render``: write the tables and figures of a page from the cards."""

from pathlib import Path
from typing import Annotated

import typer

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, Results


@app.command(
    short_help="Write a page's tables from the cards.",
    epilog=epilog(
        "render docs/results.md",
        note="Marks, each in a line of its own: '<!-- table: NAME -->', '<!-- end of table -->'; "
        "likewise rows: TABLE/ROW TABLE/ROW, some rows of several tables; speed: FILE, what "
        "`lipschitz-rnn bench` wrote; features: FILE, a list of features; and those of "
        "docs/benchmarks.md and README.md. What is between two marks is replaced, all else left "
        "alone.",
    ),
)
def render(
    page: Annotated[Path, typer.Argument(help="A page in Markdown.", metavar="PAGE")],
    results: Results = Path("results"),
    json: AsJson = False,
) -> None:
    """Write the tables of PAGE anew from the cards, and their figures into images/ beside it."""
    from lipschitz_rnn.cli.console import say
    from lipschitz_rnn.cli.render_marks import makers_of
    from lipschitz_rnn.experiments.page import write_page
    from lipschitz_rnn.experiments.plain import as_json

    written = write_page(page, results, makers_of(page, results))
    if json:
        say(as_json({"written": [str(path) for path in written]}))
        return
    for path in written:
        say(str(path))
