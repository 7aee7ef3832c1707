"""Measured numbers of several models in one table, and which model a number speaks for."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lipschitz_rnn._base.markdown import markdown_table

Z95 = 1.959963984540054
"""Standard errors on each side of a 95 % interval."""


SPREAD = (
    "Mean ± standard deviation over runs; of a single run (±) half a 95 % interval of the "
    "measurement, where it is known."
)
"""What the table's ± stands for."""


@dataclass(frozen=True)
class Value:
    """A number measured of one run.

    Attributes:
        number: NaN if it is not known.
        error: Half a 95 % interval of the measurement itself; None if it is not known.
    """

    number: float
    error: float | None = None


@dataclass(frozen=True)
class Row:
    """One number of every model.

    Attributes:
        name: Of the number, with its unit.
        values: Of every run of a model, by the model's label.
        better: ``"lower"``, ``"higher"``, or None where neither speaks for a model.
        scale: Numbers are shown times this: 100 for per cent.
        digits: Behind the point; three significant ones if None.
    """

    name: str
    values: Mapping[str, Sequence[Value]]
    better: str | None = None
    scale: float = 1.0
    digits: int | None = None

    def cell(self, label: str) -> str:
        """What the table shows of a model.

        Args:
            label: Of the model.

        Returns:
            Mean and standard deviation over its runs, or the number and half its interval; of how
            many runs, if some have no finite one.
        """
        values = self.values.get(label, ())
        known = [v for v in values if math.isfinite(v.number)]
        if not known:
            return "inf" if any(math.isinf(v.number) for v in values) else ""
        numbers = [value.number * self.scale for value in known]
        text = self._text(statistics.fmean(numbers))
        if len(set(numbers)) > 1:
            text += f" ± {self._text(statistics.stdev(numbers))}"
        elif len(values) == 1 and known[0].error:
            text += f" (± {self._text(known[0].error * self.scale)})"
        return text if len(known) == len(values) else f"{text} ({len(known)} of {len(values)} runs)"

    def best(self) -> str | None:
        """The model that this number speaks for.

        Returns:
            Its label, if it is better than every other by more than half a 95 % interval of the
            difference, see :func:`half_interval`. None if there is no such model, if a run has no
            finite number, or if nothing is known of the errors.
        """
        models = {label: values for label, values in self.values.items() if values}
        numbers = [value.number for values in models.values() for value in values]
        if self.better is None or len(models) < 2 or not all(map(math.isfinite, numbers)):
            return None
        sign = 1 if self.better == "higher" else -1
        means = {k: sign * statistics.fmean(v.number for v in own) for k, own in models.items()}
        first = max(means, key=lambda label: means[label])
        for label in means:
            half = half_interval(models[first], models[label])
            if label != first and (half is None or means[first] - means[label] <= half):
                return None
        return first

    def _text(self, number: float) -> str:
        if self.digits is None:
            return f"{number:.3g}"
        return f"{number:.{self.digits}f}"


def half_interval(one: Sequence[Value], other: Sequence[Value]) -> float | None:
    """Half a 95 % interval of the difference of two models' means.

    Args:
        one: Of the runs of a model, finite ones.
        other: Likewise.

    Returns:
        The largest of these: Welch's over runs; if one of the models has a single run, what that
        may be off by if it varies as the other's do; that of the measurements, which repeated runs
        on the same samples share. None if single runs stand against each other and their errors
        are not known.
    """
    counts = len(one), len(other)
    found = []
    if min(counts) > 1:
        found.append(_welch(one, other))
    elif max(counts) > 1:
        several = one if counts[0] > 1 else other
        spread, count = statistics.stdev(v.number for v in several), len(several)
        found.append(_student(count - 1) * spread * math.sqrt(1 + 1 / count))
    errors = [v.error for v in (*one, *other)]
    if None not in errors:
        means = (statistics.fmean(v.error or 0.0 for v in values) for values in (one, other))
        found.append(math.hypot(*means))
    return max(found, default=None)


def _welch(one: Sequence[Value], other: Sequence[Value]) -> float:
    squares = [statistics.variance(v.number for v in own) / len(own) for own in (one, other)]
    total = sum(squares)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(
        square**2 / (len(own) - 1) for square, own in zip(squares, (one, other), strict=True)
    )
    return _student(freedom) * math.sqrt(total)


def _student(freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


@dataclass(frozen=True)
class Comparison:
    """A table of several models.

    Attributes:
        title: Above it.
        labels: Of the models, in order.
        rows: Its rows.
        notes: Sentences below it.
        runs: How many runs each model has.
        judged: Whether a last column says which model a row speaks for.
    """

    title: str
    labels: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    runs: Mapping[str, int] = field(default_factory=dict)
    judged: bool = True

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """The table as text.

        Returns:
            The headings, and the cells of each row.
        """
        several = self.judged and len(self.labels) > 1
        counts = {label: self.runs.get(label, 1) for label in self.labels}
        heads = [f"{label} (n={counts[label]})" if counts[label] > 1 else label
                 for label in self.labels]  # fmt: skip
        rows = [
            [row.name, *(row.cell(label) for label in self.labels)]
            + ([row.best() or ""] if several else [])
            for row in self.rows
        ]
        return ["", *heads, *(["clearly better"] if several else [])], rows

    def markdown(self) -> str:
        """The table in Markdown.

        Returns:
            Title, table and notes.
        """
        heads, rows = self.cells()
        words = [heads[0], *heads[1 + len(self.labels) :]]
        lines = [f"# {self.title}", "", *markdown_table(heads, rows, words)]
        lines += [f"\n{note}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def verdict(self) -> str:
        """Which model to deploy, as far as the rows say.

        Returns:
            A sentence with the number of rows that speak for each model, or for none.
        """
        judged = [row for row in self.rows if row.better is not None]
        wins = {label: sum(row.best() == label for row in judged) for label in self.labels}
        parts = [f"{label} in {count}" for label, count in wins.items() if count]
        undecided = len(judged) - sum(wins.values())
        return (
            f"Clearly better, of {len(judged)} rows that say which way is better: "
            f"{', '.join(parts) or 'none'}; undecided {undecided}. Rows depend on each other."
        )
