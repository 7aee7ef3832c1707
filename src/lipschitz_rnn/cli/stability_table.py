"""A stability report in words."""

from collections.abc import Iterator

from lipschitz_rnn.analysis.report import StabilityReport
from lipschitz_rnn.experiments.stability_rows import stability_rows

_WIDTH = 46


def report_lines(report: StabilityReport) -> Iterator[str]:
    """A report, line by line.

    Args:
        report: The report.

    Yields:
        A heading for each unit, and under it a row for each quantity.
    """
    for unit in report.units:
        gate = ", gated" if unit.gated else ""
        yield (
            f"unit {unit.name}: {unit.size} features, {unit.method}, "
            f"step size {unit.step_size:.4g}, {unit.nonlinearity}{gate}"
        )
        for label, text in stability_rows(unit):
            yield f"  {label:<{_WIDTH}}{text}"
