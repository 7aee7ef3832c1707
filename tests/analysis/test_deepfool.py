"""DeepFool where the nearest boundary is known, is bounded from below, or cannot be found."""

import math

import pytest
import torch
from linear_classifier import LinearClassifier, samples, sizes
from torch import nn

from lipschitz_rnn.analysis.certify import certify
from lipschitz_rnn.analysis.deepfool import deepfool
from lipschitz_rnn.analysis.radius import certified_radii
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier

F32, F64 = torch.float32, torch.float64
NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def recurrent_model(seed=0, dtype=F64, batch_first=True):
    torch.manual_seed(seed)
    rnn = LipschitzRNN(
        2, 5, gamma_a=4.0, step_size=0.2, init_std=2.0, batch_first=batch_first, dtype=dtype
    )
    model = SequenceClassifier(rnn, 3)
    with torch.no_grad():
        model.head.weight.mul_(3)
    return model


@NORMS
def test_distance_to_a_circle(norm):
    """Not linear: Newton's method along a ray, which is what is nearest from the inside."""
    model = Function(lambda x: torch.stack((1 - x.square().sum(1), torch.zeros_like(x[:, 0])), 1))
    angle = torch.linspace(0.1, 6.2, 30, dtype=F64)
    x = torch.linspace(0.2, 0.95, 30, dtype=F64)[:, None] * torch.stack(
        (angle.cos(), angle.sin()), 1
    )
    # |x + r sign(x)| = 1 is 2 r² + 2 r |x|_1 + |x|² = 1
    sums, squares = x.abs().sum(1), x.square().sum(1)
    exact = {"l2": 1 - squares.sqrt(), "linf": (-sums + (sums**2 + 2 - 2 * squares).sqrt()) / 2}
    found = deepfool(model, x, norm=norm, refine=60)
    # 1 - |x|² is off by 2 ulps or so, its slope at the circle is 2 at least
    assert (found.distances - exact[norm]).abs().max() < 4 * 2**-52
    assert (found.steps >= 1).all()


@pytest.mark.parametrize("dtype", [F32, F64])
def test_no_certified_radius_is_undercut(dtype):
    model, x = recurrent_model(dtype=dtype), 2 * samples(40, 8, 2, dtype)
    proved = certified_radii(certify(model, strength="diagonal"), model, x)
    found = deepfool(model, x)
    assert (proved.radii > 0).float().mean() > 0.8
    assert torch.equal(proved.predicted, found.predicted)
    assert (found.distances >= proved.radii).all()
    assert torch.equal(model(found.input).argmax(1), found.reached)
    # neither is empty: all are reached, half of them within 20 times what is proved
    assert (found.reached != found.predicted).all()
    assert (found.distances / proved.radii).median() < 20


@NORMS
def test_layouts_and_batches_do_not_matter(norm):
    x = 2 * samples(11, 8, 2)
    first, second = recurrent_model(), recurrent_model(batch_first=False)
    expected = deepfool(first, x, norm=norm, refine=40)
    found = deepfool(second, x.transpose(0, 1), norm=norm, refine=40, batch_size=4)
    assert found.input.shape == (8, 11, 2)
    # rounding of logits, of size 10 or so, over slopes of 0.1 or more
    assert torch.allclose(found.distances, expected.distances, rtol=0, atol=1e-12)
    assert torch.equal(found.reached, expected.reached)
    assert torch.equal(found.steps, expected.steps)
    away = sizes(found.input - x.transpose(0, 1), norm, axis=1)
    assert torch.equal(away, found.distances)


def test_a_box_takes_its_share():
    """From (0.9, 0) to x_0 + x_1 > 1.2 with x_0 <= 1: (1, 0.2) is nearest, not (1.05, 0.15)."""
    model = Function(lambda x: torch.stack((torch.full_like(x[:, 0], 1.2), x.sum(1)), 1))
    x = torch.tensor([[0.9, 0.0]], dtype=F64)
    found = deepfool(model, x, low=0.0, high=1.0, refine=60)
    exact = math.sqrt(0.1**2 + 0.2**2)
    assert exact * (1 - 1e-14) <= found.distances.item() <= 1.02 * exact
    assert found.input.max() <= 1
    assert found.steps.item() == 2
    # the corner (1, 0.1) is of the same class
    held = deepfool(model, x / 9, low=0.0, high=0.1)
    assert held.distances.item() == math.inf
    assert torch.equal(held.input, x / 9)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("gap", [0.0, 2.0**-24])
