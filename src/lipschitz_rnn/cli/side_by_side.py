"""What the verbs that compare runs share: groups, tables, files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lipschitz_rnn.experiments.side_by_side import Comparison
    from lipschitz_rnn.experiments.subjects import Subject

_Result = TypeVar("_Result")


def by_label(
    subjects: Sequence["Subject"], results: Sequence[_Result]
) -> list[tuple[str, list[_Result]]]:
    """Results of each model, runs that differ in their seeds together.

    Args:
        subjects: The runs.
        results: One of each.

    Returns:
        Label and results, in the order in which labels come first.
    """
    groups: dict[str, list[_Result]] = {}
    for subject, result in zip(subjects, results, strict=True):
        groups.setdefault(subject.label, []).append(result)
    return list(groups.items())


def print_comparison(comparison: "Comparison") -> None:
    """Print a table with its notes.

    Args:
        comparison: The table.
    """
    from rich import box
    from rich.table import Table

    from lipschitz_rnn.cli.console import make_console, say

    heads, rows = comparison.cells()
    table = Table(box=box.SIMPLE, title=comparison.title, title_justify="left")
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if 0 < i <= len(comparison.labels) else "left")
    for cells in rows:
        table.add_row(*cells)
    console = make_console()
    if not console.is_terminal:  # a file has no width of its own
        console.width = 150
    console.print(table)
    for note in comparison.notes:
        say(note)


def report_comparison(
    comparison: "Comparison",
    figures: dict[str, "Figure"],
    results: dict[str, Any],
    folder: Path,
    name: str,
    *,
    json: bool,
) -> None:
    """Write table and figures, and say what there is.

    Args:
        comparison: The table, which becomes NAME.md.
        figures: By name of their files: each is written as .svg and .png.
        results: What JSON is to hold.
        folder: Where to; made if it is not there.
        name: Of the verb.
        json: Whether to write JSON on standard output, instead of the table.
    """
    from lipschitz_rnn._base.files import write_atomically
    from lipschitz_rnn.cli.console import say
    from lipschitz_rnn.experiments.figures.save import save_figure
    from lipschitz_rnn.experiments.plain import as_json

    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.md"]
    write_atomically(written[0], comparison.markdown().encode())
    for path in (folder / f"{one}{ending}" for one in figures for ending in (".svg", ".png")):
        save_figure(figures[path.stem], path)
        written.append(path)
    if json:
        say(as_json({**results, "files": [str(path) for path in written]}))
        return
    print_comparison(comparison)
    for path in written:
        say(f"written: {path}")
