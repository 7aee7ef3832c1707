"""What is proved is about the code that runs: other code is refused, and ours never."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from lipschitz_rnn.analysis import certified_radii, certify, input_gains
from lipschitz_rnn.nn import (
    LipschitzRNN,
    LipschitzRNNCell,
    RecurrentLayer,
    SequenceClassifier,
)

OPTIONS = {"gamma_a": 1.0, "step_size": 0.1, "bias": False}


def model_of(rnn=None, kind=SequenceClassifier):
    torch.manual_seed(0)
    return kind(rnn or LipschitzRNN(1, 4, batch_first=True, **OPTIONS), 3).eval()


class Louder(SequenceClassifier):
    def forward(self, input, *args, **kwargs):
        return super().forward(20 * input, *args, **kwargs)


class LouderLayer(LipschitzRNN):
    def _scan(self, index, input, *args):
        return super()._scan(index, 20 * input, *args)


class LouderCell(LipschitzRNNCell):
    def forward(self, input, *args, **kwargs):
        return super().forward(20 * input, *args, **kwargs)


class LouderHead(nn.Linear):
    def forward(self, input):
        return super().forward(20 * input)


class Named(SequenceClassifier):
    """Made and shown in another way, and with something of its own."""

    def __init__(self, rnn, classes):
        super().__init__(rnn, classes)
        self.note = "mine"

    def extra_repr(self):
        return "mine"

    def summary(self):
        return 1


def louder_head():
    model = model_of()
    model.head = LouderHead(4, 3)
    return model


def hooked():
    model = model_of()
    model.register_forward_pre_hook(lambda module, inputs: (20 * inputs[0],))
    return model


def stale_head():
    model = model_of()
    nn.utils.weight_norm(model.head)
    return model


def patched():
    model = model_of()
    forward = model.rnn.forward
    model.rnn.forward = lambda input, *args, **kwargs: forward(20 * input, *args, **kwargs)
    return model


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: model_of(kind=Louder), "Louder with its own 'forward'"),
        (louder_head, "LouderHead with its own 'forward' at 'head'"),
        (hooked, "a SequenceClassifier with forward hooks"),
        (stale_head, "a Linear with forward hooks at 'head'"),
    ],
    ids=range(4),
)
def test_gains_of_other_code_are_refused(make, part):
    model = make()
    certificate = certify(model)  # the layer itself is as it was
    assert certificate.holds
    with pytest.raises(ValueError, match=part):
        input_gains(certificate, model, 5)
    with pytest.raises(ValueError, match=part):
        certified_radii(certificate, model, torch.zeros(2, 5, 1))


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: model_of(LouderLayer(1, 4, **OPTIONS)), "LouderLayer with its own '_scan'"),
        (
            lambda: model_of(RecurrentLayer([LouderCell(1, 4, **OPTIONS)])),
            "LouderCell with its own 'forward' at 'cells.0'",
        ),
        (patched, "with its own 'forward'"),
    ],
    ids=range(3),
)
def test_certificates_of_other_code_are_refused(make, part):
    with pytest.raises(TypeError, match=part):
        certify(make())


def test_hooks_for_all_modules_are_refused():
    handle = nn.modules.module.register_module_forward_hook(lambda module, inputs, output: None)
    try:
        with pytest.raises(TypeError, match="no forward hooks, got some for all modules"):
            certify(model_of())
    finally:
        handle.remove()


def test_what_computes_as_ours_is_accepted():
    plain = model_of(LipschitzRNN(1, 4, 2, bidirectional=True, constraint="contractive"))
    cells = model_of(RecurrentLayer([LipschitzRNNCell(1, 4, **OPTIONS)]))
    normed = model_of()
    parametrizations.weight_norm(normed.head)  # read through: never stale
    scaled = model_of()

    class Half(nn.Module):
        def forward(self, x):
            return x / 2

    parametrize.register_parametrization(scaled.rnn, "weight_ih_l0", Half())
    compiled = model_of()
    compiled.compile()
    for model in (plain, cells, normed, scaled, compiled, model_of(kind=Named)):
        certificate = certify(model)
        assert certificate.holds
        assert input_gains(certificate, model, 5).pairs.max() > 0
