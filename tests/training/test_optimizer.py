import pytest
import torch

from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier, make_layer
from lipschitz_rnn.training.optimizer import make_optimizer, undecayed


@pytest.mark.parametrize(
    "rnn",
    [
        LipschitzRNN(2, 4, trainable=("step_size", "alpha", "beta_a", "gamma_w")),
        make_layer("lipschitz-noisy", 2, 4),
        make_layer("antisymmetric", 2, 4),
    ],
    ids=["scalars", "noisy", "antisymmetric"],
)
def test_weight_decay_moves_no_number_kept_on_another_scale(rnn):
    model = SequenceClassifier(rnn, 3)
    names = {
        name
        for name, p in model.named_parameters()
        if p.dim() == 0 or "step_size" in name or "beta" in name or "gamma" in name
    }
    options = {"lr": 0.1, "weight_decay": 0.5}
    optimizer = make_optimizer(model.parameters(), "sgd", options, undecayed(model))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, p in model.named_parameters():
        factor = 1.0 if name in names else 1 - 0.1 * 0.5
        torch.testing.assert_close(p.detach(), factor * before[name], msg=name)
