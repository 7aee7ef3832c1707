"""The data in the figures are right: what is drawn is read back from the figure."""

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis.fixed_points import find_fixed_points
from lipschitz_rnn.analysis.sensitivity import gradient_norms
from lipschitz_rnn.analysis.step_sizes import stability_polynomial
from lipschitz_rnn.analysis.units import cell_of
from lipschitz_rnn.experiments.figures import (
    gradient_figure,
    history_figure,
    save_figure,
    spectra_figure,
    vector_field_figure,
)
from lipschitz_rnn.experiments.figures.vector_field import leading_plane, shifted_to
from lipschitz_rnn.experiments.history import History, UnitHistory, read_history
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier

RNG = np.random.default_rng(0)
A = RNG.standard_normal((6, 6)) - 2 * np.eye(6)
W = RNG.standard_normal((6, 6))


def lines_of(axes):
    return {line.get_label(): line.get_xydata() for line in axes.lines}


def complex_of(points):
    return np.sort_complex(points[:, 0] + 1j * points[:, 1])


@pytest.mark.parametrize("step_size", [0.03, 0.5])
@pytest.mark.parametrize("method", ["euler", "midpoint", "heun", "rk4"])
def test_the_boundary_is_where_the_step_neither_grows_nor_shrinks(method, step_size):
    figure = spectra_figure(A, W, step_size=step_size, method=method)
    coefficients = [float(c) for c in stability_polynomial(method)]
    for axes in figure.axes:
        contour = axes.collections[-1]
        vertices = np.concatenate([path.vertices for path in contour.get_paths()])
        z = step_size * (vertices[:, 0] + 1j * vertices[:, 1])
        growth = np.abs(np.polynomial.polynomial.polyval(z, coefficients))
        assert len(growth) > 50
        # linear between points of a grid of 400
        assert np.abs(growth - 1).max() < 1e-3


def test_eulers_whole_region_is_a_disc():
    left = spectra_figure(A, W, step_size=0.1).axes[0]
    vertices = np.concatenate([path.vertices for path in left.collections[-1].get_paths()])
    radius = np.hypot(vertices[:, 0] + 10, vertices[:, 1])
    assert radius == pytest.approx(np.full(len(radius), 10.0), rel=1e-3)
    assert np.ptp(vertices, axis=0) == pytest.approx([20, 20], rel=0.01)  # none of it is cut off
    assert np.ptp(left.get_xlim()) == pytest.approx(np.ptp(left.get_ylim()))


def test_the_eigenvalues_are_numpys():
    jacobians = RNG.standard_normal((3, 6, 6))
    wanted = {"eigenvalues of A": A, "eigenvalues of W": W, "Jacobians along data": jacobians}
    figure = spectra_figure(A, W, step_size=0.1, jacobians=jacobians)
    for axes in figure.axes:
        drawn = lines_of(axes)
        for label, matrix in wanted.items():
            values = np.sort_complex(np.linalg.eigvals(matrix).ravel())
            np.testing.assert_array_equal(complex_of(drawn[label]), values)
        low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
        everything = np.concatenate([drawn[label] for label in wanted])
        assert ((low < everything) & (everything < high)).all()
    without = lines_of(spectra_figure(None, W, step_size=0.1).axes[0])
    assert "eigenvalues of A" not in without


@pytest.mark.parametrize("w", [np.zeros((2, 2)), 1e6 * W, 1e-9 * W])
def test_spectra_of_any_size_are_drawn_without_a_warning(w):
    figure = spectra_figure(None, w, step_size=0.03)
    figure.canvas.draw()


@pytest.fixture
def history():
    unit = UnitHistory(np.array([0.1, 0.2, np.nan]), np.arange(3.0), -np.arange(3.0), {}, {})
    blank = dataclasses.replace(unit, spectral_abscissa_a=np.full(3, np.nan))
    loss = np.array([3.0, 2.0, 1.0])
    none = np.full(3, np.nan)
    return History(np.array([1, 2, 3]), loss, loss + 1, none, none, {"l0": unit, "l1": blank})


def by_title(figure):
    return {axes.get_title("left"): axes for axes in figure.axes}


