"""Several runs side by side: what they came to, and the settings in which they differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from lipschitz_rnn.report.curves import draw_together
from lipschitz_rnn.report.facts import RunReport
from lipschitz_rnn.report.figures import Drawing
from lipschitz_rnn.report.source import Source

_NONE = "-"
_SECTIONS = ("model", "training", "data", "seeds")


@dataclass(frozen=True)
class SideBySide:
    """A table with a column for each run.

    Attributes:
        names: Of the runs.
        results: Name of a fact and its value for each run, in order.
        settings: The same of settings that are not alike; empty if all are.
        curves: The learning curves of all; None if their figures do not compare.
        shown: The runs in that figure.
        alike: Whether all runs are of the same data.
    """

    names: tuple[str, ...]
    results: tuple[tuple[str, tuple[str, ...]], ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]
    curves: Drawing | None
    shown: tuple[str, ...]
    alike: bool


def compare_reports(reports: Sequence[RunReport], sources: Sequence[Source]) -> SideBySide:
    """Put runs side by side.

    Args:
        reports: At least one.
        sources: What they were made from, in the same order.

    Returns:
        The table.
    """
    drawn = draw_together(sources, "together")
    results = _table([_results(one) for one in reports])
    alike = {name for name, values in results if name == "machine" and len(set(values)) == 1}
    datas = [(one.config.data, one.kind) for one in sources]
    return SideBySide(
        tuple(one.name for one in reports),
        tuple(row for row in results if row[0] not in alike),
        _differing(_table([_settings(one) for one in reports])),
        None if drawn is None else drawn[0],
        () if drawn is None else drawn[1],
        all(one == datas[0] for one in datas),
    )


def _table(columns: Sequence[dict[str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    names = dict.fromkeys(name for column in columns for name in column)
    return tuple((name, tuple(column.get(name, _NONE) for column in columns)) for name in names)


def _differing(
    rows: tuple[tuple[str, tuple[str, ...]], ...],
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((name, values) for name, values in rows if len(set(values)) > 1)


def _results(report: RunReport) -> dict[str, str]:
    headline = report.headline
    rows = {headline.what: headline.figure, **dict(headline.beside)}
    # which epoch the other weights are of differs from run to run
    rows = {name.split(", after epoch")[0]: text for name, text in rows.items()}
    rows |= dict(headline.facts)
    if report.confusion is not None:
        wrong = report.confusion.total - report.confusion.right
        rows[f"wrong {report.confusion.part} samples"] = f"{wrong:,} of {report.confusion.total:,}"
    if report.certificate is not None:
        rows["certificate"] = "holds" if report.certificate.holds else "none"
        rows |= dict(report.certificate.rows)
    for unit in () if report.stability is None else report.stability.units:
        prefix = "" if len(report.stability.units) == 1 else f"{unit.name}: "  # type: ignore[union-attr]
        kept = ("largest real part", "largest eigenvalue", "largest singular")
        rows |= {prefix + name: text for name, text in unit.rows if name.startswith(kept)}
    return rows


def _settings(report: RunReport) -> dict[str, str]:
    settings = report.settings
    return {
        f"{section}: {name}" if section != "model" else name: value
        for section in _SECTIONS
        for name, value in getattr(settings, section)
        if name != "source"
    }
