import pytest
import torch
from torch import nn

from lipschitz_rnn.experiments import measure_spectra
from lipschitz_rnn.experiments.spectra import record_spectra
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier, make_layer


def test_a_rotation_with_damping():
    """beta = 1: A = M - M' - gamma I: eigenvalues -gamma +- i, symmetric part -gamma I."""
    rnn = LipschitzRNN(1, 2, beta=1.0, gamma_a=0.25, gamma_w=0.5)
    with torch.no_grad():
        rnn.parametrizations.weight_a_l0.original.copy_(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    spectra = measure_spectra(SequenceClassifier(rnn, 3))
    assert spectra == {
        "l0": {
            "spectral_abscissa_a": pytest.approx(-0.25, abs=1e-7),
            "spectral_abscissa_w": pytest.approx(-0.5, abs=1e-7),
            "log_norm_a": pytest.approx(-0.25, abs=1e-7),
        }
    }


def test_a_shear_grows_though_its_eigenvalues_do_not():
    """beta = 1/2: A = M - gamma I; M = [[0, 4], [0, 0]] has eigenvalue 0 but log norm 2."""
    rnn = LipschitzRNN(1, 2, beta=0.5, gamma=0.0)
    with torch.no_grad():
        rnn.parametrizations.weight_a_l0.original.copy_(torch.tensor([[0.0, 4.0], [0.0, 0.0]]))
    (layer,) = measure_spectra(rnn).values()
    assert layer["spectral_abscissa_a"] == pytest.approx(0.0, abs=1e-7)
    assert layer["log_norm_a"] == pytest.approx(2.0)


def test_every_layer_and_direction_and_only_what_there_is():
    rnn = LipschitzRNN(1, 2, 2, bidirectional=True, alpha=0.0)
    spectra = measure_spectra(rnn)
    assert list(spectra) == ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert all(layer["log_norm_a"] is None for layer in spectra.values())
    assert all(layer["spectral_abscissa_w"] is not None for layer in spectra.values())
    assert measure_spectra(nn.GRU(1, 2)) == {}


def test_weights_that_are_not_finite_have_no_spectrum():
    rnn = LipschitzRNN(1, 2)
    with torch.no_grad():
        rnn.parametrizations.weight_hh_l0.original.fill_(torch.nan)
    assert measure_spectra(rnn)["l0"]["spectral_abscissa_w"] is None


@pytest.mark.parametrize("name", ["residual", "antisymmetric", "lipschitz-noisy"])
def test_units_that_are_odes_are_measured_too(name):
    model = SequenceClassifier(make_layer(name, 2, 5), 3).double()
    spectra = measure_spectra(model)["l0"]
    (cell,) = model.rnn.cells
    wanted = torch.linalg.eigvals(cell.weight_hh.detach()).real.max()
    assert spectra["spectral_abscissa_w"] == pytest.approx(float(wanted), rel=1e-10)
    assert (spectra["spectral_abscissa_a"] is None) == (name != "lipschitz-noisy")


def test_layers_of_cells_have_the_names_of_the_record():
    layer = make_layer("residual", 2, 5, num_layers=2, bidirectional=True)
    names = ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert list(measure_spectra(layer)) == list(record_spectra(layer, 1, 1)) == names


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_the_summary_and_the_record_differ_by_alpha_alone(alpha):
    layer = LipschitzRNN(1, 6, init_std=5.0, alpha=alpha, trainable=("alpha",))
    entry, summary = record_spectra(layer, 1, 1)["l0"], measure_spectra(layer)["l0"]
    for name, value in summary.items():
        assert entry[name] == (value if name.endswith("_w") else alpha * value)


def test_an_alpha_that_came_to_zero_hides_a():
    layer = LipschitzRNN(1, 6, trainable=("alpha",))
    with torch.no_grad():
        layer.alpha_l0.zero_()
    assert measure_spectra(layer)["l0"]["spectral_abscissa_a"] is None
    assert record_spectra(layer, 1, 1)["l0"]["spectral_abscissa_a"] == 0


def test_a_noisy_unit_is_measured_whatever_its_mode_and_steps():
    model = SequenceClassifier(make_layer("lipschitz-noisy", 2, 5), 3).train()
    (cell,) = model.rnn.cells
    cell.step_size = torch.linspace(0.01, 0.02, 5)
    wanted = torch.linalg.eigvals(cell.weight_a.detach().double()).real.max()
    for found in (measure_spectra(model), record_spectra(model, 1, 1)):
        assert found["l0"]["spectral_abscissa_a"] == pytest.approx(float(wanted))


@pytest.mark.parametrize("name", ["lstm", "cornn", "cayley"])
def test_units_without_these_matrices_have_none(name):
    assert measure_spectra(SequenceClassifier(make_layer(name, 2, 5), 3)) == {}
