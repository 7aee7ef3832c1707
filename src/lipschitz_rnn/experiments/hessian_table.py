"""What was found of Hessians, side by side."""

from collections.abc import Callable, Sequence

from lipschitz_rnn.experiments.hessian import RunHessian
from lipschitz_rnn.experiments.side_by_side import SPREAD, Z95, Comparison, Row, Value

Measure = Callable[[RunHessian], Value]


def _largest(run: RunHessian) -> Value:
    return Value(float(run.report.eigenvalues[0]))


def _condition(steps: int, definition: str) -> Measure:
    def measure(run: RunHessian) -> Value:
        for one in run.report.conditions:
            if one.steps == steps:
                return Value(float(getattr(one, definition)))
        return Value(float("nan"))

    return measure


def _error(run: RunHessian) -> Value:
    check = run.report.check
    return Value(float("nan") if check is None else max(check.errors))


def _estimate(run: RunHessian) -> Value:
    check = run.report.check
    return Value(float("nan") if check is None else max(check.estimates))


def hessian_rows(groups: Sequence[tuple[str, Sequence[RunHessian]]]) -> tuple[Row, ...]:
    """A row for every number.

    Args:
        groups: Label and runs of each model.

    Returns:
        The rows. A flatter minimum is taken to be the better one, as in the paper.
    """

    def row(
        name: str, measure: Measure, better: str | None = None, digits: int | None = None
    ) -> Row:
        values = {label: [measure(run) for run in runs] for label, runs in groups}
        return Row(name, values, better, digits=digits)

    runs = [run for _, own in groups for run in own]
    steps = sorted({one.steps for run in runs for one in run.report.conditions})
    rows = [
        row("parameters", lambda run: Value(run.report.parameters), digits=0),
        row("training loss", lambda run: Value(run.report.loss)),
        row("norm of its gradient", lambda run: Value(run.report.gradient_norm)),
        row("largest eigenvalue λ_max", _largest, "lower"),
        row(
            "trace",
            lambda run: Value(run.report.trace, Z95 * run.report.trace_error),
            "lower",
        ),
        row("trace, its standard error", lambda run: Value(run.report.trace_error)),
        row("smallest Ritz value", lambda run: Value(run.report.lowest)),
    ]
    rows += [
        row(f"κ = |λ|max / |λ|min, {count} steps", _condition(count, "absolute")) for count in steps
    ]
    if steps:
        last = steps[-1]
        rows.append(row(f"κ = λmax / λmin, {last} steps", _condition(last, "signed")))
        rows.append(row(f"κ = λmax / smallest λ > 0, {last} steps", _condition(last, "positive")))
    rows += [
        row("largest residual ‖Hv - λv‖", lambda run: Value(float(run.report.residuals.max()))),
        row("error of difference products", _error),
        row("the same, estimated", _estimate),
        row("products", lambda run: Value(run.report.products), digits=0),
        row("seconds", lambda run: Value(run.report.seconds)),
    ]
    return tuple(one for one in rows if any(one.cell(label) for label, _ in groups))


def hessian_comparison(
    groups: Sequence[tuple[str, Sequence[RunHessian]]], *, alike: bool = True
) -> Comparison:
    """The table.

    Args:
        groups: Label and runs of each model.
        alike: Whether all are of the same data; if not, no model is called better.

    Returns:
        With notes on what the numbers are of.
    """
    runs = [run for _, own in groups for run in own]
    of = "; ".join(dict.fromkeys(run.of for run in runs))
    return Comparison(
        "Hessian of the training loss",
        tuple(label for label, _ in groups),
        hessian_rows(groups),
        (
            f"Of {of}; parameters: {runs[0].report.group}; evaluation mode, float64. {SPREAD}",
            "Condition numbers are of Ritz values from one random start. They vary with the "
            "start and the number of steps, as one value may lie near zero by chance: not judged.",
        ),
        {label: len(own) for label, own in groups},
        alike,
    )
