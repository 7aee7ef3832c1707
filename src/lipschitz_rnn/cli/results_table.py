"""A table of results on the terminal."""

from collections.abc import Sequence

from rich import box
from rich.table import Table as RichTable

from lipschitz_rnn.cli.console import make_console, say
from lipschitz_rnn.experiments.plain import as_json
from lipschitz_rnn.experiments.results import RowResult, as_table
from lipschitz_rnn.experiments.results_text import WORDS, table_cells
from lipschitz_rnn.experiments.tables import Table

_WIDTH = 150
_OMITTED = {"how sure", "data", "epochs"}
"""Columns that the files beside the cards have, and a terminal has no room for."""


def print_table(table: Table, gathered: Sequence[RowResult], *, json: bool = False) -> None:
    """Print a table beside the numbers in print.

    Args:
        table: The table.
        gathered: Its results.
        json: Whether to write JSON instead of text.
    """
    if json:
        say(as_json(as_table(table, gathered)))
        return
    heads, rows = table_cells(table, gathered)
    shown = RichTable(box=box.SIMPLE, title=table.title, title_justify="left")
    kept = [number for number, head in enumerate(heads) if head not in _OMITTED]
    for number in kept:
        head = heads[number]
        shown.add_column(head, justify="left" if head in WORDS else "right")
    for cells in rows:
        shown.add_row(*(cells[number] for number in kept))
    console = make_console()
    if not console.is_terminal:  # a file has no width of its own
        console.width = _WIDTH
    console.print(shown)
    for note in table.notes:
        say(note)