def test_a_sample_at_the_boundary(dtype, gap):
    """A tie goes to the first class; the other one is a rounding away."""
    model = Function(lambda x: torch.stack((x[:, 0], x[:, 1]), 1))
    x = torch.tensor([[1.0, 1.0 - gap]], dtype=dtype)
    found = deepfool(model, x)
    assert found.predicted.item() == 0
    assert found.reached.item() == 1
    assert 0 < found.distances.item() <= gap + 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.round(x),  # no gradient at all
        lambda x: x[:, :1],  # no other class
        lambda x: torch.stack((x[:, 0].abs() + 1, -x[:, 0].abs()), 1),  # never reached
        lambda x: torch.stack((0 * x[:, 0] + 1000, 1e-37 * x[:, 0]), 1),  # at 1e40
        lambda x: torch.sqrt(x - x) + x * 0 + torch.tensor([1.0, 0.0]),  # gradient not finite
    ],
)
def test_what_cannot_be_reached(function):
    x = torch.tensor([[0.3, -0.2], [1.4, 2.0]])
    found = deepfool(Function(function), x, steps=5)
    assert found.distances.tolist() == [math.inf] * 2
    assert torch.equal(found.input, x)
    assert torch.equal(found.reached, found.predicted)


def test_no_gradient_no_step():
    found = deepfool(Function(torch.round), samples(5, 1, 3)[:, 0])
    assert found.steps.tolist() == [0] * 5


@pytest.mark.parametrize(("dtype", "root"), [(F32, 1e30), (F64, 1e100)])
def test_a_slope_out_of_range_is_passed_over(dtype, root):
    """It, or its square, would say that its boundary is at no distance."""
    model = Function(lambda x: torch.stack((0 * x[:, 0] + 1, root * (root * x[:, 0]), x[:, 1]), 1))
    found = deepfool(model, torch.zeros(1, 2, dtype=dtype), refine=60)
    assert found.reached.item() == 2
    assert found.distances.item() == pytest.approx(1, rel=2 * torch.finfo(dtype).eps)


def test_logits_that_are_no_numbers():
    """A sample without a class is left out, and no class is reached where there are none."""
    model = Function(lambda x: torch.stack((1 - x[:, 0], torch.log(x[:, 0].clamp_min(-1))), 1))
    x = torch.tensor([[-0.5, 0.0], [0.5, 0.0]], dtype=F64)
    found = deepfool(model, x, refine=50)
    assert found.predicted.tolist() == [-1, 0]
    assert found.distances[0] == math.inf
    assert found.steps[0] == 0
    # log x = 1 - x at 1
    assert abs(found.distances[1].item() - 0.5) < 1e-14


def test_an_infinite_logit_is_passed_over():
    model = Function(lambda x: torch.stack((1 - x[:, 0], x[:, 0], x[:, 0] - torch.inf), 1))
    found = deepfool(model, torch.zeros(2, 1, dtype=F64), refine=60)
    assert found.reached.tolist() == [1, 1]
    assert torch.allclose(found.distances, torch.full((2,), 0.5, dtype=F64), rtol=1e-14)


def test_no_samples():
    found = deepfool(LinearClassifier(), samples(16)[:0])
    assert found.input.shape == (0, 4, 3)
    assert found.distances.shape == (0,)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"norm": "l1"}, ValueError, "deepfool: expected `norm` to be one of linf, l2"),
        ({"steps": 0}, ValueError, "`steps` >= 1"),
        ({"refine": -1}, ValueError, "`refine` >= 1"),
        ({"refine": 0.5}, TypeError, "`refine` to be an int"),
        ({"overshoot": -0.1}, ValueError, "a finite `overshoot` >= 0"),
        ({"batch_size": 0}, ValueError, "`batch_size` >= 1"),
        ({"high": 0.0}, ValueError, "deepfool: .* between low=None and high=0.0"),
        ({"input": torch.zeros(2, 4, 3, dtype=torch.long)}, TypeError, "floating-point `input`"),
        ({"model": Function(lambda x: x)}, ValueError, r"`model\(input\)` of shape \(B, C\)"),
    ],
)
def test_refusals(change, error, message):
    options = {"model": LinearClassifier(), "input": samples()} | change
    with pytest.raises(error, match=message):
        deepfool(**options)
