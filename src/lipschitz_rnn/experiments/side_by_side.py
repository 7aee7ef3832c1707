"""Measured numbers of several models in one table, and which model a number speaks for."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Z95 = 1.959963984540054
"""Standard errors on each side of a 95 % interval."""


@dataclass(frozen=True)
class Value:
    """A number measured of one run.

    Attributes:
        number: NaN if it is not known.
        error: Half a 95 % interval of the measurement itself; 0 where it is exact or not known.
    """

    number: float
    error: float = 0.0


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
            Mean and standard deviation over its runs, or the number and half its interval.
        """
        known = [v for v in self.values.get(label, ()) if math.isfinite(v.number)]
        if not known:
            return ""
        numbers = [value.number * self.scale for value in known]
        if len(numbers) > 1:
            return f"{self._text(statistics.fmean(numbers))} ± {self._text(_spread(numbers))}"
        error = known[0].error * self.scale
        return self._text(numbers[0]) + (f" (± {self._text(error)})" if error > 0 else "")

    def best(self) -> str | None:
        """The model that this number speaks for.

        Returns:
            Its label, if it is better than every other by more than a 95 % interval of the
            difference: Welch's over runs where a model has several, of the measurement otherwise.
            None if there is no such model.
        """
        known = {
            label: [v for v in values if math.isfinite(v.number)]
            for label, values in self.values.items()
        }
        known = {label: values for label, values in known.items() if values}
        if self.better is None or len(known) < 2:
            return None
        sign = 1 if self.better == "higher" else -1
        means = {k: sign * statistics.fmean(v.number for v in own) for k, own in known.items()}
        first = max(means, key=lambda label: means[label])
        others = [label for label in means if label != first]
        clear = all(
            means[first] - means[label] > _half_interval(known[first], known[label])
            for label in others
        )
        return first if clear else None

    def _text(self, number: float) -> str:
        if self.digits is None:
            return f"{number:.3g}"
        return f"{number:.{self.digits}f}"


def _spread(numbers: Sequence[float]) -> float:
    return statistics.stdev(numbers) if len(numbers) > 1 else 0.0


def _half_interval(one: Sequence[Value], other: Sequence[Value]) -> float:
    """Half a 95 % interval of the difference of two means."""
    if len(one) < 2 or len(other) < 2:  # of runs that were not repeated
        return math.hypot(*(max(v.error for v in values) for values in (one, other)))
    squares = [_spread([v.number for v in values]) ** 2 / len(values) for values in (one, other)]
    total = sum(squares)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(
        square**2 / (len(values) - 1) for square, values in zip(squares, (one, other), strict=True)
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
    """

    title: str
    labels: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    runs: Mapping[str, int] = field(default_factory=dict)

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """The table as text.

        Returns:
            The headings, and the cells of each row. A last column says which model a row speaks
            for, if there are several.
        """
        several = len(self.labels) > 1
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
        lines = [f"# {self.title}", "", "| " + " | ".join(heads) + " |"]
        lines += [
            "|---|" + "--:|" * len(self.labels) + "---|" * (len(heads) - 1 - len(self.labels))
        ]
        lines += [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows
        ]
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
            f"Clearly better, of {len(judged)} rows that can be judged: "
            f"{', '.join(parts) or 'none'}; undecided {undecided}."
        )
