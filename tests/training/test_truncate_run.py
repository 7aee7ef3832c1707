"""Truncated back-propagation through time in a run: updates, evaluation, resuming, refusals."""

import pytest
import torch
from run_comparison import Stop, assert_same_run
from torch import nn
from training.truncated import EVERY_STEP, LENGTHS, error, make_batch, make_model, make_split

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import ArrayDataset, SeriesStream, Split, SymbolStream
from lipschitz_rnn.nn import LanguageModel, make_layer
from lipschitz_rnn.nn.state import map_state
from lipschitz_rnn.training import (
    DataConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
    evaluate,
    fit,
    load_checkpoint,
    resume,
)
from lipschitz_rnn.training.seeds import epoch_order

KINDS = tuple(EVERY_STEP)
K, BATCH = 6, 4


def make_config(**training):
    settings = {"batch_size": BATCH, "eval_batch_size": 5, "checkpoint_seconds": 0} | training
    return RunConfig("toy", DataConfig("toy"), ModelConfig(6), TrainingConfig(2, 0.05, **settings))


def weights(folder):
    tensors, _ = load_checkpoint(folder / "last.safetensors")
    return {name: value for name, value in tensors.items() if name.startswith("model/")}


def start(kind, unit="lipschitz", **options):
    torch.manual_seed(1)
    return make_model(kind, unit, dtype=torch.float32, **options)


def descend(model, optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.3)
    optimizer.step()


@pytest.mark.parametrize("kind", KINDS)
def test_updates_are_those_by_hand(tmp_path, kind):
    """An update for each piece; its state, from the weights of before, is where the next begins."""
    config = make_config(truncate_steps=K, clip_norm=0.3, optimizer="sgd", momentum=0.9)
    split = make_split(kind)
    fit(config, split, start(kind), tmp_path)
    model = start(kind)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in (1, 2):
        for index in epoch_order(1, epoch, 22).split(BATCH):
            x, target = split.train.values[index], split.train.target[index]
            if EVERY_STEP[kind]:
                state = None
                for first in range(0, x.shape[1], K):
                    output, state = model.rnn(x[:, first : first + K], state)
                    wanted = target[:, first : first + K].flatten(0, 1)
                    descend(model, optimizer, error(model.head(output).flatten(0, 1), wanted))
                    state = map_state(torch.Tensor.detach, state)
            else:
                with torch.no_grad():
                    state = model.rnn(x[:, :-K])[1]
                output = model.rnn(x[:, -K:], state)[0]
                descend(model, optimizer, error(model.head(output[:, -1]), target))
    got = weights(tmp_path)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(got[f"model/{name}"], value)


@pytest.mark.parametrize("kind", ["classes", "frames"])
def test_no_fewer_steps_than_there_are_change_nothing(tmp_path, kind):
    split = make_split(kind)
    for name, steps in (("never", None), ("whole", 23)):
        fit(make_config(truncate_steps=steps), split, start(kind), tmp_path / name)
    one, other = weights(tmp_path / "never"), weights(tmp_path / "whole")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("unit", ["lipschitz", "lstm"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_in_pieces_has_the_same_result(kind, lengths, unit):
    batch = make_batch(kind, dtype=torch.float32)
    data = ArrayDataset(
        batch.input.numpy(),
        batch.target.numpy(),
        lengths=None if lengths is None else lengths.numpy(),
    )
    model = start(kind, unit)
    whole = evaluate(model, data, 2, kind=kind)
    for steps in (1, K, 22, 23):
        cut = evaluate(model, data, 2, kind=kind, truncate_steps=steps)
        assert (cut.count, cut.samples) == (whole.count, whole.samples)
        # sums in float32 of some hundred losses, and states that are rounded each step
        assert cut.loss == pytest.approx(whole.loss, rel=1e-5)
        assert cut.figures == pytest.approx(whole.figures, rel=1e-5)
    assert cut.loss == whole.loss


def test_a_stream_is_cut_already():
    stream = SeriesStream(torch.randn(50, 3).numpy(), torch.randn(50, 2).numpy(), steps=7)
    model = start("frames")
    whole = evaluate(model, stream, 2, kind="frames")
    assert evaluate(model, stream, 2, kind="frames", truncate_steps=3).loss == whole.loss
    other = SeriesStream(stream.values, stream.target, steps=25)
    assert evaluate(model, other, 2, kind="frames").loss == pytest.approx(whole.loss, rel=1e-5)
    assert (whole.count, whole.samples) == (50, 50)


@pytest.mark.parametrize("kind", ["values", "symbols"])
@pytest.mark.parametrize("stop_after", [2, 9])
def test_a_run_that_was_interrupted_equals_one_that_was_not(tmp_path, kind, stop_after):
    split, config, seen = make_split(kind, timed=True), make_config(truncate_steps=K), []

    def stop(event):
        seen.append(type(event).__name__)
        if seen.count("UpdateDone") == stop_after:
            raise Stop

    fit(config, split, start(kind, dropout=0.3), tmp_path / "whole")
    with pytest.raises(Stop):
        fit(config, split, start(kind, dropout=0.3), tmp_path / "cut", hooks=[stop])
    resume(tmp_path / "cut", split, start(kind, dropout=0.3))
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_the_penalty_is_part_of_every_update(tmp_path):
    """With an answer that depends on nothing, the penalty alone moves A; in four pieces it moves
    A four times as often."""
    split = make_split("frames", counts=(4, 4, 4))

    def moved(steps):
        torch.manual_seed(1)
        model = make_model("frames", layers=1, dtype=torch.float32, gamma=0.0)
        nn.init.zeros_(model.head.weight)
        model.head.weight.requires_grad_(False)
        before = model.rnn.weight_a_l0.detach().clone()
        config = make_config(
            truncate_steps=steps, contraction_penalty=1e-3, contraction_rate=1.0, optimizer="sgd"
        )
        fit(config, split, model, tmp_path / str(steps))
        return (model.rnn.weight_a_l0.detach() - before).norm().item()

    # small steps down a slope that hardly changes
    assert moved(K) == pytest.approx(4 * moved(None), rel=1e-2)


def test_what_cannot_be_carried_is_refused_before_anything_is_written(tmp_path):
    class Plain(nn.Module):
        def forward(self, input):
            return input[:, -1, :2]

    text = SymbolStream(torch.arange(50) % 3, 3, steps=5)
    symbols = Split("text", text, text, text, 3, "made here", "0" * 64, kind="characters")
    language = LanguageModel(make_layer("lipschitz", 4, 4, batch_first=True), 3)
    both = LanguageModel(make_layer("gru", 4, 4, batch_first=True, bidirectional=True), 3)
    cut = make_config(truncate_steps=K)
    for config, split, model, message in (
        (cut, make_split("classes"), start("classes", bidirectional=True), "bidirectional=false"),
        (cut, make_split("classes"), Plain(), "expected a SequenceClassifier.*got Plain"),
        (cut, symbols, language, r"cut after every data\.steps as it is"),
        (make_config(), symbols, both, "text: expected model.bidirectional=false"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            fit(config, split, model, tmp_path / "run")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists()