def test_history_shows_loss_and_every_unit(history):
    figure = history_figure(history, title="a run")
    loss, *first, w_of_second, norm_of_second = figure.axes
    assert lines_of(loss)["training"].tolist() == [[1, 3], [2, 2], [3, 1]]
    assert lines_of(loss)["validation"][:, 1].tolist() == [4, 3, 2]
    a, w, norm = first
    assert lines_of(a)["abscissa of A"][:2, 1].tolist() == [0.1, 0.2]
    assert lines_of(w)["abscissa of W"][:, 1].tolist() == [0, 1, 2]
    assert lines_of(norm)["log. norm of A"][:, 1].tolist() == [0, -1, -2]
    assert a.get_ylabel().startswith("unit l0")
    assert w_of_second.get_ylabel().startswith("unit l1")  # it has no abscissa of A
    assert lines_of(norm_of_second)["log. norm of A"][:, 1].tolist() == [0, -1, -2]
    assert norm_of_second.get_xlabel() == "epoch"
    figure.canvas.draw()


def write_record(path, rates):
    """The record of a unit of which a rate is proved after each epoch, or nothing if None."""
    lines = [
        {
            "event": "epoch",
            "epoch": epoch,
            "train": {"loss": 1.0, "accuracy": 0.1 * epoch},
            "validation": {"loss": 2.0, "accuracy": 0.2 * epoch},
            "spectra": {
                "l0": {
                    "spectral_abscissa_a": -0.3,
                    "spectral_abscissa_w": 2.0,
                    "log_norm_a": 30.0,
                    "certificate": {"holds": rate is not None, "rate": rate},
                }
            },
        }
        for epoch, rate in enumerate(rates, 1)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_history_shows_what_is_proved_after_every_epoch(tmp_path):
    record = write_record(tmp_path / "record.jsonl", [0.01, None, 0.03])
    figure = history_figure(read_history(record))
    panels = by_title(figure)
    drawn = lines_of(panels["rate of contraction that is proved"])
    np.testing.assert_array_equal(drawn["proved rate"], [[1, 0.01], [2, np.nan], [3, 0.03]])
    np.testing.assert_array_equal(drawn["nothing proved"], [[2, 0]])
    assert lines_of(panels["accuracy"])["validation"][:, 1] == pytest.approx([0.2, 0.4, 0.6])
    assert len(panels) == len(figure.axes) == 6
    figure.canvas.draw()
    never = write_record(tmp_path / "never.jsonl", [None])
    figure = history_figure(read_history(never))
    figure.canvas.draw()


def test_the_committed_run_is_certified_after_each_of_its_epochs():
    folder = Path(__file__).parents[2] / "results/mnist-8px-contractive/contractive-0.01-seed1"
    rates = read_history(folder / "record.jsonl").units["l0"].certified_rates
    assert len(rates) == 30
    assert (rates >= 0.01).all()


def test_records_without_these_curves_and_damaged_ones(tmp_path):
    record = tmp_path / "record.jsonl"
    line = {"event": "epoch", "epoch": 1, "train": {"loss": 1.0}, "validation": {"loss": 2.0}}
    record.write_text(json.dumps(line) + "\n")
    history = read_history(record)
    assert history.units == {}
    assert np.isnan(history.train_accuracy).tolist() == [True]
    assert list(by_title(history_figure(history))) == ["loss"]
    record.write_text('{"event": "epoch"')
    with pytest.raises(InputError, match="damaged"):
        read_history(record)


def test_gradients_are_the_quantiles_on_a_logarithmic_scale():
    model = SequenceClassifier(LipschitzRNN(2, 5, 2), 3)
    norms = gradient_norms(model, torch.randn(7, 9, 2), torch.randint(3, (9,)))
    figure = gradient_figure(norms)
    assert len(figure.axes) == 2
    for axes, unit in zip(figure.axes, norms.values(), strict=True):
        assert axes.get_yscale() == "log"
        median = lines_of(axes)["median"]
        np.testing.assert_allclose(median[:, 1], unit.norms.median(-1).values, rtol=1e-6)
        assert median[:, 0].tolist() == list(range(8))
    figure.canvas.draw()


def test_gradients_that_vanish_altogether_are_left_out():
    model = SequenceClassifier(LipschitzRNN(2, 5), 3)
    norms = gradient_norms(model, torch.randn(7, 9, 2), torch.randint(3, (9,)))["l0"]
    gone = dataclasses.replace(norms, quantiles=torch.zeros_like(norms.quantiles))
    figure = gradient_figure({"l0": gone})
    figure.canvas.draw()
    assert np.isnan(lines_of(figure.axes[0])["median"][:, 1]).all()


def two_states():
    one = torch.eye(2, dtype=torch.float64)
    return cell_of(-one, torch.diag(torch.tensor([2.0, 0.5], dtype=torch.float64)), step_size=0.1)


def test_a_plane_shows_states_of_rest_by_their_stability():
    unit, input = two_states(), torch.zeros(1)
    points = find_fixed_points(unit, input)
    states = unit.run(torch.zeros(50, 2, 1).double(), torch.tensor([[1.5, 1], [-1.5, 1]]).double())
    drawn = lines_of(vector_field_figure(unit, input, states=states, points=points).axes[0])
    stable = drawn["stable state of rest"]
    assert sorted(stable[:, 0].round(3).tolist()) == [-0.958, 0.958]
    assert np.abs(stable[:, 1]).max() < 1e-6
    np.testing.assert_allclose(drawn["unstable state of rest"], [[0, 0]], atol=1e-8)
    for number in range(2):
        path = drawn[f"_trajectory {number}"]
        np.testing.assert_array_equal(path, states[:, number].numpy())


def test_what_lies_outside_is_counted():
    unit, input = two_states(), torch.zeros(1)
    points = find_fixed_points(unit, input)
    states = unit.run(torch.zeros(3, 1, 1).double(), torch.tensor([[0.1, 0.1]]).double())
    labels = lines_of(vector_field_figure(unit, input, states=states, points=points).axes[0])
    assert "stable state of rest (2 outside)" in labels


def test_more_features_are_seen_in_their_principal_plane():
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    scale = torch.tensor([5.0, 2, 0.1, 0.1, 0.1, 0.1], dtype=torch.float64)
    states = torch.randn(40, 20, 6, dtype=torch.float64) * scale @ basis + 3
    plane = leading_plane(states)
    overlap = torch.linalg.svdvals(plane.directions.mT @ basis[:2].mT)
    assert overlap.min() > 0.99
    assert sum(plane.shares) > 0.99
    projected = plane.project(states)
    np.testing.assert_allclose(projected.mean((0, 1)), 0, atol=1e-10)
    unit = cell_of(torch.from_numpy(A), torch.from_numpy(W), step_size=0.1)
    figure = vector_field_figure(unit, torch.zeros(1), states=states)
    assert "% of the variance" in figure.axes[0].get_xlabel()
    with pytest.raises(ValueError, match="expected `states`"):
        vector_field_figure(unit, torch.zeros(1))
    single = cell_of(-torch.eye(1), torch.eye(1), step_size=0.1)
    with pytest.raises(ValueError, match="two features or more"):
        vector_field_figure(single, torch.zeros(1))


def test_the_plane_goes_through_the_state_of_rest():
    torch.manual_seed(0)
    unit = cell_of(-torch.eye(5).double(), 0.1 * torch.randn(5, 5).double(), step_size=0.1)
    points = find_fixed_points(unit, torch.zeros(1))
    states = unit.run(torch.zeros(30, 4, 1).double(), torch.randn(4, 5).double() + 1)
    plane = leading_plane(states)
    (point,) = points.points
    through = shifted_to(plane, point.state)
    np.testing.assert_allclose(through.project(states), plane.project(states), atol=1e-12)
    at = through.project(point.state) @ through.directions.mT.numpy() + through.center.numpy()
    np.testing.assert_allclose(at, point.state, atol=1e-12)
    drawn = lines_of(
        vector_field_figure(unit, torch.zeros(1), states=states, points=points).axes[0]
    )
    np.testing.assert_allclose(drawn["_trajectory 0"], plane.project(states)[:, 0], atol=1e-12)


def test_equal_figures_are_equal_files_and_no_state_is_left(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ("svg", "png", "pdf"):
            for name in ("one", "other"):
                save_figure(spectra_figure(A, W, step_size=0.1), tmp_path / f"{name}.{kind}")
            content = (tmp_path / f"one.{kind}").read_bytes()
            assert content == (tmp_path / f"other.{kind}").read_bytes()
    assert (tmp_path / "one.png").read_bytes()[:4] == b"\x89PNG"
    assert dict(matplotlib.rcParams) == before
    assert len(list(tmp_path.iterdir())) == 6  # no temporary file
    with pytest.raises(InputError, match=r"expected a name in .svg, .png or .pdf"):
        save_figure(spectra_figure(A, W, step_size=0.1), tmp_path / "figure.bmp")
