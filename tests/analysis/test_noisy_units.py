"""A noisy unit is analysed as the step without noise, where that is a Lipschitz unit."""

import numpy as np
import pytest
import torch

from lipschitz_rnn.analysis import certify, find_units, input_gains, stability_report, state_bound
from lipschitz_rnn.nn import LipschitzRNN, NoisyLipschitzRNNCell, RecurrentLayer, SequenceClassifier

F64 = torch.float64
STEP = 0.25  # as float32 and as float64 the same number


def noisy(**options):
    """Damped enough to contract; in evaluation mode."""
    options = {"gamma_a": 1.5, "init_std": 2.0, "step_size": STEP, **options}
    return RecurrentLayer(NoisyLipschitzRNNCell(2, 4, **options)).eval()


def plain(layer):
    """The Lipschitz unit of the same matrices."""
    (cell,) = layer.cells
    parts = (cell.weight_a, cell.weight_hh, cell.weight_ih, cell.bias)
    return LipschitzRNN.from_matrices(*(part.detach() for part in parts), step_size=STEP)


def test_it_is_the_lipschitz_unit_of_its_matrices():
    layer = noisy()
    other = plain(layer)
    (found,), (wanted,) = find_units(layer), find_units(other)
    assert found.step_size == pytest.approx(STEP, rel=1e-7)  # learned, through a softplus
    for name in ("a", "w", "u", "b"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert (found.name, found.layer, found.substeps, found.tableau) == (
        wanted.name, wanted.layer, wanted.substeps, wanted.tableau,
    )  # fmt: skip
    x = torch.randn(20, 3, 2)
    torch.testing.assert_close(layer(x)[0], other(x)[0])


def test_what_follows_from_a_certificate_holds_without_noise():
    layer = noisy(dtype=F64)
    certificate = certify(layer)
    assert certificate.holds
    assert certificate.rate == pytest.approx(certify(plain(layer)).rate, rel=1e-6)
    x, change = torch.randn(20, 6, 2, dtype=F64), 0.1 * torch.randn(20, 6, 2, dtype=F64)
    with torch.no_grad():
        moved = (layer(x + change)[0] - layer(x)[0])[-1].norm(dim=-1)
        largest = layer(100 * x)[0].norm(dim=-1).max()
    gain = input_gains(certificate, layer, horizon=20).state
    assert (moved <= gain * change.norm(dim=(0, 2))).all()
    assert largest <= state_bound(certificate, layer).state
    (unit,) = stability_report(layer).units
    assert unit.certificate.holds
    assert unit.a.scheme.low <= unit.a.eigenvalues.real.min()
    assert unit.a.scheme.high >= unit.a.spectral_abscissa


@pytest.mark.parametrize(
    "options",
    [{"additive_noise": 0.1, "multiplicative_noise": 0.0},
     {"additive_noise": 0.0, "multiplicative_noise": 0.1}],
)  # fmt: skip
def test_noise_is_refused(options):
    layer = noisy(**options).train()
    model = SequenceClassifier(layer, 3)
    with pytest.raises(
        ValueError, match=r"^certify: expected a noisy unit in evaluation mode, got"
    ):
        certify(layer)
    with pytest.raises(ValueError, match=r"find_units: expected a noisy .* Call model.eval\(\)"):
        stability_report(model)
    certificate = certify(model.eval())
    with pytest.raises(ValueError, match=r"^state_bound: expected a noisy unit in evaluation mode"):
        state_bound(certificate, model.train())


def test_training_mode_without_noise_is_no_obstacle():
    layer = noisy(additive_noise=0.0, multiplicative_noise=0.0).train()
    assert certify(layer).holds


def test_steps_of_their_own_are_refused_and_the_remedy_is_right():
    """With g = e h/d, h+ = h + d f(h) is g+ = g + e (A D g + tanh(W D g + U x + b)), D = d/e."""
    layer = noisy(dtype=F64)
    (cell,) = layer.cells
    cell.step_size = d = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=F64)
    with pytest.raises(TypeError, match=r"^certify: expected one step size .*d from 0\.1 to 0\.4"):
        certify(layer)
    a, w = cell.weight_a.detach(), cell.weight_hh.detach()
    found = certify(a * d / STEP, w * d / STEP, step_size=STEP)
    assert found.holds
    metric = torch.from_numpy(np.asarray(found.units[0].metric))
    metric = torch.diag(metric) if metric.dim() == 1 else metric
    x, h = torch.randn(5, 2, dtype=F64), torch.randn(2, 5, 4, dtype=F64)
    with torch.no_grad():
        after = torch.stack([cell(x, one) for one in h])
    norms = [((y[0] - y[1]) / d @ torch.linalg.cholesky(metric)).norm(dim=-1) for y in (h, after)]
    assert (norms[1] <= found.contraction * norms[0]).all()
