"""Robustness and Hessians that were measured before: looked up by the weights, never computed."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis import PERTURBATIONS
from lipschitz_rnn.experiments.figures.hessian import density_figure, slices_figure
from lipschitz_rnn.experiments.figures.robustness import robustness_figure, sensitivity_figure
from lipschitz_rnn.experiments.hessian import RunHessian
from lipschitz_rnn.experiments.hessian_table import hessian_comparison
from lipschitz_rnn.experiments.measured import measurement_key
from lipschitz_rnn.experiments.plain import restore
from lipschitz_rnn.experiments.robustness import RunRobustness
from lipschitz_rnn.experiments.robustness_table import robustness_comparison
from lipschitz_rnn.experiments.side_by_side import Comparison
from lipschitz_rnn.experiments.subjects import Subject
from lipschitz_rnn.report.figures import Drawing, draw
from lipschitz_rnn.report.source import Source

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Measurement:
    """What one of the verbs found of these weights.

    Attributes:
        title: Of its section.
        of: Which samples, in words.
        figures: Title and drawing of each figure.
        heads: Of the table.
        rows: Its cells.
        notes: Below it.
    """

    title: str
    of: str
    figures: tuple[tuple[str, Drawing], ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Unmeasured:
    """A section that nothing is there for.

    Attributes:
        title: Of it.
        why: A sentence.
        command: What measures it.
    """

    title: str
    why: str
    command: str


def describe_robustness(
    source: Source, folders: Sequence[Path], key: str
) -> Measurement | Unmeasured | None:
    """Robustness, as ``lipschitz-rnn robustness`` measured it.

    Args:
        source: The run.
        folders: Where measurements are kept.
        key: What ids begin with.

    Returns:
        The largest measurement of these weights, or how to get one; None without weights.
    """
    if source.subject is None:
        return None
    found = find_measurement(source.subject, folders, "robustness", RunRobustness)
    if found is None:
        return _unmeasured(source, folders, "Robustness", "robustness")
    groups = [(source.name, [found])]
    curves = found.report.curves
    of_inputs = [name for name in curves if PERTURBATIONS[name].family != "weights"]
    of_weights = [name for name in curves if name not in of_inputs and
                  len(PERTURBATIONS[name].strengths) > 1]  # fmt: skip
    figures = [
        (title, draw(robustness_figure(groups, names), f"{key}-{word}", _robust_alt(found, names)))
        for title, word, names in (
            ("Changed inputs", "inputs", of_inputs),
            ("Changed weights", "weights", of_weights),
        )
        if names
    ]
    if found.sensitivity is not None:
        mean = found.sensitivity.mean
        alt = (
            f"Norm of the derivative of the logits by the input of each of {len(mean)} steps, from "
            f"{mean[0]:.3g} at the first to {mean[-1]:.3g} at the last."
        )
        drawing = draw(sensitivity_figure(groups), f"{key}-sensitivity", alt)
        figures.append(("Derivatives over time", drawing))
    return _measurement("Robustness", found.of, figures, robustness_comparison(groups))


def describe_hessian(
    source: Source, folders: Sequence[Path], key: str
) -> Measurement | Unmeasured | None:
    """The Hessian of the training loss, as ``lipschitz-rnn hessian`` measured it.

    Args:
        source: The run.
        folders: Where measurements are kept.
        key: What ids begin with.

    Returns:
        The largest measurement of these weights, or how to get one; None without weights.
    """
    if source.subject is None:
        return None
    found = find_measurement(source.subject, folders, "hessian", RunHessian)
    title = "Curvature of the training loss"
    if found is None:
        return _unmeasured(source, folders, title, "hessian")
    groups = [(source.name, [found])]
    report, figures = found.report, []
    largest = f"the largest of which is {float(report.eigenvalues[0]):.3g}"
    if report.density:
        alt = (
            f"Density of the eigenvalues of the Hessian, {largest} and the smallest "
            f"{report.lowest:.3g}."
        )
        figures.append(("Density", draw(density_figure(groups), f"{key}-density", alt)))
    if found.slices:
        values = " and ".join(f"{one.eigenvalue:.3g}" for one in found.slices)
        alt = f"The loss along the eigenvectors of eigenvalues {values}, beside their parabolas."
        figures.append(("Slices", draw(slices_figure(groups), f"{key}-slices", alt)))
    return _measurement(title, found.of, figures, hessian_comparison(groups))


def find_measurement(
    subject: Subject, folders: Sequence[Path], what: str, kind: type[_Result]
) -> _Result | None:
    """A measurement of a run's weights, whatever its settings.

    Args:
        subject: The run.
        folders: Where measurements are kept; those that do not exist hold nothing.
        what: Was measured, ``"robustness"`` or ``"hessian"``.
        kind: Dataclass of the result.

    Returns:
        Of several the one that used the most samples, and of those the one whose file comes last by
        name; None if there is none.

    Raises:
        InputError: If a file has the key of a measurement and not its content.
    """
    wanted = {**measurement_key(what, subject, {}), "depends": None}
    best: tuple[int, str, Path, Any] | None = None
    for path in (path for folder in folders for path in folder.glob(f"{what}-*.json")):
        content = _read(path)
        if {**content.get("key", {}), "depends": None} == wanted:
            depends = content["key"]["depends"]
            of = depends.get("of", {})
            samples = depends.get("samples") or of.get("samples") or 0
            one = (int(samples), path.name, path, content)
            best = one if best is None or one[:2] > best[:2] else best
    if best is None:
        return None
    try:
        return restore(kind, best[3]["result"])
    except (ValueError, TypeError, KeyError):
        raise InputError(
            f"{best[2]}: expected a measurement of ours, got something else."
        ) from None


def _read(path: Path) -> dict[str, Any]:
    """What a file says; nothing if it is none of ours."""
    try:
        content = json.loads(path.read_bytes())
        return dict(content) if isinstance(content.get("key"), dict) else {}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _unmeasured(source: Source, folders: Sequence[Path], title: str, verb: str) -> Unmeasured:
    where = ", ".join(str(folder) for folder in folders)
    option = " --weights best" if source.weights == "best" else ""
    why = f"Not measured of the {source.weights} weights: nothing of them is in {where}."
    command = f"lipschitz-rnn {verb} {shlex.quote(str(source.path))}{option}"
    return Unmeasured(title, why, command)


def _measurement(
    title: str, of: str, figures: Sequence[tuple[str, Drawing]], table: Comparison
) -> Measurement:
    heads, rows = table.cells()
    cells = tuple(tuple(row) for row in rows)
    return Measurement(title, of, tuple(figures), ("quantity", *heads[1:]), cells, table.notes)


def _robust_alt(found: RunRobustness, names: Sequence[str]) -> str:
    told = []
    for name in names:
        curve = found.report.curves[name]
        values = curve.loss if curve.accuracy is None else curve.accuracy
        if values:
            shown = [f"{v:.1%}" if curve.accuracy else f"{v:.3g}" for v in
                     (values[0], values[-1])]  # fmt: skip
            told.append(f"{name} {shown[0]} to {shown[1]} at {curve.strengths[-1]:g}")
    what = "accuracy" if found.report.accuracy is not None else "loss"
    return f"Test {what} over the strength of each perturbation: {'; '.join(told)}."
