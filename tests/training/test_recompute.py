"""``model.memory``: the same training in less memory."""

import pytest
import torch
from matching import assert_matches

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Batch
from lipschitz_rnn.experiments import build_model, load_preset, train_run
from lipschitz_rnn.nn import make_layer, unit_options
from lipschitz_rnn.training import ModelConfig, load_checkpoint
from lipschitz_rnn.training.objective import score_batch

SHORT = ["data.steps=64", "training.epochs=2", "training.threads=1", "model.hidden_size=16"]
UPDATES = 2 * 41  # of 1,300 samples, 32 at a time


def weights(folder):
    tensors, _ = load_checkpoint(folder / "last.safetensors")
    return {name: value for name, value in tensors.items() if name.startswith("model/")}


def test_it_is_an_option_of_the_units_that_have_it():
    assert unit_options("lipschitz")["memory"] == unit_options("lipschitz-gated")["memory"]
    assert make_layer("lipschitz", 2, 3, memory="recompute").memory == "recompute"
    assert ModelConfig(4).options == {}  # unset, so that tables of before are as they were
    with pytest.raises(InputError, match=r"the unit 'lstm' takes .*got memory='recompute'"):
        ModelConfig(4, unit="lstm", memory="recompute")
    with pytest.raises(InputError, match="expected `memory` to be one of store, recompute"):
        ModelConfig(4, memory="recomputed")


@pytest.mark.parametrize("method", ["euler", "midpoint"])
def test_the_weights_are_the_same(tmp_path, method):
    """To rounding: the gradient of the weights is summed up in other groups of steps."""
    for memory in ("store", "recompute"):
        settings = [*SHORT, f"model.memory={memory}", f"model.method={method}"]
        train_run(load_preset("digits", settings), tmp_path / memory)
    one, other = weights(tmp_path / "store"), weights(tmp_path / "recompute")
    for name in one:
        assert_matches(name, one[name], other[name], steps=UPDATES)


@pytest.mark.parametrize("steps", [784, 10_000])
def test_less_is_kept_for_the_backward_pass(steps):
    """States after every one of √T steps, instead of every state and every tanh."""
    rows, hidden = 2, 16

    def kept(memory):
        """Bytes that autograd holds, without the input."""
        settings = [f"model.hidden_size={hidden}", f"model.memory={memory}"]
        model, held = build_model(load_preset("digits", settings), 1, 10), 0
        batch = Batch(torch.randn(rows, steps, 1), torch.tensor([1, 2]))

        def pack(tensor):
            nonlocal held
            held += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            score_batch(model, batch)
        return held - batch.input.nbytes

    state = 4 * rows * hidden
    small = 4 * 20 * hidden**2  # weights and what they are computed from
    assert kept("store") >= 2 * steps * state
    assert kept("recompute") <= 2 * steps**0.5 * state + small
