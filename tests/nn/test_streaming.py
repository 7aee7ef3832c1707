"""The fast way through ``LipschitzRNN.step``: the same numbers, and never old weights."""

import copy
import statistics
import time

import pytest
import torch
from matching import assert_matches
from torch import nn
from torch.nn.utils import parametrize

from lipschitz_rnn import LipschitzRNN, use_backend
from lipschitz_rnn.nn import rnn as rnn_module
from lipschitz_rnn.ops import variants

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(not variants(), reason="no native library here"),
]


def general(layer, input, state, dt=None):
    with use_backend("reference"), torch.no_grad():
        return layer.step(input, state, dt)


def assert_fast_step_is_right(layer, input, state=None, dt=None, steps=1):
    """Taken the fast way, and equal to the general way on the reference."""
    with torch.no_grad():
        fast = layer._fast_step(input, state, dt)
        assert fast is not None
        got = layer.step(input, state, dt)
    for x, y, z in zip(fast, got, general(layer, input, state, dt), strict=True):
        assert torch.equal(x, y)
        assert_matches("step", x, z, steps=steps)


def each_its_own(shape):
    """Times of each sample, in both precisions; the first one stands still."""
    times = torch.linspace(0, 2, shape[0], dtype=torch.float64)
    return [times, times.float()] if len(shape) == 2 else []


OPTIONS = [
    {},
    {"method": "midpoint"},
    {"alpha": 0.0},
    {"alpha": 0.5, "bias": False},
    {"num_layers": 3},
    {"trainable": ("step_size", "alpha", "beta_w")},
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(3,), (1, 3), (20, 3)], ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_the_general_way(options, shape, dtype):
    layer = LipschitzRNN(3, 20, step_size=0.1, dtype=dtype, **options)
    input = torch.randn(shape, dtype=dtype)
    state = torch.randn(layer.num_layers, *shape[:-1], 20, dtype=dtype)
    for h in (None, state):
        for dt in (None, 0.5, 0, torch.tensor(2.0), *each_its_own(shape)):
            assert_fast_step_is_right(layer, input, h, dt)


def test_a_stream_equals_the_sequence():
    layer = LipschitzRNN(2, 33, num_layers=2, step_size=0.1)
    input = torch.randn(200, 1, 2)
    state = None
    with torch.no_grad():
        output, h_n = layer(input)
        for t, x in enumerate(input):
            y, state = layer.step(x, state)
            assert_matches("output", y, output[t], steps=200)
    assert_matches("state", state, h_n, steps=200)


def test_a_state_that_was_handed_in_is_left_alone():
    layer, state = LipschitzRNN(2, 5), torch.ones(1, 1, 5)
    with torch.no_grad():
        output, new = layer.step(torch.ones(1, 2), state)
        output.fill_(9)  # nor does the output share memory with the state
    assert (state == 1).all()
    assert (new < 9).all()


def set_weight(layer):
    layer.weight_hh_l0 = torch.zeros(5, 5)


def train_a_little(layer):
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    layer(torch.ones(3, 1, 2))[0].sum().backward()
    optimizer.step()


CHANGES = {
    "update": train_a_little,
    "in place": lambda layer: nn.init.ones_(layer.bias_l0),
    "assigned": set_weight,
    "reset": lambda layer: layer.reset_parameters(),
    "loaded": lambda layer: layer.load_state_dict(LipschitzRNN(2, 5, gamma=0.5).state_dict()),
    "loaded by assignment": lambda layer: layer.load_state_dict(
        LipschitzRNN(2, 5).state_dict(), assign=True
    ),
    "replaced": lambda layer: setattr(layer, "bias_l0", nn.Parameter(torch.ones(5))),
    "data replaced": lambda layer: setattr(layer.bias_l0, "data", torch.ones(5)),
    "fixed": lambda layer: parametrize.remove_parametrizations(layer, "weight_a_l0"),
    "double": lambda layer: layer.double(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_parameter_is_noticed(change):
    torch.manual_seed(1)
    layer = LipschitzRNN(2, 5, step_size=0.5)
    input, state = torch.ones(1, 2), torch.ones(1, 1, 5)
    assert_fast_step_is_right(layer, input, state)
    CHANGES[change](layer)
    dtype = layer.bias_l0.dtype
    assert_fast_step_is_right(layer, input.to(dtype), state.to(dtype))
    if change == "fixed":  # from now on the matrix itself is the parameter
        with torch.no_grad():
            layer.weight_a_l0.zero_()
        assert_fast_step_is_right(layer, input, state)


def test_a_copy_has_weights_of_its_own():
    layer = LipschitzRNN(2, 5)
    assert_fast_step_is_right(layer, torch.ones(1, 2))
    other = copy.deepcopy(layer)
    nn.init.ones_(other.bias_l0)
    assert_fast_step_is_right(other, torch.ones(1, 2))
    assert_fast_step_is_right(layer, torch.ones(1, 2))


@pytest.mark.parametrize(
    "options",
    [{"nonlinearity": "relu"}, {"gated": True}, {"method": "rk4"}, {"substeps": 2}],
    ids=str,
)
def test_other_units_go_the_general_way(options):
    layer = LipschitzRNN(2, 5, **options)
    with torch.no_grad():
        assert layer._fast_step(torch.ones(1, 2), None, None) is None
        layer.step(torch.ones(1, 2))


def test_whatever_needs_more_goes_the_general_way(monkeypatch):
    layer = LipschitzRNN(2, 5)
    x = torch.ones(1, 2)
    assert layer._fast_step(x, None, None) is None  # a gradient may be wanted
    with torch.no_grad():
        for input, dt in ((x.double(), None), (x[:, :1], None), (x, -1.0)):
            assert layer._fast_step(input, None, dt) is None
        for dt in (torch.ones(2), torch.ones(1, 1), -torch.ones(1), torch.ones(1).long()):
            assert layer._fast_step(x, None, dt) is None
        for state in (torch.ones(1, 5), torch.ones(1, 1, 4), torch.ones(1, 1, 5).double()):
            assert layer._fast_step(x, state, None) is None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer._fast_step(x, None, None) is None
        with use_backend("reference"):
            assert layer._fast_step(x, None, None) is None
        with pytest.raises(ValueError, match="a finite `dt` >= 0"):
            layer.step(x, dt=-1.0)
    with torch.inference_mode():
        inference = LipschitzRNN(2, 5)  # its parameters have no version to watch
        assert inference.step(x)[0].shape == (1, 5)
        assert layer.step(x)[0].shape == (1, 5)
    assert rnn_module.packed_layer(layer, lambda: ["_l0"], layer.options, x) is None


def test_too_large_for_the_librarys_step():
    layer = LipschitzRNN(20_000, 2)
    layer = LipschitzRNN(1, 6000)
    with torch.no_grad():
        assert layer._fast_step(torch.ones(1, 20_000), None, None) is None


@pytest.mark.slow
def test_a_step_takes_at_most_25_microseconds():
    layer, x = LipschitzRNN(1, 128), torch.ones(1)
    times = []
    with torch.no_grad():
        for _ in range(30):
            state = None
            start = time.perf_counter()
            for _ in range(200):
                _, state = layer.step(x, state)
            times.append((time.perf_counter() - start) / 200)
    assert statistics.median(times) <= 25e-6, f"{1e6 * statistics.median(times):.1f} us"
