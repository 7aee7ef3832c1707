"""The page: facts into one HTML file that needs no other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from lipschitz_rnn import __version__
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.experiments.runs import Report
from lipschitz_rnn.report.comparison import SideBySide, compare_reports
from lipschitz_rnn.report.facts import RunReport, gather
from lipschitz_rnn.report.source import Source, Splits, open_source
from lipschitz_rnn.report.wording import number

WHEN_ALONE = "report.html"
"""Name of the file, in the folder of a single run."""


@dataclass(frozen=True, eq=False)
class Written:
    """A report on disk.

    Attributes:
        path: The file.
        size: Its bytes.
        runs: What it says of each run.
    """

    path: Path
    size: int
    runs: tuple[RunReport, ...]


def write_report(
    runs: Sequence[Path],
    output: Path | None = None,
    *,
    weights: str = "best",
    analyses: Sequence[Path] = (Path("analysis"),),
    data_dir: Path | None = None,
    report: Report | None = None,
) -> Written:
    """Write what is known of runs as one HTML file.

    What cannot be had, such as samples that are not on this machine, is left out, and the page says
    so and why. The models answer their test samples once, those of a run in hand its validation
    samples; all else is read from files.

    Args:
        runs: Folders of runs, finished or not.
        output: The file; ``report.html`` in the folder of a single run, and in the working
            directory for several, if None.
        weights: ``"best"`` on the validation samples, or ``"last"``.
        analyses: Folders with measurements of ``robustness`` and ``hessian``; those of the runs'
            weights are shown.
        data_dir: A data folder to ask first.
        report: Takes lines of progress.

    Returns:
        Where it is and what is in it.

    Raises:
        InputError: If there is no run, no folder for the report, a folder is none of a run, or a
            file in it is damaged.
    """
    if not runs:
        raise InputError("report: expected at least one run, got none.")
    if output is None:
        output = runs[0] / WHEN_ALONE if len(runs) == 1 else Path(WHEN_ALONE)
    if not output.parent.is_dir() or output.is_dir():  # before samples are answered for it
        raise InputError(f"{output}: expected the name of a file in a folder that is there.")
    splits: Splits = {}
    sources = [
        open_source(run, name, weights, data_dir=data_dir, splits=splits, report=report)
        for run, name in zip(runs, _names(runs), strict=True)
    ]
    reports = [
        gather(source, f"r{place}", analyses=analyses, data_dir=data_dir, report=report)
        for place, source in enumerate(sources, 1)
    ]
    content = render(reports, sources).encode()
    write_atomically(output, content)
    return Written(output, len(content), tuple(reports))


def render(reports: Sequence[RunReport], sources: Sequence[Source]) -> str:
    """The page of some runs.

    Args:
        reports: What is said of each.
        sources: What they were made from, in the same order.

    Returns:
        HTML with its styles, scripts and pictures in it; nothing is loaded from elsewhere.
    """
    beside: SideBySide | None = compare_reports(reports, sources) if len(reports) > 1 else None
    title = reports[0].name if beside is None else f"{len(reports)} runs side by side"
    readouts = {f"{one.key}-curves": one.curves.readout for one in reports if one.curves}
    template = _environment().get_template("report.html.j2")
    return template.render(
        title=title,
        runs=reports,
        beside=beside,
        version=__version__,
        style=Markup(_read("report.css")),
        script=Markup(_read("report.js")),
        readouts=_as_script(readouts),
    )


def _names(runs: Sequence[Path]) -> list[str]:
    """Of the folders, and of those above where two are called the same."""
    paths = [run.resolve() for run in runs]
    if len(set(paths)) < len(paths):
        raise InputError("report: expected each run once, got one of them twice.")
    short = [path.name for path in paths]
    long = [f"{path.parent.name}/{path.name}" for path in paths]
    names = short if len(set(short)) == len(short) else long
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _environment() -> Environment:
    made = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = number
    return made


def _read(name: str) -> str:
    return (resources.files("lipschitz_rnn.report") / "templates" / name).read_text("utf-8")


def _as_script(content: Mapping[str, Any]) -> Markup:
    """JSON that may stand in a script element: no text in it can end that element."""
    return Markup(json.dumps(content).replace("<", "\\u003c").replace("&", "\\u0026"))
