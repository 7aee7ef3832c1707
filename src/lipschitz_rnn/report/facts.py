"""Everything that a report says of one run, gathered from its folder, its data and analyses."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lipschitz_rnn.experiments.runs import Report
from lipschitz_rnn.report.certificate import Certificate, describe_certificate
from lipschitz_rnn.report.confusion import Confusion, examine_classes
from lipschitz_rnn.report.curves import Curves, draw_curves
from lipschitz_rnn.report.headline import Headline, make_headline
from lipschitz_rnn.report.measurements import (
    Measurement,
    Unmeasured,
    describe_hessian,
    describe_robustness,
)
from lipschitz_rnn.report.passages import Passages, examine_symbols
from lipschitz_rnn.report.reproduce import Reproduce, describe_reproduction
from lipschitz_rnn.report.settings import Settings, describe_settings
from lipschitz_rnn.report.source import LeftOut, Source
from lipschitz_rnn.report.stability import Stability, describe_stability
from lipschitz_rnn.report.traces import Traces, examine_numbers
from lipschitz_rnn.report.wording import Rows


@dataclass(frozen=True, eq=False)
class RunReport:
    """One run; a section that does not apply to it is None.

    Attributes:
        name: What the report calls it.
        key: What its ids begin with.
        path: Its folder.
        weights: ``"best"`` or ``"last"``.
        headline: What it came to.
        settings: What was trained.
        curves: Loss and figure over the epochs.
        confusion: Of a task of classes.
        traces: Of a task of numbers.
        passages: Of a task of symbols.
        stability: Of a unit with A and W.
        certificate: Likewise.
        robustness: What was measured, or how to measure it.
        hessian: Likewise.
        reproduce: How to do it again.
        left_out: What could not be had, and why.
    """

    name: str
    key: str
    path: Path
    weights: str
    headline: Headline
    settings: Settings
    curves: Curves | None
    confusion: Confusion | None
    traces: Traces | None
    passages: Passages | None
    stability: Stability | None
    certificate: Certificate | None
    robustness: Measurement | Unmeasured | None
    hessian: Measurement | Unmeasured | None
    reproduce: Reproduce
    left_out: tuple[LeftOut, ...]

    @property
    def contents(self) -> Rows:
        """Sections that there are: the end of their ids, and their titles."""
        named = (
            ("result", "Result", True),
            ("trained", "What was trained", True),
            ("curves", "Learning curves", self.curves),
            ("classes", "Confusion matrix, and the worst examples", self.confusion),
            ("errors", "The largest errors", self.traces),
            ("surprises", "The most surprising symbols", self.passages),
            ("stability", "Spectra, stability, certificate", self.stability),
            ("robustness", "Robustness", self.robustness),
            ("hessian", "Curvature of the training loss", self.hessian),
            ("missing", "What is left out", self.left_out),
            ("reproduce", "How to reproduce", True),
        )
        return tuple((slug, title) for slug, title, there in named if there)

    @property
    def left_out_rows(self) -> Rows:
        """What could not be had, and why, as terms."""
        return tuple((one.what, one.why) for one in self.left_out)


def gather(
    source: Source,
    key: str,
    *,
    analyses: Sequence[Path] = (),
    data_dir: Path | None = None,
    report: Report | None = None,
) -> RunReport:
    """Everything about a run. The model is run once over its test samples; nothing else is long.

    Args:
        source: The run.
        key: What ids begin with; another one for every run of a page.
        analyses: Folders with measurements of ``robustness`` and ``hessian``.
        data_dir: A data folder to ask first.
        report: Takes lines of progress.

    Returns:
        The sections.
    """
    if report is not None and source.split is not None:
        report(f"{source.name}: answers its samples once more")
    confusion = examine_classes(source)
    stability = describe_stability(source, key)
    left_out = [*source.left_out]
    if isinstance(stability, LeftOut):
        left_out.append(stability)
        stability = None
    return RunReport(
        source.name,
        key,
        source.path,
        source.weights,
        make_headline(source, None if confusion is None else confusion.most_frequent),
        describe_settings(source),
        draw_curves(source, f"{key}-curves"),
        confusion,
        examine_numbers(source),
        examine_symbols(source, data_dir),
        stability,
        None if stability is None else describe_certificate(source, stability),
        describe_robustness(source, analyses, f"{key}-robustness"),
        describe_hessian(source, analyses, f"{key}-hessian"),
        describe_reproduction(source),
        tuple(left_out),
    )
