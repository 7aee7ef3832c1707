"""What robustness promises: the same again, a model left as it was, and clear refusals."""

import copy

import pytest
import torch
from robustness_problems import Linear, classifier, samples
from torch import nn

from lipschitz_rnn.analysis.robustness import robustness
from lipschitz_rnn.analysis.robustness_kinds import PERTURBATIONS
from lipschitz_rnn.nn import LipschitzRNN

F64 = torch.float64


def test_the_same_seed_finds_the_same():
    model = classifier(LipschitzRNN(2, 4, batch_first=True, dtype=F64))
    x, y = samples(batch=10, outputs=3)
    kept = {
        "seeds": 2,
        "strengths": {name: kind.strengths[-1:] for name, kind in PERTURBATIONS.items()},
    }
    torch.manual_seed(1)
    one = robustness(model, x, y, seed=3, **kept)
    torch.manual_seed(2)  # which is not looked at
    state = torch.get_rng_state()
    assert robustness(model, x, y, seed=3, **kept) == one
    assert torch.equal(torch.get_rng_state(), state)
    other = robustness(model, x, y, seed=9, **kept)
    for name in ("white-noise", "salt-and-pepper", "dropped-steps", "weight-noise:W"):
        assert other.curves[name].loss[-1] != one.curves[name].loss[-1], name
    assert other.curves["rounded"] == one.curves["rounded"]


class Picky(nn.Module):
    """With parts that differ in training, one of which is not trained at the moment."""

    def __init__(self):
        super().__init__()
        self.norm, self.dropout = nn.BatchNorm1d(6, dtype=F64), nn.Dropout(0.5)
        self.linear = nn.Linear(6, 2, dtype=F64)
        self.dropout.eval()

    def forward(self, x):
        if len(x) == 13:
            raise RuntimeError("thirteen")
        assert not any(module.training for module in self.modules())
        return self.linear(self.dropout(self.norm(x.flatten(1))))


def test_the_model_is_left_as_it_was():
    model = Picky()
    modes = [module.training for module in model.modules()]
    assert len(set(modes)) == 2
    model.linear.weight.grad = torch.ones_like(model.linear.weight)
    before = copy.deepcopy(model.state_dict())
    x, y = samples()
    x.requires_grad_()
    robustness(model, x, y, seeds=1)
    with pytest.raises(RuntimeError, match="thirteen"):
        robustness(model, x, y, batch_size=13)
    assert [module.training for module in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(model.linear.weight.grad, torch.ones_like(model.linear.weight))
    assert model.linear.bias.grad is None
    assert x.grad is None
    assert torch.backends.cudnn.enabled


def test_progress_is_reported_in_order():
    names, seen = ["pruned", "fgsm"], []
    robustness(Linear(), *samples(), perturbations=names, report=seen.append)
    assert seen == names


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"perturbations": ["fgms"]}, ValueError, "Did you mean 'fgsm'"),
        ({"strengths": {"noise": (1,)}}, ValueError, "to be one of white-noise"),
        ({"strengths": {"fgsm": (-0.1,)}}, ValueError, r"`strengths\['fgsm'\]` >= 0"),
        ({"strengths": {"rounded": (4.5,)}}, TypeError, "`bits` to be an int"),
        ({"seeds": 0}, ValueError, "`seeds` >= 1"),
        ({"batch_size": 0}, ValueError, "`batch_size` >= 1"),
        ({"low": 1.0, "high": 0.0}, ValueError, "between low=1.0"),
        ({"low": 0.5}, ValueError, "between low=0.5"),
        ({"target": torch.zeros(3).long()}, ValueError, "as many samples as `input`"),
        ({"target": [0, 1]}, TypeError, "`target` to be a torch.Tensor"),
        ({"target": torch.zeros(40, dtype=F64)}, ValueError, r"target.shape = \(40,\)"),
        ({"loss": lambda answers, target: answers.sum()}, ValueError, r"`loss` of shape \(B,\)"),
    ],
)
def test_what_does_not_fit_is_refused(change, error, message):
    x, y = samples()
    arguments = {"target": y, "perturbations": ["fgsm", "rounded"]} | change
    with pytest.raises(error, match=message):
        robustness(Linear(), x, **arguments)


def test_a_model_with_several_answers_is_refused():
    with pytest.raises(TypeError, match=r"got tuple\. Wrap it"):
        robustness(nn.GRU(2, 4, batch_first=True), torch.rand(4, 3, 2), torch.zeros(4).long())
