"""The first thing a reader sees of a run: what it came to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lipschitz_rnn.experiments.wording import figure_name, figure_text
from lipschitz_rnn.report.source import Source
from lipschitz_rnn.report.wording import Rows, duration, number
from lipschitz_rnn.training import count_parameters
from lipschitz_rnn.training.metrics import METRICS, Totals


@dataclass(frozen=True)
class Headline:
    """A figure and what it has to be read with.

    Attributes:
        figure: As text, ``"none"`` before the first epoch.
        what: It is of, such as ``"test accuracy"``.
        of: Which samples and weights.
        beside: What else the figure may be compared with.
        facts: Size, time and machine.
        in_hand: What is to be known of a run that is not finished; empty of others.
    """

    figure: str
    what: str
    of: str
    beside: Rows
    facts: Rows
    in_hand: str = ""


def make_headline(source: Source, most_frequent: float | None = None) -> Headline:
    """The headline of a run.

    Args:
        source: The run.
        most_frequent: Share of the most frequent class, where there are classes and samples.

    Returns:
        Of a finished run the figure on the test samples; of a run in hand the latest one on the
        validation samples.
    """
    if source.summary is None:
        return _of_run_in_hand(source)
    summary, metric = source.summary, source.summary.metric
    chosen = summary.best if source.weights == "best" else summary.last
    other = summary.last if source.weights == "best" else summary.best
    names = {"best": "the weights that did best on the validation samples, those",
             "last": "the last weights, those"}  # fmt: skip
    which = "last" if source.weights == "best" else "best"
    test = chosen.test
    beside = [
        *([] if metric == "mse" else [("loss", number(test["loss"]))]),  # there it is the same
        *((figure_name(name), figure_text(name, test[name])) for name in _others(test, metric)),
        (
            f"{figure_name(metric)} of the {which} weights, after epoch {other.epoch}",
            figure_text(metric, other.test[metric]),
        ),
        *_trivial(source.kind or "classes", summary.data.get("trivial", {})),
    ]
    if most_frequent is not None:
        beside.append(("always the most frequent class", figure_text("accuracy", most_frequent)))
    return Headline(
        figure_text(metric, test[metric]),
        f"test {figure_name(metric)}",
        f"{test['count']:,} answers; {names[source.weights]} after epoch {chosen.epoch}",
        tuple(beside),
        _facts(source, summary.parameters),
    )


def _others(test: Mapping[str, Any], metric: str) -> Iterable[str]:
    return (name for name in test if name not in {"loss", "count", metric})


def _trivial(kind: str, losses: Mapping[str, float]) -> Iterable[tuple[str, str]]:
    """Losses of predictors that know nothing, in units of the figure where it follows from them."""
    metric = METRICS[kind]
    for name, loss in losses.items():
        if metric.name == "accuracy":
            yield f"loss of a trivial predictor, {name}", number(loss)
        else:
            figure = metric.figures(Totals(loss, 0, 1))[metric.name]
            yield f"a trivial predictor, {name}", figure_text(metric.name, figure)


def _facts(source: Source, parameters: int | None) -> Rows:
    facts = []
    if parameters is not None:
        facts.append(("parameters", f"{parameters:,}"))
    done, planned = len(source.history.epochs), source.config.training.epochs
    facts.append(("epochs", str(planned) if done == planned else f"{done} of {planned}"))
    if source.summary is not None:
        facts += _of_summary(source.summary.time, source.summary.environment)
    return tuple(facts)


def _of_summary(time: Mapping[str, Any], machine: Mapping[str, Any]) -> Rows:
    workers = machine.get("workers", 1)
    each = f" for each of {workers} workers" if workers > 1 else ""
    return (
        ("time", duration(time["wall_seconds"])),
        ("samples per second in training", f"{time['samples_per_second']:,.0f}"),
        (
            "machine",
            f"{machine.get('gpu') or machine['processor']}, {machine['threads']} of "
            f"{machine['cores']} cores{each}, {machine['backend']} backend",
        ),
    )


def _of_run_in_hand(source: Source) -> Headline:
    metric, planned = source.metric, source.config.training.epochs
    subject = source.subject
    parameters = None if subject is None else count_parameters(subject.trained.model)
    facts = _facts(source, parameters)
    done = len(source.history.epochs)
    told = f"This run is in hand: {done} of {planned} epochs are done, and all may change."
    if metric is None or not source.curve:
        return Headline("none", "no epoch is done", "", (), facts, told)
    point = source.curve[-1]
    return Headline(
        figure_text(metric, point["validation"]),
        f"validation {figure_name(metric)} so far",
        f"after epoch {point['epoch']}",
        (("training loss", number(point["train_loss"])),),
        facts,
        told,
    )
