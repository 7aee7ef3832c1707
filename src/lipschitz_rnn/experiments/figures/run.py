"""The figures of a trained run, written into a folder."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lipschitz_rnn.analysis.fixed_points import find_fixed_points
from lipschitz_rnn.analysis.layers import UnitMatrices, find_units
from lipschitz_rnn.analysis.sensitivity import gradient_norms
from lipschitz_rnn.analysis.units import UnitRun
from lipschitz_rnn.data import Batch
from lipschitz_rnn.experiments.dynamics import run_units
from lipschitz_rnn.experiments.figures.gradient import gradient_figure
from lipschitz_rnn.experiments.figures.history import history_figure
from lipschitz_rnn.experiments.figures.save import save_figure
from lipschitz_rnn.experiments.figures.spectra import spectra_figure
from lipschitz_rnn.experiments.figures.vector_field import vector_field_figure
from lipschitz_rnn.experiments.history import read_history
from lipschitz_rnn.experiments.runs import TrainedRun
from lipschitz_rnn.nn import SequenceRegressor
from lipschitz_rnn.training import RunFolder

_EIGENVALUES = 2000  # of Jacobians along data, in one figure
_STARTS = 16  # for states of rest
_TRAJECTORIES = 3


def draw_run(
    trained: TrainedRun, run_dir: Path, folder: Path, batch: Batch | None = None
) -> list[Path]:
    """Draw spectra, history, gradients and vector field of a run, each as SVG and PNG.

    What cannot be had is left out: gradients and fields without samples; gradients of a language
    model; history without a record of spectra.

    Args:
        trained: The run.
        run_dir: Its folder, where its record is.
        folder: Where the figures go; made if absent.
        batch: Samples of its task.

    Returns:
        The files, in the order of the list above.
    """
    title = trained.config.name
    runs = [] if batch is None else run_units(trained.model, batch)
    figures: dict[str, Figure] = {}
    for number, unit in enumerate(find_units(trained.model)):
        name = f"{title}, unit {unit.name}"
        figures[f"spectra-{unit.name}"] = _spectra(unit, runs[number] if runs else None, name)
    record = RunFolder(run_dir).record
    history = read_history(record) if record.exists() else None
    if history is not None and history.units:
        figures["history"] = history_figure(history, title=title)
    if batch is not None and isinstance(trained.model, SequenceRegressor):
        norms = gradient_norms(
            trained.model, batch.input, batch.target, dt=batch.dt, dtype=torch.float64
        )
        figures["gradients"] = gradient_figure(norms, title=title)
    for run in runs:
        if run.unit.state_size > 1:
            name = f"{title}, unit {run.unit.name}"
            figures[f"field-{run.unit.name}"] = _field(run, name)
    return _save(figures, folder)


def _save(figures: dict[str, Figure], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{kind}" for name in figures for kind in ("svg", "png")]
    for path in paths:
        save_figure(figures[path.stem], path)
    return paths


def _spectra(unit: UnitMatrices, run: UnitRun | None, title: str) -> Figure:
    along = run if run is not None and run.unit.vector_field is not None else None
    return spectra_figure(
        unit.a,
        unit.w,
        step_size=unit.step_size / unit.substeps,
        method=unit.tableau,
        jacobians=None if along is None else jacobians_along(along).numpy(),
        title=title,
    )


def jacobians_along(run: UnitRun) -> Tensor:
    """Jacobians of the right-hand side at states spread evenly over data.

    Args:
        run: A unit that is an ODE, over a batch.

    Returns:
        (K, N, N), as many as make about 2,000 eigenvalues.
    """
    inputs = run.input.flatten(0, 1)  # (T B, P)
    states = run.states[:-1].flatten(0, 1)
    count = min(len(states), max(1, _EIGENVALUES // run.unit.state_size))
    index = torch.linspace(0, len(states) - 1, count).round().long()
    return run.unit.field_jacobian(inputs[index], states[index])


def _field(run: UnitRun, title: str) -> Figure:
    """The field while the input is held at its mean over the samples and steps."""
    held = run.input.mean((0, 1))
    return vector_field_figure(
        run.unit,
        held,
        states=run.states[:, :_TRAJECTORIES],
        points=find_fixed_points(run.unit, held, starts=_STARTS),
        title=f"{title}, input held at its mean",
    )
