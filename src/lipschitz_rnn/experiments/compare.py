"""Trained runs side by side: test figure, Hessian, robustness, in one table."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments.hessian import RunHessian
from lipschitz_rnn.experiments.hessian_table import hessian_comparison
from lipschitz_rnn.experiments.measured import measured
from lipschitz_rnn.experiments.robustness import RunRobustness
from lipschitz_rnn.experiments.robustness_table import robustness_comparison
from lipschitz_rnn.experiments.runs import Report, evaluate_run
from lipschitz_rnn.experiments.side_by_side import Z95, Comparison, Row, Value
from lipschitz_rnn.experiments.subjects import Subject, same_data
from lipschitz_rnn.training import EvaluationResult
from lipschitz_rnn.training.metrics import METRICS


def require_alike(subjects: Sequence[Subject]) -> None:
    """Models are compared on the same data alone.

    Args:
        subjects: The runs.

    Raises:
        InputError: If there are less than two, or their data differ.
    """
    if len(subjects) < 2:
        raise InputError(f"compare: expected at least 2 runs, got {len(subjects)}.")
    first = subjects[0]
    for other in subjects[1:]:
        if not same_data(first, other):
            raise InputError(
                f"compare: expected runs of the same data, got {first.path} of "
                f"{first.trained.config.data.name} and {other.path} of "
                f"{other.trained.config.data.name}, prepared otherwise."
            )


def run_evaluations(
    subjects: Sequence[Subject],
    folder: Path,
    weights: str,
    *,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> list[EvaluationResult]:
    """Test every run on all its test samples; what is in the folder already is read from there.

    Args:
        subjects: The runs.
        folder: Where each result is kept.
        weights: ``"best"`` or ``"last"``, as the runs were loaded.
        data_dir: A data folder to ask first.
        report: Takes lines of progress.

    Returns:
        One result for each run.
    """
    found = []
    for subject in subjects:

        def measure(subject: Subject = subject) -> EvaluationResult:
            return evaluate_run(subject.path, weights, data_dir=data_dir, report=report)

        result = measured(folder, "evaluation", subject, {}, EvaluationResult, measure)
        found.append(result)
    return found


def combine(
    kind: str,
    tested: Sequence[tuple[str, Sequence[EvaluationResult]]],
    curved: Sequence[tuple[str, Sequence[RunHessian]]],
    robust: Sequence[tuple[str, Sequence[RunRobustness]]],
) -> Comparison:
    """One table of all that was measured.

    Args:
        kind: Of the task, one of :data:`lipschitz_rnn.data.KINDS`.
        tested: Label and test results of each model.
        curved: Label and Hessians.
        robust: Label and robustness.

    Returns:
        The table, with a verdict as its first note.
    """
    metric = METRICS[kind]
    share = metric.name == "accuracy"

    def figure(result: EvaluationResult) -> Value:
        number = result.figures[metric.name]
        error = Z95 * (number * (1 - number) / result.count) ** 0.5 if share else None
        return Value(number, error)

    of_test = Row(
        f"test {metric.name.replace('_', ' ')}, all samples",
        {label: [figure(one) for one in own] for label, own in tested},
        "higher" if metric.larger_is_better else "lower",
        scale=100.0 if share else 1.0,
        digits=2 if share else None,
    )
    hessian, robustness = hessian_comparison(curved), robustness_comparison(robust)
    rows = [of_test, *hessian.rows, *(row for row in robustness.rows if row.name != "parameters")]
    table = Comparison(
        "Models side by side",
        robustness.labels,
        tuple(rows),
        tuple(dict.fromkeys((*hessian.notes, *robustness.notes))),
        robustness.runs,
    )
    notes = (table.verdict(), *table.notes)
    return dataclasses.replace(table, notes=notes)
