import json

import pytest
import torch

from lipschitz_rnn.analysis import certify
from lipschitz_rnn.analysis.certificate_file import save_certificate
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier


def model_of(seed=0, **options):
    torch.manual_seed(seed)
    layer = LipschitzRNN(2, 3, gamma_a=2.0, gamma_w=0.5, step_size=0.1, **options)
    return SequenceClassifier(layer, 4)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model, its certificate with a full metric, and the file."""
    model = model_of(num_layers=2, method="midpoint")
    certificate = certify(model, strength="full")
    assert certificate.holds
    path = tmp_path_factory.mktemp("certificate") / "c.json"
    save_certificate(certificate, path, model=model)
    return model, certificate, path


@pytest.fixture
def content(saved):
    return json.loads(saved[2].read_text())


@pytest.fixture
def write(tmp_path):
    """Write a content, or text, to a file."""

    def write_(content, name="changed.json"):
        path = tmp_path / name
        text = content if isinstance(content, (bytes, str)) else json.dumps(content)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_
