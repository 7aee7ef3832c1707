"""The stability report against numpy, the theorem, and units whose answers are known."""

import numpy as np
import pytest
import torch
from torch import nn

from lipschitz_rnn.analysis.report import stability_report
from lipschitz_rnn.nn import LipschitzRNN, LipschitzRNNCell, SequenceClassifier, make_layer


def matrices(layer, suffix="_l0"):
    with torch.no_grad():
        a, w = getattr(layer, f"weight_a{suffix}"), getattr(layer, f"weight_hh{suffix}")
        return a.double().numpy(), w.double().numpy()


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.75, 1.0])
def test_spectra_are_numpys_and_lie_within_the_scheme(beta):
    layer = LipschitzRNN(2, 12, beta=beta, gamma=0.3, init_std=5.0)
    (unit,) = stability_report(SequenceClassifier(layer, 3)).units
    for matrix, found in zip(matrices(layer), (unit.a, unit.w), strict=True):
        values = np.linalg.eigvals(matrix)
        assert sorted(found.eigenvalues, key=str) == sorted(values, key=str)
        assert (np.diff(found.eigenvalues.real) <= 0).all()
        symmetric = np.linalg.eigvalsh((matrix + matrix.T) / 2)
        assert found.spectral_abscissa == values.real.max()
        assert found.log_norm == pytest.approx(symmetric[-1], abs=1e-12)
        assert found.sigma_max == pytest.approx(np.linalg.norm(matrix, 2))
        # attained by the symmetric part; float32 weights, hence the tolerance
        assert found.scheme.high == pytest.approx(symmetric[-1], abs=1e-5)
        assert found.scheme.low == pytest.approx(symmetric[0], abs=1e-5)
        assert np.abs(values.imag).max() <= found.scheme.imaginary + 1e-5


def test_alpha_scales_a_and_its_bounds_and_a_learned_one_leaves_none():
    torch.manual_seed(1)
    layer = LipschitzRNN(2, 6, alpha=-2.0, init_std=3.0)
    (unit,) = stability_report(layer).units
    a, _ = matrices(layer)
    assert unit.a.spectral_abscissa == pytest.approx(np.linalg.eigvals(-2 * a).real.max(), rel=1e-5)
    assert unit.a.scheme.low <= unit.a.spectral_abscissa <= unit.a.scheme.high
    assert unit.a.log_norm == pytest.approx(unit.a.scheme.high, abs=1e-5)
    (unit,) = stability_report(LipschitzRNN(2, 6, trainable=["alpha", "beta_w"])).units
    assert unit.a.scheme is None
    assert unit.w.scheme is None


def test_a_unit_that_meets_the_theorem():
    layer = LipschitzRNN(1, 8, gamma_a=3.0, gamma_w=0.0, init_std=0.1, step_size=0.1)
    report = stability_report(layer)
    (unit,) = report.units
    assert unit.conditions.a.holds
    assert unit.euler.contracts
    assert unit.euler.factor < 1
    assert report.certificate.holds
    assert unit.certificate.strength == "norm"
    # of A close to -3 I Euler bears steps up to 2/3
    assert unit.step_sizes.smallest == pytest.approx(2 / 3, rel=0.1)


def test_the_published_initialisation_is_not_certified():
    torch.manual_seed(0)
    report = stability_report(LipschitzRNN(1, 128))
    (unit,) = report.units
    assert not report.certificate.holds
    assert 0.02 < unit.conditions.a.quantities["gamma_a_increase"] < 0.04
    assert "misses by" in report.certificate.reason


def test_times_stretch_every_step():
    layer = LipschitzRNN(1, 4, gamma_a=3.0, gamma_w=0.0, step_size=0.1, substeps=2)
    (short,) = stability_report(layer).units
    (long,) = stability_report(layer, max_dt=5.0).units
    assert short.step_size == pytest.approx(0.05)
    assert long.step_size == pytest.approx(0.25)
    assert long.euler.step_size == pytest.approx(0.25)
    assert long.certificate.system.step_size == pytest.approx(0.25)
    midpoint = LipschitzRNN(1, 4, gamma_a=3.0, method="midpoint")
    assert "dt vary" in stability_report(midpoint, max_dt=2.0).units[0].certificate.reason


def test_layers_and_directions_in_torchs_order():
    report = stability_report(LipschitzRNN(1, 4, 2, bidirectional=True))
    assert [unit.name for unit in report.units] == ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert len(report.certificate.units) == 4


def test_units_without_a_linear_term():
    for name in ("residual", "antisymmetric"):
        (unit,) = stability_report(make_layer(name, 2, 6)).units
        assert unit.a is None
        assert unit.step_sizes is None
        assert unit.w.scheme is None
        assert unit.conditions.a.holds is False
    assert unit.w.log_norm == pytest.approx(-0.001)  # antisymmetric: -gamma I


def test_a_gated_unit_gets_spectra_but_no_theorem():
    for layer in (make_layer("lipschitz-gated", 2, 6), LipschitzRNN(2, 6, gated=True)):
        (unit,) = stability_report(layer).units
        assert (unit.conditions, unit.euler) == (None, None)
        assert unit.a.scheme is not None
        assert "gated" in unit.certificate.reason


def test_a_cell_is_reported_like_its_layer():
    torch.manual_seed(3)
    cell = LipschitzRNNCell(2, 5, init_std=2.0)
    (unit,) = stability_report(cell).units
    a, w = matrices(cell, "")
    assert unit.a.spectral_abscissa == np.linalg.eigvals(a).real.max()
    assert unit.w.scheme.high == pytest.approx(np.linalg.eigvalsh(w + w.T)[-1] / 2, abs=1e-5)


def test_what_cannot_be_reported_is_refused():
    with pytest.raises(TypeError, match="no matrices A and W"):
        stability_report(SequenceClassifier(nn.GRU(2, 4), 3))
    with pytest.raises(ValueError, match=r"positive number `max_dt`, got inf"):
        stability_report(LipschitzRNN(1, 4), max_dt=float("inf"))
    layer = LipschitzRNN(1, 4)
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original.fill_(torch.nan)
    with pytest.raises(ValueError, match="finite numbers in `w`"):
        stability_report(layer)


@pytest.mark.parametrize("constraint", ["contractive", "contractive-flow"])
def test_under_a_constraint_the_matrices_are_those_that_are_run(constraint):
    torch.manual_seed(0)
    layer = LipschitzRNN(1, 8, init_std=8.0, step_size=0.1, constraint=constraint, rate=0.05)
    (unit,) = stability_report(layer).units
    assert unit.a.scheme is None
    assert unit.conditions.a.holds or constraint == "contractive"
    assert unit.certificate.holds or constraint == "contractive-flow"
