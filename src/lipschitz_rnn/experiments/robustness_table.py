"""What was found of the robustness of runs, side by side."""

from collections.abc import Callable, Sequence

from lipschitz_rnn.analysis.robustness_curve import RobustnessCurve
from lipschitz_rnn.experiments.robustness import RunRobustness
from lipschitz_rnn.experiments.side_by_side import SPREAD, Comparison, Row, Value

Groups = Sequence[tuple[str, Sequence[RunRobustness]]]
Measure = Callable[[RunRobustness], Value]

_NAN = Value(float("nan"))


def _at(name: str, strength: float) -> Measure:
    """Accuracy, in per cent of the samples, or the loss where there are no classes."""

    def measure(run: RunRobustness) -> Value:
        curve = run.report.curves.get(name)
        if curve is None or strength not in curve.strengths:
            return _NAN
        place = curve.strengths.index(strength)
        if curve.accuracy is None:
            return _NAN if curve.loss is None else Value(curve.loss[place])
        assert curve.accuracy_low is not None  # for the type checker
        assert curve.accuracy_high is not None
        half = (curve.accuracy_high[place] - curve.accuracy_low[place]) / 2
        return Value(curve.accuracy[place], half)

    return measure


def _shown(curves: Sequence[RobustnessCurve]) -> list[float]:
    """Strengths of which a table has room: the strongest, and every second one before it."""
    strengths = list(dict.fromkeys(s for curve in curves for s in curve.strengths if s))
    return strengths if len(strengths) < 4 else strengths[::-2][::-1]


def robustness_rows(groups: Groups) -> tuple[Row, ...]:
    """A row for the clean model, and for some strengths of every perturbation.

    Args:
        groups: Label and runs of each model.

    Returns:
        The rows; accuracies in per cent, losses where there are no classes.
    """
    runs = [run for _, own in groups for run in own]
    classes = all(run.report.accuracy is not None for run in runs)

    def row(name: str, measure: Measure, better: str | None, **options: object) -> Row:
        values = {label: [measure(run) for run in own] for label, own in groups}
        return Row(name, values, better, **options)  # type: ignore[arg-type]

    unit: dict[str, object] = {"scale": 100.0, "digits": 1} if classes else {}
    better = "higher" if classes else "lower"
    rows = [row("parameters", lambda run: Value(run.parameters), None, digits=0)]
    names = list(dict.fromkeys(name for run in runs for name in run.report.curves))
    first = names[0] if names else ""
    rows.append(row("clean", _at(first, 0.0), better, **unit))
    for name in names:
        curves = [run.report.curves[name] for run in runs if name in run.report.curves]
        rows += [row(f"{name} {s:g}", _at(name, s), better, **unit) for s in _shown(curves)]
        if any(curve.median_distance is not None for curve in curves):
            rows.append(row(f"{name}, median distance of those right", _median(name), None))
    rows += [
        row("gain of small changes, largest", _gain("local"), "lower"),
        row("gain attained by an attack", _gain("attained"), "lower"),
        row("gain, certified bound", _gain("certified"), "lower"),
        row("signs of masked gradients", _findings, None, digits=0),
    ]
    return tuple(one for one in rows if any(one.cell(label) for label, _ in groups))


def _median(name: str) -> Measure:
    def measure(run: RunRobustness) -> Value:
        curve = run.report.curves.get(name)
        if curve is None or curve.median_distance is None:
            return _NAN
        return Value(curve.median_distance)

    return measure


def _gain(which: str) -> Measure:
    def measure(run: RunRobustness) -> Value:
        found = None if run.gain is None else getattr(run.gain, which)
        return _NAN if found is None else Value(float(found))

    return measure


def _findings(run: RunRobustness) -> Value:
    return _NAN if run.masking is None else Value(len(run.masking.findings))


def robustness_comparison(groups: Groups, *, alike: bool = True) -> Comparison:
    """The table.

    Args:
        groups: Label and runs of each model.
        alike: Whether all are of the same data; if not, no model is called better.

    Returns:
        With notes on what the numbers are of.
    """
    runs = [run for _, own in groups for run in own]
    what = "Mean loss" if runs[0].report.accuracy is None else "Accuracy in per cent"
    of = "; ".join(dict.fromkeys(_samples(run) for run in runs))
    notes = [
        f"{what}, of {of}. Strengths are relative to that range; random perturbations are drawn "
        f"{runs[0].report.seeds} times. {SPREAD}",
        *(f"{run.run}: {sign}" for run in runs if run.masking for sign in run.masking.findings),
        *dict.fromkeys(line for run in runs for line in _left_out(run)),
    ]
    return Comparison(
        "Robustness",
        tuple(label for label, _ in groups),
        robustness_rows(groups),
        tuple(notes),
        {label: len(own) for label, own in groups},
        alike,
    )


def _samples(run: RunRobustness) -> str:
    low, high = run.report.low, run.report.high
    return run.of if low is None else f"{run.of}, inputs from {low:g} to {high:g}"


def _left_out(run: RunRobustness) -> list[str]:
    reasons = [f"left out: {name}, {reason}" for name, reason in run.report.skipped.items()]
    if run.left_out:
        reasons.append(f"left out: derivatives, gains and signs of masking: {run.left_out}")
    return reasons
