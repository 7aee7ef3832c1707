"""What is at the edge of float64, or no number at all: a refusal with its reason, never a crash."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis import certified_radii, certify, save_certificate, verify_certificate
from lipschitz_rnn.analysis.certificate_file import load_certificate
from lipschitz_rnn.analysis.certificates import (
    StabilityCertificate,
    is_below_one,
    proves,
    recheck,
)
from lipschitz_rnn.analysis.certify import certify_construction
from lipschitz_rnn.analysis.increments import make_system
from lipschitz_rnn.analysis.layers import find_units, system_of_unit
from lipschitz_rnn.analysis.search import certify_system
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier
from lipschitz_rnn.ops import NONLINEARITIES, Nonlinearity

F64 = torch.float64
TANH = NONLINEARITIES["tanh"]
SLOPES = [(0.0, math.nan), (math.nan, 1.0), (0.0, math.inf), (-math.inf, 1.0), (1.0, 0.0)]


def layer_of(**options):
    return LipschitzRNN(1, 4, gamma_a=1.0, **{"step_size": 0.1, **options})


def with_learned_step(value):
    """A layer whose step was learned until its training diverged, or was set by hand."""
    layer = layer_of(trainable=("step_size",))
    if parametrize.is_parametrized(layer, "step_size_l0"):
        parametrize.remove_parametrizations(layer, "step_size_l0")
    with torch.no_grad():
        layer.step_size_l0.fill_(value)
    return layer


@pytest.mark.parametrize("strength", ["norm", "auto"])
@pytest.mark.parametrize("scale", [1e-310, 1e-300, 1e-160, 1e150, 1e300, 1e308])
def test_scales_at_the_edge(scale, strength):
    """Each is -I and 0.1 W in other units of time; the answer may be no, and is never a crash."""
    w = 0.1 * scale * torch.randn(3, 3, dtype=F64)
    a = -scale * torch.eye(3, dtype=F64)
    for step in (None, min(0.1 / scale, 1e308), 1e308, 1e-308):
        found = certify(a, w, step_size=step, strength=strength)
        assert found.reason
        if found.holds:
            assert recheck(found.units[0])
            assert found.rate > 0


def test_the_users_floating_point_traps_are_his_own():
    with np.errstate(all="raise"):
        a, w = -1e300 * torch.eye(2, dtype=F64), 1e299 * torch.ones(2, 2, dtype=F64)
        assert not certify(a, w, step_size=1e300).holds


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1, 0.0])
def test_a_learned_step_that_is_none(value):
    layer = with_learned_step(value)
    found = certify(layer)
    assert not found.holds
    assert found.rate is found.contraction is None
    assert found.reason == (f"its step size is not a finite number above 0: {value:g} / 1 substeps")
    assert certify(layer, continuous=True).holds  # the equation knows no step
    assert math.isnan(system_of_unit(find_units(layer)[0]).step_size)


def test_a_unit_with_a_constraint_and_a_step_that_is_none():
    unit = find_units(LipschitzRNN(1, 4, step_size=0.1, constraint="contractive"))[0]
    assert certify_construction(unit).holds
    for value in (math.nan, math.inf, -0.1):
        found = certify_construction(dataclasses.replace(unit, step_size=value))
        assert not found.holds
        assert "step size is not a finite number above 0" in found.reason


def test_steps_that_underflow_are_not_the_flow():
    found = certify(layer_of(), max_dt=1e-323)
    assert not found.holds
    assert "not a finite number above 0: 0.1 x max_dt 9.88131e-324 / 1 substeps" in found.reason


@pytest.mark.parametrize("max_dt", [1e-17, 1e-300])
def test_a_factor_that_rounds_to_one_certifies_nothing(max_dt):
    found = certify(layer_of(), max_dt=max_dt)
    assert not found.holds
    assert "no contraction any more once it is rounded" in found.reason
    tiny = certify(-1e-14 * torch.eye(2, dtype=F64), torch.zeros(2, 2), step_size=1e-3)
    assert not tiny.holds


def test_a_file_or_a_hand_can_claim_no_such_factor_either():
    unit = certify(-torch.eye(2, dtype=F64), torch.zeros(2, 2), step_size=0.1).units[0]
    assert recheck(unit)
    assert is_below_one(unit)
    weak = dataclasses.replace(unit, growth=-1e-16)
    assert proves(weak.system, weak.growth, weak.metric, weak.multipliers)
    assert not is_below_one(weak)
    assert not recheck(weak)


@pytest.mark.parametrize("step", [-0.1, math.nan, math.inf])
def test_no_proof_and_no_search_for_such_a_step(step):
    a, w = -np.eye(2), np.zeros((2, 2))
    system = make_system(a, w, step, nonlinearity=TANH)
    assert not certify_system(system, report=None).holds
    good = certify(a, w, step_size=0.1).units[0]
    assert not recheck(dataclasses.replace(good, system=system))


@pytest.mark.parametrize("slopes", SLOPES, ids=str)
def test_slopes_that_bound_nothing(slopes):
    sigma = Nonlinearity("odd", torch.tanh, *slopes)
    a, w = -2 * torch.eye(2), torch.eye(2)
    message = r"^certify: expected finite slope_min <= slope_max of `nonlinearity`, got slopes from"
    with pytest.raises(ValueError, match=message):
        certify(a, w, nonlinearity=sigma)
    found = certify(layer_of(nonlinearity=sigma))
    assert not found.holds
    assert found.reason.startswith("its nonlinearity has slopes from")
    good = certify(a, w).units[0]
    system = dataclasses.replace(good.system, nonlinearity=sigma)
    assert not recheck(dataclasses.replace(good, system=system))


def test_no_units_at_all():
    with pytest.raises(ValueError, match="certify: expected `w` of size 1 at least, got an empty"):
        certify(None, torch.zeros(0, 0))
    with pytest.raises(ValueError, match="StabilityCertificate: expected at least one unit"):
        StabilityCertificate(())


def test_plain_numbers_are_read_as_they_are():
    system = certify([[-1.1]], [[0.3]]).units[0].system
    assert system.a[0, 0] == -1.1
    assert system.w[0, 0] == 0.3
    assert certify(None, np.float32([[0.1]])).units[0].system.w[0, 0] == float(np.float32(0.1))
    assert certify(torch.tensor([[-2]]), [[1]]).holds


@pytest.mark.parametrize("bad", [torch.tensor([[-2 + 5j]]), np.array([[-2 + 5j]]), [["x"]]])
def test_what_is_not_real_is_refused(bad):
    with pytest.raises(TypeError, match=r"^certify: expected `a` to hold real numbers, got"):
        certify(bad, [[1.0]])
    with pytest.raises(TypeError, match=r"^certify: expected `w` to hold real numbers, got"):
        certify([[-1.0]], bad)


def test_shapes_of_plain_numbers():
    with pytest.raises(ValueError, match="certify: expected `a` to have rows of one length"):
        certify([[1.0], [1.0, 2.0]], [[1.0]])
    with pytest.raises(ValueError, match="certify: expected `a` and `w` of the same shape, got"):
        certify([[1.0]], np.eye(2))
    with pytest.raises(ValueError, match="certify: expected a square matrix `w`"):
        certify(None, [1.0])


SWITCHES = ["", "cuda.matmul", "mkldnn.matmul"]


@pytest.mark.skipif(
    not hasattr(torch.backends, "fp32_precision"), reason="torch without the newer switches"
)
@pytest.mark.parametrize("switch", SWITCHES)
def test_torchs_newer_precision_switches(switch):
    model = SequenceClassifier(layer_of(batch_first=True), 3).eval()
    certificate, x = certify(model), torch.randn(2, 5, 1)
    place = torch.backends
    for part in switch.split(".") if switch else []:
        place = getattr(place, part)
    before = place.fp32_precision
    place.fp32_precision = "bf16" if "mkldnn" in switch else "tf32"
    try:
        with pytest.raises(ValueError, match=r"certified_radii: expected float32 .* to 'ieee'\.$"):
            certified_radii(certificate, model, x)
        place.fp32_precision = "ieee"  # what the message says
        assert (certified_radii(certificate, model, x).radii > 0).any()
    finally:
        place.fp32_precision = before
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_refusal_of_a_diverged_run_can_be_kept(tmp_path, value):
    layer = LipschitzRNN(1, 3, trainable=("step_size",))
    with torch.no_grad():
        layer.parametrizations.step_size_l0.original.fill_(value)
    found = certify(layer)
    assert not found.holds
    save_certificate(found, tmp_path / "c.json", model=layer)
    check = verify_certificate(tmp_path / "c.json")
    assert not check.holds
    (unit,) = load_certificate(tmp_path / "c.json").units
    assert unit.reason == found.units[0].reason
    content = json.loads((tmp_path / "c.json").read_text())
    content["units"][0]["holds"] = True
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="where it holds"):
        load_certificate(tmp_path / "c.json")
