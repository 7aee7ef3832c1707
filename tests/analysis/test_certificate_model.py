"""Certificates in files, and the models that they are of."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch

from lipschitz_rnn.analysis import certify
from lipschitz_rnn.analysis.certificate_file import (
    load_certificate,
    save_certificate,
    verify_certificate,
    weights_digest,
)
from lipschitz_rnn.nn import LipschitzRNN, make_layer


def nudge(tensor):
    """To the next number."""
    tensor.view(-1)[0] = torch.nextafter(tensor.view(-1)[0], torch.tensor(9.0))


def options(**changes):
    def change(model):
        model.rnn.options = dataclasses.replace(model.rnn.options, **changes)

    return change


def scale(tensor):
    tensor *= 1.001


def with_a_gate(model):
    """The same A and W, behind a gate."""
    options = {"gamma_a": 2.0, "gamma_w": 0.5, "step_size": 0.1, "method": "midpoint"}
    gated = LipschitzRNN(2, 3, num_layers=2, gated=True, **options)
    gated.load_state_dict(model.rnn.state_dict(), strict=False)
    return gated


OTHER = {
    "another A of l0": lambda m: scale(m.rnn.parametrizations.weight_a_l0.original),
    "another W of l1": lambda m: scale(m.rnn.parametrizations.weight_hh_l1.original),
    "another step size of l0": options(step_size=0.09),
    "another number of substeps of l0": options(step_size=0.2, substeps=2),
    "another method of l0": options(method="heun"),
    "another nonlinearity of l0": options(nonlinearity="relu"),
    "another gate of l0": with_a_gate,
    "other weights": lambda m: nudge(m.head.bias),
    "other weights (SHA-256)": lambda m: nudge(m.rnn.weight_ih_l0),
    "units l0": lambda m: LipschitzRNN(2, 3),
}
"""What is changed in a model, and does not move A and W of what is not named."""


@pytest.mark.parametrize("what", OTHER)
def test_another_model_is_refused(saved, tmp_path, what):
    model, certificate, path = saved
    other = copy.deepcopy(model)
    with torch.no_grad():
        other = OTHER[what](other) or other
    found = verify_certificate(path, other)
    assert not found.holds
    assert found.reason.startswith(f"it is of another model: {what}")
    if not what.startswith("other weights"):  # of which the certificate knows nothing before
        with pytest.raises(ValueError, match="save_certificate: expected the model that was"):
            save_certificate(certificate, tmp_path / "other.json", model=other)
    assert not list(tmp_path.iterdir())


def test_a_model_without_matrices(saved):
    with pytest.raises(TypeError, match="expected Lipschitz, residual or antisymmetric units"):
        verify_certificate(saved[2], make_layer("gru", 2, 3))


def test_a_file_that_is_bound_to_no_weights_is_of_no_model(saved, tmp_path):
    model, certificate, _ = saved
    save_certificate(certificate, tmp_path / "c.json")
    assert verify_certificate(tmp_path / "c.json").holds
    found = verify_certificate(tmp_path / "c.json", model)
    assert not found.holds
    assert "other weights" in found.reason


def test_times_are_part_of_the_binding(tmp_path):
    model = LipschitzRNN(2, 3, gamma_a=2.0, gamma_w=0.5, step_size=0.1)
    certificate = certify(model, max_dt=3.0)
    path = tmp_path / "c.json"
    save_certificate(certificate, path, model=model)
    assert load_certificate(path).units[0].max_dt == 3.0
    found = verify_certificate(path, model)
    assert found.holds
    assert "times dt up to 3" in found.lines[0]


def test_unbounded_times_and_gates_are_saved_with_their_reason(tmp_path):
    for options, max_dt, reason in (({}, math.inf, "no bound"), ({"gated": True}, 1.0, "gated")):
        model = LipschitzRNN(2, 3, **options)
        certificate = certify(model, max_dt=max_dt)
        save_certificate(certificate, tmp_path / "c.json", model=model)
        found = verify_certificate(tmp_path / "c.json", model)
        assert not found.holds
        assert reason in found.reason
        assert "another model" not in found.reason


def test_matrices_that_are_not_finite_are_saved_and_not_certified(tmp_path):
    certificate = certify(-torch.eye(2), torch.full((2, 2), math.nan))
    save_certificate(certificate, tmp_path / "c.json")
    assert "not finite" in verify_certificate(tmp_path / "c.json").reason
    assert np.isnan(load_certificate(tmp_path / "c.json").units[0].system.w).all()


def test_the_digest_of_weights_sees_names_types_shapes_and_bytes():
    def digest(**tensors):
        module = torch.nn.Module()
        for name, tensor in tensors.items():
            module.register_buffer(name, tensor)
        return weights_digest(module)

    zeros = torch.zeros(4)
    others = [
        digest(b=zeros),
        digest(a=zeros.int()),
        digest(a=zeros.reshape(2, 2)),
        digest(a=-zeros),
        digest(a=zeros, b=torch.zeros(0)),
        digest(a=torch.zeros(2), b=torch.zeros(2)),
        digest(a=torch.tensor(0.0)),
        digest(a=zeros.bfloat16()),
    ]
    assert len({digest(a=zeros), *others}) == 9
    assert digest(a=zeros, b=zeros + 1) == digest(b=zeros + 1, a=zeros)
    assert digest(a=torch.ones(2, 4).T) == digest(a=torch.ones(4, 2))
