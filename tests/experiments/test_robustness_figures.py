"""What the figures of Hessians and robustness show of results that are made up."""

import dataclasses

import numpy as np
import pytest

from lipschitz_rnn.analysis.hessian_report import HessianReport
from lipschitz_rnn.analysis.robustness_curve import RobustnessCurve, RobustnessReport
from lipschitz_rnn.experiments.figures import style
from lipschitz_rnn.experiments.figures.hessian import density_figure, slices_figure
from lipschitz_rnn.experiments.figures.robustness import robustness_figure, sensitivity_figure
from lipschitz_rnn.experiments.hessian import LossSlice, RunHessian
from lipschitz_rnn.experiments.robustness import RunRobustness, TimeSensitivity
from lipschitz_rnn.experiments.subjects import MODELS
from lipschitz_rnn.linalg.lanczos import RitzValues


def curvature(scale=1.0, density=True):
    nodes = np.array([-0.5, 0.0, 2.0]) * scale
    report = HessianReport(
        group="all", parameters=3, loss=0.5, gradient_norm=0.0,
        eigenvalues=np.array([2.0, 1.0]) * scale, residuals=np.zeros(2), vectors=np.zeros((0, 0)),
        trace=1.5, trace_error=0.1, probes=2, conditions=(),
        density=(RitzValues(nodes, np.array([0.2, 0.7, 0.1]), np.zeros(3)),) if density else (),
        product="exact", check=None, products=9, seconds=1.0,
    )  # fmt: skip
    distances = tuple(np.linspace(-1, 1, 21).tolist())
    losses = tuple(0.5 + scale * d**2 for d in distances)
    slices = tuple(LossSlice(value * scale, distances, losses) for value in (2.0, 1.0))
    return RunHessian("run", "ten samples", report, slices)


def curve(name, accuracy, strengths=(0.0, 0.1, 0.2), **options):
    known = accuracy is not None
    return RobustnessCurve(
        name, f"strength of {name}", strengths, accuracy,
        tuple(a - 0.05 for a in accuracy) if known else None,
        tuple(a + 0.05 for a in accuracy) if known else None,
        None, (0.1, 0.2, 0.3), None, seeds=1, samples=100, **options,
    )  # fmt: skip


def robust(*curves, sensitivity=None):
    classes = all(one.accuracy is not None for one in curves)
    report = RobustnessReport(
        {one.name: one for one in curves}, {}, 100, 0.9 if classes else None, 0.1, 0.0, 1.0, 1, 0
    )
    return RunRobustness("run", "samples", 3, report, sensitivity)


def test_the_density_of_each_run_has_an_area_of_one():
    figure = density_figure([("a", [curvature(), curvature(2.0)]), ("b", [curvature()])])
    first, second = figure.axes
    assert (len(first.lines), len(second.lines)) == (2, 1)
    assert first.get_title(loc="left") == "a: 2 runs, largest eigenvalue 3"
    for line in (*first.lines, *second.lines):
        x, y = line.get_xdata(), line.get_ydata()
        assert np.trapezoid(y, x) == pytest.approx(1, abs=1e-3)
    # most weight is at 0, and each node has its share
    peak = second.lines[0].get_xdata()[second.lines[0].get_ydata().argmax()]
    assert peak == pytest.approx(0, abs=0.01)


def test_without_lanczos_steps_there_is_no_density():
    with pytest.raises(ValueError, match="Lanczos"):
        density_figure([("a", [curvature(density=False)])])


def test_slices_are_above_the_loss_at_the_weights():
    figure = slices_figure([("a", [curvature(), curvature(3.0)]), ("b", [curvature()])])
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata())]
    assert len(lines) == 2 + 1 + 1 + 1  # runs, and the parabola of each model
    run, _, parabola, *_ = lines
    assert np.abs(run.get_xdata()).max() == pytest.approx(0.5)
    assert run.get_ydata() == pytest.approx(run.get_xdata() ** 2)
    assert parabola.get_ydata()[-1] == pytest.approx(4 * 0.5**2 / 2)  # of the mean, 4


def test_a_panel_for_each_perturbation_that_some_run_has():
    first = robust(curve("x", (0.9, 0.5, 0.1)), curve("y", (0.9, 0.8, 0.7)))
    second = robust(curve("x", (0.7, 0.3, 0.1)))
    figure = robustness_figure([("a", [first, second]), ("b", [second])], ["x", "y", "z"])
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels] == ["x", "y"]
    assert panels[0].lines[0].get_ydata() == pytest.approx([0.8, 0.4, 0.1])  # the mean
    shaded = panels[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (shaded.min(), shaded.max()) == (pytest.approx(0.1), pytest.approx(0.9))
    alone = panels[0].collections[1].get_paths()[0].vertices[:, 1]  # its interval
    assert (alone.min(), alone.max()) == (pytest.approx(0.05), pytest.approx(0.75))


def test_losses_where_there_are_no_classes():
    figure = robustness_figure([("a", [robust(curve("x", None))])], ["x"])
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([0.1, 0.2, 0.3])
    assert figure.get_supylabel() == "test loss"


def test_bits_are_shown_from_many_to_few():
    run = robust(curve("rounded", (0.9, 0.9, 0.5), (0.0, 8, 3)))
    (axes,) = robustness_figure([("a", [run])], ["rounded"]).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["all", "8", "3"]
    assert axes.lines[0].get_xdata().tolist() == [0, 1, 2]


def test_derivatives_over_time():
    run = robust(curve("x", (0.9, 0.5, 0.1)), sensitivity=TimeSensitivity((0.0, 1.0, 2.0), 3.0))
    (axes,) = sensitivity_figure([("a", [run, run])]).axes
    assert len(axes.lines) == 2
    assert np.isnan(axes.lines[0].get_ydata()[0])  # no place on a logarithmic scale
    with pytest.raises(ValueError, match="derivatives"):
        sensitivity_figure([("a", [dataclasses.replace(run, sensitivity=None)])])


def test_as_many_models_may_be_compared_as_there_are_colours():
    assert len(style.SERIES) == MODELS


def test_too_much_or_nothing_to_draw():
    run = robust(curve("x", (0.9, 0.5, 0.1)))
    for groups, names in (([("a", [run])], ["y"]), ([(str(i), [run]) for i in range(7)], ["x"])):
        with pytest.raises(ValueError, match="1 to 6 models"):
            robustness_figure(groups, names)
