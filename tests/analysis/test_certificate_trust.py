"""Certificates that were loaded: nothing follows from one that proves nothing."""

import json

import numpy as np
import pytest
import torch
from certificate_content import array_of, put, sign_again, sign_units

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis import certified_radii, certify, input_gains, state_bound
from lipschitz_rnn.analysis.certificate_file import (
    load_certificate,
    save_certificate,
    verify_certificate,
)
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier


def ask_radii(certificate, model):
    return certified_radii(certificate, model, torch.ones(3, 2, 2))


ASK = [lambda c, m: input_gains(c, m, 3), state_bound, ask_radii]
ASK_IDS = ["gains", "states", "radii"]


@pytest.mark.parametrize("ask", ASK, ids=ASK_IDS)
def test_a_growth_that_was_edited_is_found_out(saved, content, write, ask):
    model = saved[0]
    ask(load_certificate(saved[2]), model)
    content["units"][0]["growth"] *= 1.5
    sign_again(content)  # rate and contraction follow from the growth
    forged = load_certificate(write(content))
    assert forged.holds
    with pytest.raises(ValueError, match="whose numbers prove what it says of this model"):
        ask(forged, model)


def test_multipliers_that_are_missing_prove_nothing(saved):
    for name in ("multipliers", "metric"):
        certificate = load_certificate(saved[2])
        object.__setattr__(certificate.units[0], name, {"multipliers": ()}.get(name))
        with pytest.raises(ValueError, match="a certificate"):
            state_bound(certificate, saved[0])


@pytest.mark.parametrize(
    ("ask", "bare"), [(ASK[0], True), (ASK[1], True), (ASK[1], False), (ASK[2], False)]
)
def test_dropout_between_layers_is_refused_in_training(ask, bare):
    torch.manual_seed(0)
    layer = LipschitzRNN(2, 3, num_layers=2, dropout=0.5, gamma_a=2.0, step_size=0.1)
    model = layer if bare else SequenceClassifier(layer, 2)
    certificate = certify(layer)
    with pytest.raises(ValueError, match="dropout in training mode"):
        ask(certificate, model)
    ask(certificate, model.eval())


def test_a_unit_that_is_gone_or_moved_is_missed(content, write):
    first, second = content["units"]
    for units in ([first], [second], [second, first], [first, first]):
        path = write(content | {"units": units})
        with pytest.raises(InputError, match="expected all units that were certified"):
            load_certificate(path)
        found = verify_certificate(path)
        assert not found.holds
        assert found.reason.startswith("expected all units that were certified")
    first["name"] = "l7"
    assert not verify_certificate(write(content)).holds


@pytest.fixture(scope="module", params=["contractive", "contractive-flow"])
def constrained(request, tmp_path_factory):
    """A model whose A and W a constraint makes, and its certificate."""
    torch.manual_seed(0)
    model = LipschitzRNN(2, 4, step_size=0.1, constraint=request.param, rate=0.1)
    certificate = certify(model, continuous=request.param == "contractive-flow")
    assert certificate.holds
    path = tmp_path_factory.mktemp("constrained") / "c.json"
    save_certificate(certificate, path, model=model)
    return model, path


def from_elsewhere(path, write, steps):
    """The file of a machine where A came out so many numbers apart."""
    content = json.loads(path.read_text())
    unit = content["units"][0]
    a = array_of(unit["a"])
    for _ in range(steps):
        a = np.nextafter(a, np.float32(-9) * np.eye(4, dtype=np.float32))
    put(unit["a"], a)
    unit["growth"] *= 1 - 1e-5  # there it was proved
    sign_again(content)
    sign_units(content)
    return write(content)


def test_matrices_that_are_made_anew_may_differ_in_the_last_bits(constrained, write):
    model, path = constrained
    assert str(verify_certificate(path, model)) == "certified: proved again for 1 unit"
    found = verify_certificate(from_elsewhere(path, write, 2), model)
    assert found.holds, found.reason
    assert "; A and W of l0 as made here have" in found.reason


def test_matrices_that_are_far_apart_are_another_model(constrained, write):
    model, path = constrained
    torch.manual_seed(1)
    moved = LipschitzRNN(2, 4, step_size=0.1, constraint=model.options.constraint, rate=0.1)
    found = verify_certificate(path, moved)
    assert found.reason.startswith("it is of another model: another A of l0")


def test_free_matrices_are_compared_to_the_last_bit(tmp_path, write):
    torch.manual_seed(0)
    model = LipschitzRNN(2, 4, gamma_a=2.0, gamma_w=0.5, step_size=0.1)
    path = tmp_path / "free.json"
    save_certificate(certify(model), path, model=model)
    found = verify_certificate(from_elsewhere(path, write, 1), model)
    assert found.reason == "it is of another model: another A of l0"
