import pytest
import torch
from run_comparison import assert_same_run
from torch import nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import FrameDataset, Split, SymbolStream
from lipschitz_rnn.data.by_length import lengths_of
from lipschitz_rnn.nn import LipschitzRNN, SequenceRegressor
from lipschitz_rnn.training import (
    DataConfig,
    ModelConfig,
    RunConfig,
    StopTraining,
    TrainingConfig,
    UpdateDone,
    fit,
    resume,
)
from lipschitz_rnn.training.checkpoint import load_checkpoint
from lipschitz_rnn.training.plan import plan_epoch
from lipschitz_rnn.training.truncate import read_pieces


@pytest.fixture
def speech():
    """Recordings of 2 to 40 frames."""
    chance = torch.Generator().manual_seed(0)
    counts = torch.randint(2, 41, (60,), generator=chance)
    frames = torch.randn(int(counts.sum()), 3, generator=chance)
    whole = FrameDataset(frames, counts.cumsum(0) - counts, counts)
    parts = (whole.subset(torch.arange(first, first + 20)) for first in (0, 20, 40))
    return Split("made", *parts, 3, "made here", "0" * 64, kind="frames")


def make_config(**training):
    settings = {"batch_size": 4, "checkpoint_seconds": 0, "group_by_length": True} | training
    return RunConfig(
        "made", DataConfig("made"), ModelConfig(5), TrainingConfig(2, 0.05, **settings)
    )


def make_model():
    torch.manual_seed(1)
    rnn = LipschitzRNN(3, 5, step_size=0.2, batch_first=True)
    return SequenceRegressor(rnn, 3, every_step=True)


def test_epochs_are_grouped_each_in_its_own_way_and_again_the_same(speech):
    config = make_config()
    first, second = (plan_epoch(config, speech.train, epoch).batches for epoch in (1, 2))
    assert sorted(torch.cat(first).tolist()) == sorted(torch.cat(second).tolist()) == [*range(20)]
    again = plan_epoch(config, speech.train, 1).batches
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.cat(first).tolist() != torch.cat(second).tolist()

    def padded(batches):
        lengths = lengths_of(speech.train)
        return sum(len(batch) * int(lengths[batch].max()) for batch in batches)

    plain = plan_epoch(make_config(group_by_length=False), speech.train, 1).batches
    # all 20 are one pool, so that no other choice of batches of 4 pads less
    assert padded(first) == padded(second) < padded(plain)


def losses(model, dataset, batches):
    """Of each batch the mean over its answers, and how many they are."""
    for index in batches:
        batch = dataset.batch(index)
        valid = torch.arange(batch.input.shape[1]) < batch.lengths[:, None]
        answers = model(batch.input)[valid]
        yield nn.functional.mse_loss(answers, batch.target[valid]), len(answers)


def test_all_frames_of_an_epoch_count_alike(speech):
    """At fixed weights the losses of an epoch's updates are, in the mean, the mean over frames."""
    model = make_model().double()
    parts = [
        FrameDataset(part.frames.double(), part.starts, part.counts)
        for part in (speech.train, speech.validation)
    ]
    for dataset in parts:
        plan = plan_epoch(make_config(), dataset, 1)
        with torch.no_grad():
            found = list(losses(model, dataset, plan.batches))
            ((whole, frames),) = losses(model, dataset, [torch.arange(len(dataset))])
        assert sum(count for _, count in found) == frames
        mean = sum(loss * plan.weight(count, True) for loss, count in found) / len(found)
        assert float(mean) == pytest.approx(float(whole), rel=1e-12)
        assert sum(loss for loss, _ in found) / len(found) != pytest.approx(float(whole), rel=1e-3)
        assert plan.weight(found[0][1], False) == 1


def test_updates_are_those_of_the_groups_by_hand(tmp_path, speech):
    config = make_config(optimizer="sgd")
    fit(config, speech, make_model(), tmp_path)
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    frames = int(lengths_of(speech.train).sum())
    for epoch in (1, 2):
        batches = plan_epoch(config, speech.train, epoch).batches
        for loss, count in losses(model, speech.train, batches):
            optimizer.zero_grad()
            (loss * count * len(batches) / frames).backward()
            optimizer.step()
    tensors, _ = load_checkpoint(tmp_path / "last.safetensors")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(tensors[f"model/{name}"], value)


@pytest.mark.parametrize("steps", [None, 7])
def test_a_grouped_run_that_was_cut_goes_on_the_same(tmp_path, speech, steps):
    config = make_config(truncate_steps=steps)
    whole = fit(config, speech, make_model(), tmp_path / "whole")
    seen = []

    def stop(event):
        seen.append(isinstance(event, UpdateDone))
        if sum(seen) == 8:  # in the second epoch of five updates
            raise StopTraining

    with pytest.raises(StopTraining):
        fit(config, speech, make_model(), tmp_path / "cut", hooks=[stop])
    assert resume(tmp_path / "cut", speech, make_model()).last == whole.last
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_cut_batches_are_weighed_by_the_pieces_that_they_are_cut_into(speech):
    """The weights are one in the mean over all pieces of an epoch, each an update."""
    plan = plan_epoch(make_config(truncate_steps=7), speech.train, 1)
    pieces = [
        int(piece.batch.lengths.sum())
        if piece.batch.lengths is not None
        else piece.batch.target[..., 0].numel()
        for index in plan.batches
        for piece in read_pieces(speech.train, index, 1, 7)
    ]
    assert sum(pieces) == int(lengths_of(speech.train).sum())
    assert sum(plan.weight(count, True) for count in pieces) == pytest.approx(len(pieces))


def test_what_has_no_lengths_is_refused_before_a_folder_is_made(tmp_path, split, make_model):
    with pytest.raises(InputError, match="group_by_length: expected sequences of unequal lengths"):
        fit(make_config(), split, make_model(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_text_has_an_order_of_its_own():
    text = SymbolStream(torch.arange(30), 30, steps=5)
    plans = [list(plan_epoch(make_config(), text, epoch).batches) for epoch in (1, 2)]
    assert plans[0] == plans[1] == list(text.plan(4))
