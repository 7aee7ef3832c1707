"""What the analyses find in a trained run, along test data of its own task."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis.fixed_points import FixedPoints, find_fixed_points
from lipschitz_rnn.analysis.lyapunov import LyapunovSpectrum, lyapunov_exponents
from lipschitz_rnn.analysis.report import StabilityReport, stability_report
from lipschitz_rnn.analysis.step_map import StepMap
from lipschitz_rnn.analysis.units import UnitRun, layer_cells, run_layer
from lipschitz_rnn.data import Batch, Split
from lipschitz_rnn.experiments.registry import build_data
from lipschitz_rnn.experiments.runs import Report, TrainedRun, load_trained


@contextlib.contextmanager
def for_people(trained: TrainedRun) -> Iterator[None]:
    """Name the run in errors about a model that cannot be looked into.

    Args:
        trained: The run.

    Yields:
        Nothing.

    Raises:
        InputError: In place of ``TypeError`` and ``ValueError``.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InputError(f"{trained.config.name}, {trained.config.model.unit}: {error}") from None


def sample_batch(split: Split, samples: int) -> Batch:
    """The first test samples, cut to the shortest of them.

    Args:
        split: The samples of a run.
        samples: How many; of a text, so many rows of one segment.

    Returns:
        A batch without padding.

    Raises:
        InputError: If there is padding before the one answer of a sequence.
    """
    index = split.test.plan(samples)[0]
    batch = split.test.batch(index)
    if batch.lengths is None:
        return batch
    steps = int(batch.lengths.min())
    if not batch.every_step and steps < batch.input.shape[1]:
        raise InputError(
            f"{split.name}: expected the first {samples} test samples to be of one length where "
            f"each has one answer, got {steps} to {batch.input.shape[1]} steps."
        )
    target = batch.target[:, :steps] if batch.every_step else batch.target
    dt = None if batch.dt is None else batch.dt[:, :steps]
    return Batch(batch.input[:, :steps], target, dt=dt)


def largest_dt(split: Split) -> float:
    """The longest time that an input is held in the data, in steps of size ε.

    Args:
        split: The samples of a run.

    Returns:
        1 where the data come without times.
    """
    times = [getattr(part, "dt", None) for part in (split.train, split.validation, split.test)]
    return max((float(dt.max()) for dt in times if dt is not None and len(dt)), default=1.0)


def run_units(model: nn.Module, batch: Batch) -> list[UnitRun]:
    """What every unit of a model reads and goes through, in float64.

    Args:
        model: A model of this package, in evaluation mode.
        batch: Its samples.

    Returns:
        One run for each layer and direction, from states of zero.

    Raises:
        TypeError: If there is nothing to look into, as in torch's own layers.
    """
    with torch.no_grad():
        input = model.encoder(batch.input).transpose(0, 1)  # type: ignore[operator]
    dt = None if batch.dt is None else batch.dt.mT  # (T, B)
    return run_layer(model.rnn, input, dt=dt, dtype=torch.float64)  # type: ignore[arg-type]


def _by_layer(layer: object, units: list[StepMap]) -> list[list[StepMap]]:
    size = int(getattr(layer, "num_directions", 1))
    return [units[first : first + size] for first in range(0, len(units), size)]


def stability_run(trained: TrainedRun, *, max_dt: float = 1.0) -> StabilityReport:
    """The stability report of a trained model.

    Args:
        trained: The run.
        max_dt: The longest time that an input is held: see :func:`largest_dt`.

    Returns:
        The report.

    Raises:
        InputError: If its unit has no matrices A and W, or a weight is not finite.
    """
    with for_people(trained):
        return stability_report(trained.model, max_dt=max_dt)


def lyapunov_run(
    run_dir: Path,
    weights: str = "best",
    *,
    samples: int = 16,
    count: int | None = None,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> tuple[LyapunovSpectrum, ...]:
    """Lyapunov exponents of every unit of a trained model along its own test data.

    Args:
        run_dir: Folder of the run.
        weights: ``"best"`` on the validation samples, or ``"last"``.
        samples: Sequences to average over.
        count: How many leading exponents; all if None, and never more than there are.
        data_dir: A data folder to ask first.
        report: Takes a line for every data source that failed.

    Returns:
        One spectrum for each layer and direction.

    Raises:
        InputError: If the model cannot be looked into.
    """
    trained = load_trained(run_dir, weights)
    split = build_data(trained.config, data_dir, report)
    with for_people(trained):
        runs = run_units(trained.model, sample_batch(split, samples))
    spectra = []
    for run in runs:
        size = run.unit.state_size if count is None else min(count, run.unit.state_size)
        spectra.append(lyapunov_exponents(run.unit, run.input, count=size, dt=run.dt))
    return tuple(spectra)


def fixed_points_run(
    run_dir: Path,
    weights: str = "best",
    *,
    input: Tensor | None = None,
    starts: int = 64,
) -> tuple[FixedPoints, ...]:
    """States of rest of every unit of a trained model, while the input of the first is held.

    A deeper unit reads what those below it hand on at rest, each at the state that most starts led
    to; if one of them has none, the search ends there.

    Args:
        run_dir: Folder of the run.
        weights: ``"best"`` on the validation samples, or ``"last"``.
        input: What the first layer reads, (P,): for a text, an embedding. Zero if None.
        starts: Random starts for each unit.

    Returns:
        What was found, one entry for each unit that was searched.

    Raises:
        InputError: If the model cannot be looked into, or the input has another size.
    """
    trained = load_trained(run_dir, weights)
    layer = trained.model.rnn
    with for_people(trained):
        units = layer_cells(layer, dtype=torch.float64)  # type: ignore[arg-type]
    size = units[0].input_size
    held = torch.zeros(size, dtype=torch.float64) if input is None else input.double()
    if held.shape != (size,):
        raise InputError(f"input: expected {size} numbers, got {held.numel()}.")
    found: list[FixedPoints] = []
    for pair in _by_layer(layer, units):
        results = [find_fixed_points(unit, held, starts=starts) for unit in pair]
        found += results
        if not all(one.points for one in results):
            break
        outputs = zip(results, pair, strict=True)
        held = torch.cat([one.points[0].state[: unit.hidden_size] for one, unit in outputs])
    return tuple(found)
