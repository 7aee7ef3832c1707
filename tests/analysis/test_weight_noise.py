"""Changes of weights: of the right size, and never of the model itself."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lipschitz_rnn.analysis.weight_noise import noise_weights, prune_weights, round_weights
from lipschitz_rnn.nn import LanguageModel, LipschitzRNN, SequenceClassifier

F64 = torch.float64
SIGMAS = 5.0


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def one(values, dtype=F64):
    """A module with one tensor of weights."""
    model = nn.Module()
    model.weight = nn.Parameter(torch.as_tensor(values, dtype=dtype))
    return model


CHANGES = {
    "noise": lambda model, names=None: noise_weights(model, 0.2, seeded(), names),
    "round": lambda model, names=None: round_weights(model, 3, names),
    "bfloat16": lambda model, names=None: round_weights(model, "bfloat16", names),
    "prune": lambda model, names=None: prune_weights(model, 0.5, names),
}


def classifier(seed=0, **options):
    torch.manual_seed(seed)
    return SequenceClassifier(LipschitzRNN(2, 6, **options), 3)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_model_itself_is_left_alone(change):
    model = classifier()
    before = copy.deepcopy(model.state_dict())
    answers = model(torch.ones(4, 2, 2))
    changed = change(model)
    assert changed is not model
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(model(torch.ones(4, 2, 2)), answers)
    # while every tensor of the copy is another one, and it computes with it
    for name, value in changed.state_dict().items():
        assert not torch.equal(value, before[name]), name
    assert not torch.equal(changed(torch.ones(4, 2, 2)), answers)
    assert all(p.requires_grad and p.grad is None for p in changed.parameters())


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_only_what_is_named_changes_and_what_can_be_trained(change):
    model = classifier()
    name = "rnn.parametrizations.weight_hh_l0.original"
    changed = dict(change(model, [name]).named_parameters())
    differing = {k for k, p in model.named_parameters() if not torch.equal(p, changed[k])}
    assert differing == {name}
    model.head.requires_grad_(False)
    changed = change(model)
    assert torch.equal(changed.head.weight, model.head.weight)
    with pytest.raises(ValueError, match=r"trainable parameters of the model, got 'head.weight'"):
        change(model, ["head.weight"])
    with pytest.raises(ValueError, match=r"Did you mean 'rnn.bias_l0'"):
        change(model, ["rnn.bias_10"])


def test_the_free_matrix_is_what_is_changed():
    model = classifier(beta=1.0, gamma=0.0)
    changed = prune_weights(model, 0.5)
    free = changed.rnn.parametrizations.weight_hh_l0.original
    assert int((free == 0).sum()) == 18  # of 36
    w = changed.rnn.weight_hh_l0
    assert torch.equal(w, -w.mT)  # still what the scheme makes


def test_shared_weights_stay_shared():
    model = LanguageModel(LipschitzRNN(4, 4), 7, tie_weights=True)
    changed = noise_weights(model, 0.5, seeded())
    assert changed.head.weight is changed.encoder.weight


# -- noise -----------------------------------------------------------------------------------------


def test_noise_is_relative_to_the_size_of_each_tensor():
    model = nn.Module()
    model.large = nn.Parameter(1e3 * torch.randn(100, 100, generator=seeded(1), dtype=F64))
    model.small = nn.Parameter(1e-3 * (1 + torch.rand(100, 100, generator=seeded(2), dtype=F64)))
    changed = noise_weights(model, 0.05, seeded())
    for name, weight in model.named_parameters():
        noise = getattr(changed, name) - weight
        std, n = 0.05 * weight.square().mean().sqrt(), weight.numel()
        assert abs(noise.mean()) < SIGMAS * std / math.sqrt(n)
        assert abs(noise.var() - std**2) < SIGMAS * std**2 * math.sqrt(2 / (n - 1))


def test_noise_of_nothing_is_nothing():
    model = one(torch.zeros(3, 4))
    assert torch.equal(noise_weights(model, 0.5, seeded()).weight, model.weight)
    model = one(torch.randn(3, 4))
    assert torch.equal(noise_weights(model, 0.0, seeded()).weight, model.weight)


def test_the_same_generator_gives_the_same_noise_in_proportion():
    model = one(torch.randn(30, 40, dtype=F64))
    weak, strong = (noise_weights(model, s, seeded()).weight - model.weight for s in (0.1, 0.2))
    torch.testing.assert_close(strong, 2 * weak, rtol=0, atol=1e-15)
    other = noise_weights(model, 0.1, seeded(1)).weight - model.weight
    assert not torch.allclose(other, weak)


# -- rounding --------------------------------------------------------------------------------------


@given(
    bits=st.integers(2, 16),
    values=st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_rounded_weights_are_near_and_few(bits, values):
    model = one(values)
    rounded = round_weights(model, bits).weight.detach()
    levels = 2 ** (bits - 1) - 1
    scale = model.weight.detach().abs().max().item() / levels
    eps = torch.finfo(F64).eps
    error = (rounded - model.weight.detach()).abs().max().item()
    assert error <= scale / 2 + 4 * eps * scale * levels
    if scale > 1e-300:
        integers = rounded / scale
        assert (integers - integers.round()).abs().max() <= 4 * eps * levels
        assert integers.abs().max() <= levels * (1 + 4 * eps)


@pytest.mark.parametrize("bits", [2, 3, 8, 16, "bfloat16"])
def test_rounding_twice_is_rounding_once(bits):
    model = one(torch.randn(50, 50, generator=seeded()), torch.float32)
    once = round_weights(model, bits)
    assert not torch.equal(once.weight, model.weight)
    assert torch.equal(round_weights(once, bits).weight, once.weight)


def test_rounding_to_three_bits_by_hand():
    """Multiples of 1/3 up to 1."""
    model = one([1.0, 0.5, 0.4, 0.1, -0.2, -0.9])
    expected = torch.tensor([3, 2, 1, 0, -1, -3], dtype=F64) / 3  # 0.5 is 1.5 thirds: to even
    torch.testing.assert_close(round_weights(model, 3).weight.data, expected, rtol=1e-15, atol=0)


def test_each_tensor_has_its_own_scale():
    model = nn.Module()
    model.large, model.small = (
        nn.Parameter(torch.tensor([100.0, 10.0])),
        nn.Parameter(torch.tensor([0.01, 0.004])),
    )
    rounded = round_weights(model, 2)  # -1, 0 and 1 times the largest
    assert rounded.large.tolist() == [100.0, 0.0]
    assert torch.equal(rounded.small, torch.tensor([0.01, 0.0]))


def test_bfloat16_has_eight_bits():
    values = torch.randn(2000, generator=seeded(), dtype=F64).exp()
    error = (round_weights(one(values), "bfloat16").weight - values).abs() / values
    assert error.max() <= 2**-8
    assert error.max() > 2**-9  # nine bits would do better


def test_zeros_stay_zeros():
    for bits in (2, 8, "bfloat16"):
        assert not round_weights(one(torch.zeros(3)), bits).weight.any()
    assert round_weights(one(torch.zeros(0)), 8).weight.numel() == 0


@pytest.mark.parametrize(
    ("bits", "error", "message"),
    [
        (1, ValueError, "2 <= `bits` <= 32"),
        (33, ValueError, "2 <= `bits` <= 32"),
        (8.0, TypeError, "`bits` to be an int"),
        ("float16", ValueError, "integer or 'bfloat16', got 'float16'"),
    ],
)
def test_bits_that_are_none_are_refused(bits, error, message):
    with pytest.raises(error, match=message):
        round_weights(one([1.0]), bits)


# -- pruning ---------------------------------------------------------------------------------------


@given(share=st.floats(0, 1), n=st.integers(1, 60), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_smallest_weights_go_and_the_largest_stay(share, n, seed):
    values = torch.randn(n, generator=seeded(seed), dtype=F64)
    pruned = prune_weights(one(values), share).weight.detach()
    gone = pruned == 0
    assert int(gone.sum()) == math.floor(share * n)
    assert torch.equal(pruned[~gone], values[~gone])
    if gone.any() and not gone.all():
        assert values[gone].abs().max() < values[~gone].abs().min()


def test_of_equal_weights_the_first_go():
    assert prune_weights(one([[1.0, -1.0], [1.0, 1.0]]), 0.5).weight.tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_that_are_none_are_refused(share):
    with pytest.raises(ValueError, match="0 <= `share` <= 1"):
        prune_weights(one([1.0]), share)
    with pytest.raises(ValueError, match="`relative` >= 0"):
        noise_weights(one([1.0]), -0.1, seeded())
